"""Which files make a model: config.json, and what it names; these and no others go to the Hub and come from there."""

from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from personsearch.errors import ConfigError, WeightsError
from personsearch.onnx_session import external_names
from personsearch.weights.folder import CONFIG_FILE, WEIGHTS_FILE, read_config

NANO_ONNX = ("detector.onnx", "embedder.onnx")  # beside the small model's weights, for ONNX Runtime; both or none
TWO_STEP_PARTS = ("detector", "embedder")  # of two steps: fields of config.json that name a file
COMBINED_PARTS = ("detector", "reidentifier")  # of a combined model: folders of one model each
NETWORKS = (".onnx", ".safetensors")


class Place(Protocol):
    """Where a model's files are, or are fetched from."""

    def __call__(self, file: str, *, needed: bool) -> Path | None:
        """The file on this machine, of its name from the model's folder; if it is not needed, None where there is none."""


def in_folder(folder: Path) -> Place:
    """A folder as a place.

    Raises:
        WeightsError: when a file that is needed is missing.
    """

    def find(file: str, *, needed: bool) -> Path | None:
        path = folder / file
        if needed and not path.is_file():
            raise WeightsError(f"{path} is missing; convert, download or save the model again")
        return path if path.is_file() else None

    return find


def model_files(place: Place, *, under: str = "") -> list[str]:
    """Names of all files of a model from its folder, with "/" between, each once; config.json first.

    Args:
        place: looks files up; those that name further ones are read.
        under: the folder of a model inside the model, with "/" at its end.

    Raises:
        ConfigError: config.json is malformed, or names a file outside the folder or of another kind than ONNX or safetensors.
        WeightsError: a file is missing.
    """
    told = _get(place, under + CONFIG_FILE)
    config = read_config(told.parent)
    files = [under + CONFIG_FILE]
    if config["architecture"] == "two-step":
        files += [file for part in TWO_STEP_PARTS for file in _network(place, under, _named(config, part, told))]
    elif config["architecture"] == "combined":
        files += [file for part in COMBINED_PARTS for file in model_files(place, under=f"{under}{part}/")]
    else:
        _get(place, under + WEIGHTS_FILE)
        files.append(under + WEIGHTS_FILE)
    if config["architecture"] == "nano" and all(place(under + file, needed=False) for file in NANO_ONNX):
        files += [under + file for file in NANO_ONNX]
    return list(dict.fromkeys(files))


def check_inside(file: str) -> str:
    """The name of a file inside the model's folder.

    Raises:
        ValueError: it is another's.
    """
    path = PurePosixPath(file)
    if not path.name or path.is_absolute() or ".." in path.parts or "\\" in file or ":" in file:
        raise ValueError(f"must name a file inside the model's folder, as in detector/yolox.onnx, got {file!r}")
    return file


def _get(place: Place, file: str) -> Path:
    path = place(file, needed=True)
    if path is None:
        raise WeightsError(f"{file} is missing")
    return path


def _named(config: dict[str, Any], part: str, source: Path) -> str:
    """The file that a part of two steps is in."""
    described = config.get(part)
    file = described.get("file") if isinstance(described, dict) else None
    try:
        if not isinstance(file, str) or not check_inside(file).endswith(NETWORKS):
            raise ValueError(f"must name an ONNX or safetensors file, never a pickle, got {file!r}")
    except ValueError as error:
        raise ConfigError(f"{source}: {part}.file: {error}") from error
    return file


def _network(place: Place, under: str, file: str) -> list[str]:
    """A network's file, and those that hold weights of it."""
    path = _get(place, under + file)
    names = external_names(path) if file.endswith(".onnx") else []
    beside = [str(PurePosixPath(file).parent / name) for name in names]
    for name in beside:
        try:
            check_inside(name)
        except ValueError as error:
            raise WeightsError(f"{path} keeps weights in a file that {error}") from error
        _get(place, under + name)
    return [under + name for name in (file, *beside)]

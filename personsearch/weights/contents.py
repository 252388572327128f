"""List the files of a model: config.json and the files it names. Only these are uploaded to or downloaded from the Hub."""

import os
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from personsearch.errors import ConfigError, WeightsError
from personsearch.weights.external import external_names
from personsearch.weights.folder import CONFIG_FILE, WEIGHTS_FILE, read_config

NANO_ONNX = ("detector.onnx", "embedder.onnx")  # optional files of the small model, for ONNX Runtime; used only if both exist
TWO_STEP_PARTS = ("detector", "embedder")  # fields of a two-step model's config.json that name a file
COMBINED_PARTS = ("detector", "reidentifier")  # folders of a combined model, with one model each
NETWORKS = (".onnx", ".safetensors", ".xml")
LONGEST = 200  # characters of a file's name; disks allow 255 bytes
BESIDE_XML = ".bin"  # weights of an OpenVINO network, in a file of the same name


class FileFinder(Protocol):
    """Finds the files of one model, in a folder or by downloading them."""

    def __call__(self, file: str, *, needed: bool) -> Path | None:
        """The path on this machine of a file, named relative to the model's folder; None if it is missing and not needed."""


def in_folder(folder: Path) -> FileFinder:
    """A finder for the files of a folder; it raises WeightsError if a needed file is missing."""

    def find(file: str, *, needed: bool) -> Path | None:
        path = folder / file
        if needed and not os.path.isfile(path):
            raise WeightsError(f"{path} is missing; convert, download or save the model again")
        return path if os.path.isfile(path) else None

    return find


def model_files(find_file: FileFinder, *, under: str = "") -> list[str]:
    """Names of all files of a model relative to its folder, with "/" as separator, each once; config.json first.

    Args:
        find_file: Finds each file; files that name further ones are read.
        under: Folder of a model inside the model, with "/" at its end.

    Raises:
        ConfigError: config.json is malformed, or names a file outside the folder or one that is not ONNX, OpenVINO or safetensors.
        WeightsError: A file is missing.
    """
    config_path = _get(find_file, under + CONFIG_FILE)
    config = read_config(config_path.parent)
    files = [under + CONFIG_FILE]
    if config["architecture"] == "two-step":
        files += [file for part in TWO_STEP_PARTS for file in _network(find_file, under, _named(config, part, config_path))]
    elif config["architecture"] == "combined":
        files += [file for part in COMBINED_PARTS for file in model_files(find_file, under=f"{under}{part}/")]
    else:
        _get(find_file, under + WEIGHTS_FILE)
        files.append(under + WEIGHTS_FILE)
    if config["architecture"] == "nano" and all(find_file(under + file, needed=False) for file in NANO_ONNX):
        files += [under + file for file in NANO_ONNX]
    return list(dict.fromkeys(files))


def check_inside(file: str) -> str:
    """The name of a file, checked to be inside the model's folder.

    Raises:
        ValueError: The file would be outside the folder.
    """
    path = PurePosixPath(file)
    if not path.name or path.is_absolute() or ".." in path.parts or "\\" in file or ":" in file or len(file) > LONGEST:
        raise ValueError(f"must name a file inside the model's folder, as in detector/yolox.onnx, got {file!r:.120}")
    return file


def _get(find_file: FileFinder, file: str) -> Path:
    path = find_file(file, needed=True)
    if path is None:
        raise WeightsError(f"{file} is missing")
    return path


def _named(config: dict[str, Any], part: str, source: Path) -> str:
    """The network file of one part of a two-step model."""
    settings = config.get(part)
    file = settings.get("file") if isinstance(settings, dict) else None
    try:
        if not isinstance(file, str) or not check_inside(file).endswith(NETWORKS):
            raise ValueError(f"must name an ONNX, OpenVINO (.xml) or safetensors file (pickles are never loaded), got {file!r:.120}")
    except ValueError as error:
        raise ConfigError(f"{source}: {part}.file: {error}") from error
    return file


def _network(find_file: FileFinder, under: str, file: str) -> list[str]:
    """A network's file, and the external files that hold its weights."""
    path = _get(find_file, under + file)
    names = external_names(path) if file.endswith(".onnx") else []
    if file.endswith(".xml"):
        names = [PurePosixPath(file).with_suffix(BESIDE_XML).name]
    beside = [str(PurePosixPath(file).parent / name) for name in names]
    for name in beside:
        try:
            check_inside(name)
        except ValueError as error:
            raise WeightsError(f"{path} stores weights in a file that {error}") from error
        _get(find_file, under + name)
    return [under + name for name in (file, *beside)]

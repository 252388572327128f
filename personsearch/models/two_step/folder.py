"""The folder of a two-step model: its config.json, opened and saved."""

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, Field

from personsearch.errors import ConfigError
from personsearch.models.needs_torch import needs_torch
from personsearch.models.two_step.model import MIN_SCORE, TwoStep
from personsearch.models.two_step.openvino_detector import OpenVinoDetector, OpenVinoDetectorOptions
from personsearch.models.two_step.openvino_session import OPENVINO_SUFFIX, openvino_files
from personsearch.models.two_step.protocols import Detector
from personsearch.models.two_step.reid_onnx import OpenVinoReidOptions, ReidEmbedder, ReidOptions
from personsearch.models.two_step.torchvision_options import TorchvisionFileOptions
from personsearch.models.two_step.yolox_onnx import YoloxDetector, YoloxOptions
from personsearch.options import Settings, parse
from personsearch.weights import CONFIG_FILE, external_files, read_config
from personsearch.weights.contents import check_inside

Options = TypeVar("Options", bound=BaseModel)

PartFile = Annotated[str, AfterValidator(check_inside)]


class YoloxPart(YoloxOptions):
    """A YOLOX file as the detector of a config.json."""

    kind: Literal["yolox-onnx"]
    file: PartFile


class TorchvisionPart(TorchvisionFileOptions):
    """The safetensors file of a torchvision detector as the detector of a config.json."""

    kind: Literal["torchvision"]
    file: PartFile


class ReidPart(ReidOptions):
    """An ONNX file as the embedder of a config.json."""

    kind: Literal["reid-onnx"]
    file: PartFile


class OpenVinoPart(OpenVinoDetectorOptions):
    """An OpenVINO network as the detector of a config.json."""

    kind: Literal["openvino"]
    file: PartFile


class OpenVinoReidPart(OpenVinoReidOptions):
    """An OpenVINO network as the embedder of a config.json."""

    kind: Literal["reid-openvino"]
    file: PartFile


class TwoStepConfig(Settings):
    """The config.json of a two-step model."""

    architecture: Literal["two-step"] = "two-step"
    name: str = "two-step"  # shown to users
    min_score: float = Field(default=MIN_SCORE, ge=0, le=1)  # detections below this score do not enter a gallery
    detector: YoloxPart | TorchvisionPart | OpenVinoPart = Field(discriminator="kind")
    embedder: ReidPart | OpenVinoReidPart = Field(discriminator="kind")


def open_folder(folder: Path, device: str) -> TwoStep:
    """The model of a folder with a `TwoStepConfig` in config.json and the files it names.

    Raises:
        ConfigError: config.json is missing or malformed, or does not fit the files; the message names the field.
        WeightsError: a file is missing or damaged, or is not a detector or an embedder.
        DeviceError: the machine does not have this device.
    """
    config = parse(TwoStepConfig, read_config(folder), folder / CONFIG_FILE)
    return _open(config, folder / config.detector.file, folder / config.embedder.file, device)


def save_two_step(
    folder: str | Path,
    *,
    detector_file: str | Path,
    embedder_file: str | Path,
    detector: Mapping[str, Any] | None = None,
    embedder: Mapping[str, Any] | None = None,
    min_score: float = MIN_SCORE,
    name: str = "two-step",
) -> Path:
    """Make a model folder for `PersonSearcher.from_pretrained` from the files of two networks; both are opened before they are copied.

    Args:
        folder: Folder of the new model, created if missing.
        detector_file: YOLOX network (ONNX), torchvision's weights (safetensors), or OpenVINO detector (.xml, the .bin beside it).
        embedder_file: Re-identification network (ONNX, or .xml of an OpenVINO network).
        detector: `kind` ("yolox-onnx" by default, "openvino" for an .xml file, or "torchvision") and the options of that kind.
        embedder: Options that differ from torchreid's (`ReidOptions`), or from the Open Model Zoo's for an .xml file.
        min_score: Score from which a detection enters a gallery, 0..1.
        name: Name shown to users.

    Returns:
        The folder.

    Raises:
        ConfigError: an option is unknown, out of range, or does not fit the file.
        WeightsError: a file is missing or damaged, or is not a detector or an embedder.
        MissingExtraError: an OpenVINO network, and openvino is not installed.
    """
    folder, detector_file, embedder_file = Path(folder), Path(detector_file), Path(embedder_file)
    kinds = _kind(detector_file, "yolox-onnx", "openvino"), _kind(embedder_file, "reid-onnx", "reid-openvino")
    values = {
        "architecture": "two-step",
        "name": name,
        "min_score": min_score,
        "detector": {"kind": kinds[0], **(detector or {}), "file": f"detector/{detector_file.name}"},
        "embedder": {"kind": kinds[1], **(embedder or {}), "file": f"embedder/{embedder_file.name}"},
    }
    config = parse(TwoStepConfig, values, folder / CONFIG_FILE)
    _open(config, detector_file, embedder_file, "cpu")
    _copy(detector_file, folder / config.detector.file)
    _copy(embedder_file, folder / config.embedder.file)
    (folder / CONFIG_FILE).write_text(config.model_dump_json(indent=2, exclude_none=True) + "\n", encoding="utf-8")
    return folder


def _open(config: TwoStepConfig, detector_file: Path, embedder_file: Path, device: str) -> TwoStep:
    with _field_named("detector"):
        detector = _open_detector(config.detector, detector_file, device)
    with _field_named("embedder"):
        schema = OpenVinoReidOptions if isinstance(config.embedder, OpenVinoReidPart) else ReidOptions
        embedder = ReidEmbedder(embedder_file, _options(schema, config.embedder), device=device)
    return TwoStep(detector, embedder, min_score=config.min_score, name=config.name)


def _open_detector(part: YoloxPart | TorchvisionPart | OpenVinoPart, file: Path, device: str) -> Detector:
    if isinstance(part, YoloxPart):
        return YoloxDetector(file, _options(YoloxOptions, part), device=device)
    if isinstance(part, OpenVinoPart):
        return OpenVinoDetector(file, _options(OpenVinoDetectorOptions, part), device=device)
    with needs_torch("a torchvision detector"):
        from personsearch.models.device import resolve_device
        from personsearch.models.two_step.torchvision_detector import open_torchvision
    return open_torchvision(file, _options(TorchvisionFileOptions, part), device=resolve_device(device))


def _kind(file: Path, plain: str, openvino: str) -> str:
    return openvino if file.suffix == OPENVINO_SUFFIX else plain


def _options(schema: type[Options], part: BaseModel) -> Options:
    return schema.model_validate(part.model_dump(exclude={"kind", "file"}))


@contextmanager
def _field_named(part: str) -> Iterator[None]:
    """Prefix the field that a network's ConfigError starts with by the part of config.json it belongs to."""
    try:
        yield
    except ConfigError as error:
        raise ConfigError(f"{CONFIG_FILE}: {part}.{error}") from error


def _copy(file: Path, target: Path) -> None:
    """Copy a network's file and the files beside it that hold its weights."""
    others = openvino_files(file)[1:] if file.suffix == OPENVINO_SUFFIX else external_files(file)
    for original in [file, *others]:
        copy = target.parent / original.relative_to(file.parent)
        copy.parent.mkdir(parents=True, exist_ok=True)
        if not (copy.exists() and copy.samefile(original)):  # a folder's own files may be saved again with other options
            shutil.copyfile(original, copy)

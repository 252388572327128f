"""Two steps: any detector finds the people, any embedder describes each of them.

Source: [D; R] of "Diverse Knowledge Distillation for End-to-End Person Search" (DKD), Table 2: a detector, and a
re-identification network run on the crops of what it finds.
"""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol, TypeVar

import numpy as np
from pydantic import AfterValidator, BaseModel, Field

from personsearch.boxes import Array, clip
from personsearch.errors import ConfigError, ShapeError, WeightsError
from personsearch.models.device import resolve_device
from personsearch.models.two_step.reid_onnx import ReidEmbedder, ReidOptions
from personsearch.models.two_step.torchvision_detector import TorchvisionFileOptions, open_torchvision
from personsearch.models.two_step.yolox_onnx import YoloxDetector, YoloxOptions
from personsearch.onnx_session import external_files
from personsearch.options import Settings, parse
from personsearch.results import Detections
from personsearch.weights import CONFIG_FILE, fingerprint, read_config
from personsearch.weights.contents import check_inside

MIN_SCORE = 0.25

Options = TypeVar("Options", bound=BaseModel)


class Detector(Protocol):
    """Finds people."""

    @property
    def fingerprint(self) -> str:
        """Digest of all that decides a box: weights, preprocessing, thresholds."""

    def prepare(self, image: Array) -> Any:
        """The network's input for one RGB uint8 image (H, W, 3). Called from decoding threads: touches no shared state."""

    def detect(self, prepared: Sequence[Any]) -> list[tuple[Array, Array]]:
        """For each image boxes (N, 4), xyxy original pixels, and scores (N,), 0..1; in any order; N may be 0."""


class Embedder(Protocol):
    """Describes people."""

    @property
    def fingerprint(self) -> str:
        """Digest of all that decides a feature: weights and preprocessing."""

    @property
    def embedding_dim(self) -> int:
        """D, the length of a feature."""

    def embed(self, crops: Sequence[Array]) -> Array:
        """(N, D) features, of any norm, for N crops, RGB uint8 (h, w, 3) of at least 1 x 1; N may be 0."""


@dataclass(frozen=True)
class TwoStepInput:
    """One image, to find people in and to crop them from."""

    image: Array  # (H, W, 3) uint8, RGB
    for_detector: Any


class TwoStep:
    """A detector and an embedder as one `PersonModel`.

    Boxes are cut to the image. A feature of zeros has no direction: its row stays zeros, so that it is like nobody
    (cosine 0 with everyone).

    Args:
        detector: finds the people.
        embedder: describes them, from their crops.
        min_score: of a detection that enters a gallery, 0..1.
        name: for people to read.
    """

    def __init__(self, detector: Detector, embedder: Embedder, *, min_score: float = MIN_SCORE, name: str = "two-step") -> None:
        self.detector = detector
        self.embedder = embedder
        self.min_score = min_score
        self.name = name
        self.embedding_dim = embedder.embedding_dim
        self.fingerprint = fingerprint({"detector": detector.fingerprint, "embedder": embedder.fingerprint}, [])

    def prepare(self, image: Array) -> TwoStepInput:
        """The image itself, and the detector's input for it."""
        return TwoStepInput(image, self.detector.prepare(image))

    def detect(self, prepared: Sequence[TwoStepInput], *, min_score: float = 0.0) -> list[Detections]:
        """The people of each image from `min_score` on, best first; boxes in original pixels, inside the image.

        Raises:
            ShapeError, WeightsError: the detector or the embedder returns what it must not.
        """
        results = self.detector.detect([item.for_detector for item in prepared])
        found = [_inside(item.image, *result, min_score) for item, result in zip(prepared, results, strict=True)]
        rows = self.embed(prepared, [boxes for boxes, _ in found])
        return [Detections(boxes, scores, part) for (boxes, scores), part in zip(found, rows, strict=True)]

    def embed(self, prepared: Sequence[TwoStepInput], boxes: Sequence[Array]) -> list[Array]:
        """(N, D) unit rows for each image's (N, 4) boxes in original pixels; all crops go to the embedder together."""
        crops = [crop(item.image, box) for item, ours in zip(prepared, boxes, strict=True) for box in ours]
        rows = self.embed_crops(crops)
        ends = np.cumsum([len(ours) for ours in boxes])
        return [rows[end - len(ours) : end] for ours, end in zip(boxes, ends, strict=True)]

    def embed_crops(self, crops: Sequence[Array]) -> Array:
        """(N, D) unit rows of N bare crops, RGB uint8 (h, w, 3)."""
        features = self.embedder.embed(crops)
        if features.shape != (len(crops), self.embedding_dim):
            raise ShapeError(f"{len(crops)} crops need features ({len(crops)}, {self.embedding_dim}), the embedder gave {features.shape}")
        if not np.isfinite(features).all():
            raise WeightsError("the embedder gave a feature that is not finite; its weights are damaged or its input is scaled wrongly")
        features = features.astype(np.float64)  # squares of float32 overflow from 1e19 on
        lengths = np.linalg.norm(features, axis=1, keepdims=True)
        rows: Array = (features / np.where(lengths > 0, lengths, 1)).astype(np.float32)
        return rows


def crop(image: Array, box: Array) -> Array:
    """The pixels of an image (H, W, 3) in a box (4,) xyxy, its corners rounded to whole pixels; at least one; a view, not a copy."""
    height, width = image.shape[:2]
    x1, y1, x2, y2 = np.rint(box).astype(int).tolist()
    left, top = min(max(x1, 0), width - 1), min(max(y1, 0), height - 1)
    return image[top : max(top + 1, min(y2, height)), left : max(left + 1, min(x2, width))]


def _inside(image: Array, boxes: Array, scores: Array, min_score: float) -> tuple[Array, Array]:
    """Boxes (N, 4) cut to the image and their scores (N,), float32, best first; wholly outside or below `min_score`: left out."""
    boxes, scores = np.asarray(boxes, np.float32), np.asarray(scores, np.float32)
    if scores.ndim != 1 or boxes.shape != (len(scores), 4):
        raise ShapeError(f"a detector must give boxes (N, 4) and scores (N,), it gave {boxes.shape} and {scores.shape}")
    if not (np.isfinite(boxes).all() and np.isfinite(scores).all()):
        raise WeightsError("the detector gave a box or score that is not finite; its weights are damaged or its input is scaled wrongly")
    boxes = clip(boxes, *image.shape[:2])
    kept = np.flatnonzero((boxes[:, 2:] > boxes[:, :2]).all(axis=1) & (scores >= min_score))
    order = kept[np.argsort(-scores[kept], kind="stable")]
    return boxes[order], scores[order]


PartFile = Annotated[str, AfterValidator(check_inside)]


class YoloxPart(YoloxOptions):
    """A YOLOX file as the detector of a config.json."""

    kind: Literal["yolox-onnx"]
    file: PartFile


class TorchvisionPart(TorchvisionFileOptions):
    """A safetensors file of one of torchvision's detectors as the detector of a config.json."""

    kind: Literal["torchvision"]
    file: PartFile


class ReidPart(ReidOptions):
    """An ONNX file as the embedder of a config.json."""

    kind: Literal["reid-onnx"]
    file: PartFile


class TwoStepConfig(Settings):
    """What the config.json of two steps says."""

    architecture: Literal["two-step"] = "two-step"
    name: str = "two-step"  # for people to read
    min_score: float = Field(default=MIN_SCORE, ge=0, le=1)  # a detection below it does not enter a gallery
    detector: YoloxPart | TorchvisionPart = Field(discriminator="kind")
    embedder: ReidPart


def open_folder(folder: Path, device: str) -> TwoStep:
    """The model of a folder with a `TwoStepConfig` in config.json and the files it names.

    Raises:
        ConfigError: config.json is missing or malformed, or does not fit the files; the message names the field.
        WeightsError: a file is missing or damaged, or is no detector or no embedder.
        DeviceError: the device is not there.
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
    """A model folder for `PersonSearcher.from_pretrained`, made of two networks' files, which are opened first and then copied.

    Args:
        folder: made if need be.
        detector_file: a YOLOX network (ONNX), or torchvision's weights (safetensors).
        embedder_file: a re-identification network (ONNX).
        detector: `kind` ("yolox-onnx" if left out, or "torchvision") and the options of that kind.
        embedder: options of `ReidOptions`, where they are not torchreid's.
        min_score: of a detection that enters a gallery, 0..1.
        name: for people to read.

    Raises:
        ConfigError: an option is unknown, out of range, or does not fit the file.
        WeightsError: a file is missing or damaged, or is no detector or no embedder.
    """
    folder, found, described = Path(folder), Path(detector_file), Path(embedder_file)
    values = {
        "architecture": "two-step",
        "name": name,
        "min_score": min_score,
        "detector": {"kind": "yolox-onnx", **(detector or {}), "file": f"detector/{found.name}"},
        "embedder": {"kind": "reid-onnx", **(embedder or {}), "file": f"embedder/{described.name}"},
    }
    config = parse(TwoStepConfig, values, folder / CONFIG_FILE)
    _open(config, found, described, "cpu")
    _copy(found, folder / config.detector.file)
    _copy(described, folder / config.embedder.file)
    (folder / CONFIG_FILE).write_text(config.model_dump_json(indent=2, exclude_none=True) + "\n", encoding="utf-8")
    return folder


def _open(config: TwoStepConfig, detector_file: Path, embedder_file: Path, device: str) -> TwoStep:
    with _naming("detector"):
        detector = _open_detector(config.detector, detector_file, device)
    with _naming("embedder"):
        embedder = ReidEmbedder(embedder_file, _options(ReidOptions, config.embedder), device=device)
    return TwoStep(detector, embedder, min_score=config.min_score, name=config.name)


def _open_detector(part: YoloxPart | TorchvisionPart, file: Path, device: str) -> Detector:
    if isinstance(part, YoloxPart):
        return YoloxDetector(file, _options(YoloxOptions, part), device=device)
    return open_torchvision(file, _options(TorchvisionFileOptions, part), device=resolve_device(device))


def _options(schema: type[Options], part: BaseModel) -> Options:
    return schema.model_validate(part.model_dump(exclude={"kind", "file"}))


@contextmanager
def _naming(part: str) -> Iterator[None]:
    """Put the part in front of the field that an adapter's ConfigError starts with."""
    try:
        yield
    except ConfigError as error:
        raise ConfigError(f"{CONFIG_FILE}: {part}.{error}") from error


def _copy(file: Path, target: Path) -> None:
    """Copy a network's file and the weights that it keeps in files beside it."""
    for source in [file, *external_files(file)]:
        place = target.parent / source.relative_to(file.parent)
        place.parent.mkdir(parents=True, exist_ok=True)
        if not (place.exists() and place.samefile(source)):  # a folder's own files may be saved again with other options
            shutil.copyfile(source, place)

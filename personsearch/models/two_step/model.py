"""Two steps: any detector finds the people, any embedder embeds their crops.

Source: [D; R] of "Diverse Knowledge Distillation for End-to-End Person Search" (DKD), Table 2: a detector, and a
re-identification network run on the crops of its detections.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from personsearch.boxes import Array, clip, have_area
from personsearch.errors import ConfigError, ShapeError, WeightsError
from personsearch.models.two_step.protocols import Detector, Embedder
from personsearch.options import Settings, parse
from personsearch.results import Detections
from personsearch.weights import fingerprint

MIN_SCORE = 0.25


@dataclass(frozen=True)
class TwoStepInput:
    """One image: the detector's input, and the pixels that crops are cut from."""

    image: Array  # (H, W, 3) uint8, RGB
    for_detector: Any


class TwoStep:
    """A detector and an embedder as one `PersonModel`.

    Boxes are cut to the image. A feature of zeros has no direction: its row stays zeros and has cosine 0 with every other row.

    Args:
        detector: Network that finds the people.
        embedder: Network that embeds their crops.
        min_score: Score from which a detection enters a gallery, 0..1.
        name: Name shown to users.
    """

    def __init__(self, detector: Detector, embedder: Embedder, *, min_score: float = MIN_SCORE, name: str = "two-step") -> None:
        self.detector = detector
        self.embedder = embedder
        self.min_score = min_score
        self.name = name
        self.embedding_dim = embedder.embedding_dim

    @property
    def fingerprint(self) -> str:
        """Digest of both networks."""
        return fingerprint({"detector": self.detector.fingerprint, "embedder": self.embedder.fingerprint}, [])

    @property
    def batches_at_once(self) -> int:
        """Number of batches that may run at the same time: those of the detector."""
        return int(getattr(self.detector, "batches_at_once", 1))

    def prepare(self, image: Array) -> TwoStepInput:
        """The image itself, and the detector's input for it."""
        return TwoStepInput(image, self.detector.prepare(image))

    def detect(self, prepared: Sequence[TwoStepInput], *, min_score: float = 0.0) -> list[Detections]:
        """The people of each image from `min_score` on, best first; boxes in original pixels, inside the image.

        Raises:
            ShapeError, WeightsError: the detector or the embedder returns wrong shapes or numbers that are not finite.
        """
        results = self.detector.detect([item.for_detector for item in prepared])
        people = [_inside(item.image, *result, min_score) for item, result in zip(prepared, results, strict=True)]
        embeddings = self.embed(prepared, [boxes for boxes, _ in people])
        return [Detections(boxes, scores, rows) for (boxes, scores), rows in zip(people, embeddings, strict=True)]

    def embed(self, prepared: Sequence[TwoStepInput], boxes: Sequence[Array]) -> list[Array]:
        """(N, D) unit rows for each image's (N, 4) boxes in original pixels; all crops go to the embedder together."""
        crops = [crop(item.image, box) for item, image_boxes in zip(prepared, boxes, strict=True) for box in image_boxes]
        rows = self.embed_crops(crops)
        ends = np.cumsum([len(image_boxes) for image_boxes in boxes])
        return [rows[end - len(image_boxes) : end] for image_boxes, end in zip(boxes, ends, strict=True)]

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


def set_tiles(model: object, tiles: tuple[int, int]) -> None:
    """Let a model's detector search (rows, columns) of overlapping tiles too; this changes the model's fingerprint.

    Raises:
        ConfigError: the model's detector has no tiles, or these are not two numbers of 1 to 32.
    """
    detector: Any = model.detector if isinstance(model, TwoStep) else None
    options = getattr(detector, "options", None)
    if not isinstance(options, Settings) or "tiles" not in type(options).model_fields:
        raise ConfigError("tiles need a bundled model or a two-step model with a YOLOX detector; leave tiles out for this model")
    detector.options = parse(type(options), options.model_dump() | {"tiles": tiles}, "tiles")
    detector.fingerprint = fingerprint({"detector": detector.fingerprint, "tiles": detector.options.tiles}, [])


def crop(image: Array, box: Array) -> Array:
    """The pixels of an image (H, W, 3) in a box (4,) xyxy with rounded corners, at least one pixel; a view, not a copy."""
    height, width = image.shape[:2]
    x1, y1, x2, y2 = np.rint(box).astype(int).tolist()
    left, top = min(max(x1, 0), width - 1), min(max(y1, 0), height - 1)
    return image[top : max(top + 1, min(y2, height)), left : max(left + 1, min(x2, width))]


def _inside(image: Array, boxes: Array, scores: Array, min_score: float) -> tuple[Array, Array]:
    """Boxes (N, 4) cut to the image and scores (N,), float32, best first, without those outside the image or below `min_score`."""
    boxes, scores = np.asarray(boxes, np.float32), np.asarray(scores, np.float32)
    if scores.ndim != 1 or boxes.shape != (len(scores), 4):
        raise ShapeError(f"the detector gave boxes {boxes.shape} and scores {scores.shape}; they must be (N, 4) and (N,)")
    if not (np.isfinite(boxes).all() and np.isfinite(scores).all()):
        raise WeightsError("the detector gave a box or score that is not finite; its weights are damaged or its input is scaled wrongly")
    boxes = clip(boxes, *image.shape[:2])
    people = np.flatnonzero(have_area(boxes) & (scores >= min_score))
    order = people[np.argsort(-scores[people], kind="stable")]
    return boxes[order], scores[order]

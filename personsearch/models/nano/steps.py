"""The bundled model's detector and embedder around their networks: all that is the same on PyTorch and ONNX Runtime."""

from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from personsearch.boxes import Array, suppress
from personsearch.images import opencv
from personsearch.models.nano.options import NanoOptions, NanoReidOptions
from personsearch.models.parts.letterbox import INTERPOLATION, View, letterbox
from personsearch.models.scene_input import RGB_MEAN, RGB_STD

cv2 = opencv()

COARSEST = 32  # stride of the coarsest level; the sides of a canvas are multiples of it
HALVE_ABOVE = 2  # an image more than this many times larger than its canvas is halved first
BEFORE_NMS = 1000  # cells of an image that enter NMS, best first
CROPS_AT_ONCE = 64


class ViewDetector(ABC):
    """A network that scores the cells of a whole image, as the `Detector` of a two-step model.

    Args:
        options: Size of the input, and thresholds.
        fingerprint: Digest of options and weights.
    """

    def __init__(self, options: NanoOptions, *, fingerprint: str) -> None:
        self.options = options
        self.fingerprint = fingerprint

    @abstractmethod
    def _cells(self, canvases: Array) -> tuple[Array, Array]:
        """Logits (B, P) and boxes (B, P, 4), xyxy pixels of the canvas, of all cells of (B, H, W, 3) canvases; float32."""

    def prepare(self, image: Array) -> View:
        """An RGB uint8 image (H, W, 3), resized with its aspect ratio kept, on a canvas of whole cells."""
        return resized(image, self.options.short_side, self.options.long_side)

    def detect(self, prepared: Sequence[View]) -> list[tuple[Array, Array]]:
        """For each image boxes (N, 4) float32, xyxy original pixels, and scores (N,) float32, best first."""
        groups: dict[tuple[int, ...], list[int]] = defaultdict(list)
        for i, view in enumerate(prepared):
            groups[view.canvas.shape].append(i)
        detections: dict[int, tuple[Array, Array]] = {}
        for images in groups.values():
            cells = self._cells(np.stack([prepared[i].canvas for i in images]))
            for i, logits, boxes in zip(images, *cells, strict=True):
                people, scores = self._select(_sigmoid(logits), boxes)
                detections[i] = prepared[i].to_image(people), scores
        return [detections[i] for i in range(len(prepared))]

    def _select(self, scores: Array, boxes: Array) -> tuple[Array, Array]:
        """Boxes (N, 4) and scores (N,) of the people among P cells, best first."""
        likely = np.flatnonzero(scores >= self.options.score_threshold)
        order = likely[np.argsort(-scores[likely], kind="stable")[:BEFORE_NMS]]
        people = order[suppress(boxes[order], scores[order], self.options.nms_iou)]
        return boxes[people], scores[people]


class CropEmbedder(ABC):
    """A crop network as the `Embedder` of a two-step model; crops are resized by OpenCV, which is fast on a CPU.

    Args:
        options: Size of its crops.
        fingerprint: Digest of options and weights.
    """

    def __init__(self, options: NanoReidOptions, *, fingerprint: str) -> None:
        self.options = options
        self.embedding_dim = options.embedding_dim
        self.fingerprint = fingerprint
        std = np.array(RGB_STD, np.float32)
        levels = np.arange(256, dtype=np.float32)[:, None] / (255 * std) - np.array(RGB_MEAN, np.float32) / std
        self._normalised = levels[None]  # (1, 256, 3): normalised value of each level of each channel, for a fast look-up

    @abstractmethod
    def _rows(self, crops: Array) -> Array:
        """(N, D) unit rows of (N, height, width, 3) float32 crops, normalised."""

    def embed(self, crops: Sequence[Array]) -> Array:
        """(N, D) float32 unit rows of N crops, RGB uint8 (h, w, 3); N may be 0."""
        batches = [crops[start : start + CROPS_AT_ONCE] for start in range(0, len(crops), CROPS_AT_ONCE)]
        return np.concatenate([np.zeros((0, self.embedding_dim), np.float32), *map(self._embed, batches)])

    def _embed(self, crops: Sequence[Array]) -> Array:
        """(N, D) unit rows of N >= 1 crops, in one run of the network."""
        small = (resize(crop, self.options.height, self.options.width) for crop in crops)
        return self._rows(np.stack([cv2.LUT(crop, self._normalised) for crop in small]))


def resized(image: Array, short_side: int, long_side: int) -> View:
    """The whole image, resized to fit short_side x long_side, on a canvas whose sides are multiples of the coarsest stride."""
    height, width = image.shape[:2]
    ratio = min(short_side / min(height, width), long_side / max(height, width))
    size = (_whole_cells(height * ratio), _whole_cells(width * ratio))
    # Averaging keeps the outlines of small people; exact halves are the fastest way to average
    while min(image.shape[:2]) > 1 and image.shape[0] > HALVE_ABOVE * size[0] and image.shape[1] > HALVE_ABOVE * size[1]:
        image = cv2.resize(image, (image.shape[1] // 2, image.shape[0] // 2), interpolation=cv2.INTER_AREA)
    view = letterbox(image, (0, 0, image.shape[1], image.shape[0]), size)
    return View(view.canvas, (0, 0, width, height), view.resized, (height, width))


def resize(crop: Array, height: int, width: int) -> Array:
    """A crop (h, w, 3) uint8 resized to (height, width, 3); pixels are averaged where both sides shrink."""
    shrinks = crop.shape[0] > height and crop.shape[1] > width
    small: Array = cv2.resize(crop, (width, height), interpolation=cv2.INTER_AREA if shrinks else INTERPOLATION)
    return small


def _sigmoid(logits: Array) -> Array:
    with np.errstate(over="ignore"):  # the score of a logit below -88 is 0
        scores: Array = 1 / (1 + np.exp(-logits))
    return scores


def _whole_cells(pixels: float) -> int:
    return max(1, round(pixels / COARSEST)) * COARSEST

"""A model whose people are solid rectangles on grey: every number of a search can be worked out by hand."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy import ndimage

from personsearch.boxes import Array
from personsearch.results import Detections

GREY = 128
RED, GREEN, BLUE, YELLOW = (228, 128, 128), (128, 228, 128), (128, 128, 228), (228, 228, 128)


class RectangleModel:
    """Detects rectangles; the embedding is the colour's direction from grey, the score the height over 100."""

    name = "rectangles"
    fingerprint = "f" * 64
    embedding_dim = 3
    min_score = 0.3

    def __init__(self) -> None:
        self.detected = 0

    def prepare(self, image: Array) -> Array:
        return image

    def detect(self, prepared: Sequence[Array], *, min_score: float = 0.0) -> list[Detections]:
        self.detected += len(prepared)
        found = [self._detect(image) for image in prepared]
        return [one.take(one.scores >= min_score) for one in found]

    def _detect(self, image: Array) -> Detections:
        labels, _ = ndimage.label((np.abs(image.astype(int) - GREY) > 40).any(axis=2))  # a video's colours are not exact
        slices = ndimage.find_objects(labels)
        boxes = np.array([[x.start, y.start, x.stop, y.stop] for y, x in slices], np.float32).reshape(-1, 4)
        scores = (boxes[:, 3] - boxes[:, 1]) / np.float32(100)
        order = np.argsort(-scores, kind="stable")
        return Detections(boxes[order], scores[order], self._rows(image, boxes[order]))

    def embed(self, prepared: Sequence[Array], boxes: Sequence[Array]) -> list[Array]:
        return [self._rows(image, one) for image, one in zip(prepared, boxes, strict=True)]

    def embed_crops(self, crops: Sequence[Array]) -> Array:
        return np.concatenate([self._rows(crop, np.array([[0, 0, crop.shape[1], crop.shape[0]]], np.float32)) for crop in crops])

    def _rows(self, image: Array, boxes: Array) -> Array:
        rows = np.zeros((len(boxes), 3), np.float32)
        for i, (x1, y1, x2, y2) in enumerate(boxes.astype(int)):
            rows[i] = image[y1:y2, x1:x2].reshape(-1, 3).mean(axis=0) - GREY
        return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-6)


def scene(*people: tuple[tuple[int, int, int], int, int, int]) -> Array:
    """A grey scene of 120 x 200 pixels with people (colour, left, top, height), each 20 pixels wide."""
    image = np.full((120, 200, 3), GREY, np.uint8)
    for colour, left, top, height in people:
        image[top : top + height, left : left + 20] = colour
    return image


def open_folder(folder: Path, device: str) -> RectangleModel:
    """As a models module offers it, so that the command line can open the fake."""
    return RectangleModel()

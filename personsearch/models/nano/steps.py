"""The bundled model's detector and embedder around their networks: all that is the same on PyTorch and ONNX Runtime."""

import math
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from personsearch.boxes import Array, suppress
from personsearch.images import opencv
from personsearch.models.nano.options import NanoOptions, NanoReidOptions
from personsearch.models.parts.letterbox import INTERPOLATION, TILE_OVERLAP, Region, View, letterbox, tile_regions
from personsearch.models.scene_input import RGB_MEAN, RGB_STD

cv2 = opencv()

COARSEST = 32  # stride of the coarsest level; the sides of a canvas are multiples of it
HALVE_ABOVE = 2  # an image more than this many times larger than its canvas is halved first
BEFORE_NMS = 1000  # cells of a view that enter NMS, best first
PANORAMA = 1.5  # an image so many times longer than the canvas's shape is looked at in pieces too
MOST_PIECES = 32
PART_INSIDE, PART_AREA, PART_SCORE = (
    0.8,
    0.6,
    0.3,
)  # share of a part within a person's box, area over the person's, score of the person
CROPS_AT_ONCE = 64
SHORTEST = 1e-6  # length of a sum of two rows, so that opposite rows give no division by zero


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

    def prepare(self, image: Array) -> list[View]:
        """Views of an RGB uint8 image (H, W, 3): the whole, the tiles if there are any, and the pieces of a panorama."""
        short_side, long_side = self.options.short_side, self.options.long_side
        parts = regions(image.shape[0], image.shape[1], short_side, long_side, tiles=self.options.tiles)
        return [resized(image, short_side, long_side, region=part) for part in parts]

    def detect(self, prepared: Sequence[list[View]]) -> list[tuple[Array, Array]]:
        """For each image boxes (N, 4) float32, xyxy original pixels, and scores (N,) float32, best first."""
        views = [view for views_of_image in prepared for view in views_of_image]
        cells = self._all_cells([view.canvas for view in views])
        people = [self._select(view, _sigmoid(logits), boxes) for view, (logits, boxes) in zip(views, cells, strict=True)]
        in_order = iter(people)
        return [self._merge(views_of_image[0], [next(in_order) for _ in views_of_image]) for views_of_image in prepared]

    def _all_cells(self, canvases: Sequence[Array]) -> list[tuple[Array, Array]]:
        """Logits (P,) and boxes (P, 4) of each canvas; those of one size go through the network together."""
        groups: dict[tuple[int, ...], list[int]] = defaultdict(list)
        for i, canvas in enumerate(canvases):
            groups[canvas.shape].append(i)
        cells: dict[int, tuple[Array, Array]] = {}
        for numbers in groups.values():
            cells |= zip(numbers, zip(*self._cells(np.stack([canvases[i] for i in numbers])), strict=True), strict=True)
        return [cells[i] for i in range(len(canvases))]

    def _select(self, view: View, scores: Array, boxes: Array) -> tuple[Array, Array]:
        """Boxes (N, 4) in original pixels and scores (N,) of the people among a view's P cells, without people cut by a tile's border."""
        likely = np.flatnonzero(scores >= self.options.score_threshold)
        likely = likely[~view.is_cut(boxes[likely])]
        order = likely[np.argsort(-scores[likely], kind="stable")[:BEFORE_NMS]]
        people = order[suppress(boxes[order], scores[order], self.options.nms_iou)]
        return view.to_image(boxes[people]), scores[people]

    def _merge(self, whole: View, views: list[tuple[Array, Array]]) -> tuple[Array, Array]:
        """Boxes and scores of all views of an image, each person once.

        Parts of people are left out, but not in a panorama: shrunk as a whole, it shows a group of people as one.
        """
        if len(views) == 1:
            return views[0]
        boxes, scores = (np.concatenate(arrays) for arrays in zip(*views, strict=True))
        if not is_panorama(*whole.image, self.options.short_side, self.options.long_side):
            seen_whole = len(views[0][0])
            people = np.append(np.full(seen_whole, True), ~are_parts(boxes[seen_whole:], *views[0]))
            boxes, scores = boxes[people], scores[people]
        people = suppress(boxes, scores, self.options.nms_iou)
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
        """(N, D) unit rows of N >= 1 crops, in one run of the network, or two."""
        small = (resize(crop, self.options.height, self.options.width) for crop in crops)
        inputs = np.stack([cv2.LUT(crop, self._normalised) for crop in small])
        if not self.options.mirrored:
            return self._rows(inputs)
        sums = self._rows(inputs) + self._rows(np.ascontiguousarray(inputs[:, :, ::-1]))
        rows: Array = sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), SHORTEST)
        return rows


def are_parts(boxes: Array, larger: Array, scores: Array) -> Array:
    """(N,) whether boxes (N, 4) of tiles show a part of a person of the whole picture.

    Args:
        boxes: Boxes, xyxy pixels of the picture.
        larger: Boxes of the whole picture, (M, 4).
        scores: Scores of `larger`, (M,).
    """
    low, high = np.maximum(boxes[:, None, :2], larger[:, :2]), np.minimum(boxes[:, None, 2:], larger[:, 2:])
    area, larger_area = ((box[:, 2:] - box[:, :2]).prod(axis=1) for box in (boxes, larger))
    inside = (high - low).clip(0).prod(axis=2) > PART_INSIDE * area[:, None]
    parts: Array = (inside & (area[:, None] < PART_AREA * larger_area) & (scores >= PART_SCORE)).any(axis=1)
    return parts


def regions(height: int, width: int, short_side: int, long_side: int, *, tiles: tuple[int, int] | None) -> list[Region]:
    """Parts of an image of (height, width) that are looked at: the whole, the tiles, and pieces of a panorama.

    A panorama is an image that `long_side` would shrink much further than `short_side`; its pieces have the shape of the canvas or
    are squarer, so that `short_side` decides their scale.
    """
    parts = [(0, 0, width, height)]
    if tiles is not None:
        parts += tile_regions(height, width, *tiles)
    if is_panorama(height, width, short_side, long_side):
        short, long = sorted((height, width))
        count = min(MOST_PIECES, math.ceil((long / (short * long_side / short_side) - TILE_OVERLAP) / (1 - TILE_OVERLAP)))
        parts += tile_regions(height, width, *((1, count) if width > height else (count, 1)))
    return parts


def is_panorama(height: int, width: int, short_side: int, long_side: int) -> bool:
    """Whether `long_side` would shrink an image much further than `short_side`."""
    short, long = sorted((height, width))
    return long > max(long_side, PANORAMA * short * long_side / short_side)


def resized(image: Array, short_side: int, long_side: int, *, region: Region | None = None) -> View:
    """A region of the image or the whole, resized to fit short_side x long_side, on a canvas of whole cells of the coarsest stride."""
    x1, y1, x2, y2 = region or (0, 0, image.shape[1], image.shape[0])
    pixels = image[y1:y2, x1:x2]
    height, width = pixels.shape[:2]
    ratio = min(short_side / min(height, width), long_side / max(height, width))
    size = (_whole_cells(height * ratio), _whole_cells(width * ratio))
    # Averaging keeps the outlines of small people; exact halves are the fastest way to average
    while min(pixels.shape[:2]) > 1 and pixels.shape[0] > HALVE_ABOVE * size[0] and pixels.shape[1] > HALVE_ABOVE * size[1]:
        pixels = cv2.resize(pixels, (pixels.shape[1] // 2, pixels.shape[0] // 2), interpolation=cv2.INTER_AREA)
    view = letterbox(pixels, (0, 0, pixels.shape[1], pixels.shape[0]), size)
    return View(view.canvas, (x1, y1, x2, y2), view.resized, (image.shape[0], image.shape[1]))


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

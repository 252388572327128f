"""The teacher labels photographs: it looks at the whole picture, at its mirror image, and at overlapping tiles."""

from collections.abc import Iterator

import numpy as np
import torch
from torchvision.ops import nms

from examples.nano.teachers import Finder
from personsearch.boxes import Array

TILES = 2  # rows and columns
TILE_SIDE = 0.6  # of the picture's
NEAR_CUT = 0.02  # of the tile's side: a box that ends so near to a cut is of a part of a person
NMS_IOU = 0.5
LEAST_SCORE = 0.1


class Labeller:
    """Finds people in pictures of any size.

    Args:
        finder: The public detector.
    """

    def __init__(self, finder: Finder) -> None:
        self.finder = finder

    def people(self, image: Array) -> tuple[Array, Array]:
        """Boxes (N, 4) float32 xyxy pixels of an RGB uint8 image (H, W, 3), and scores (N,), best first."""
        width = image.shape[1]
        boxes, scores = self.finder.scored(image, LEAST_SCORE)
        mirrored, mirrored_scores = self.finder.scored(np.ascontiguousarray(image[:, ::-1]), LEAST_SCORE)
        parts = [
            (boxes, scores),
            (np.stack([width - mirrored[:, 2], mirrored[:, 1], width - mirrored[:, 0], mirrored[:, 3]], axis=1), mirrored_scores),
        ]
        for left, top, tile in tiles(image):
            boxes, scores = self.finder.scored(tile, LEAST_SCORE)
            whole = uncut(boxes, tile.shape[:2], (left, top), image.shape[:2])
            parts.append((boxes[whole] + np.array([left, top] * 2, np.float32), scores[whole]))
        boxes, scores = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
        people = nms(torch.from_numpy(boxes), torch.from_numpy(scores), NMS_IOU).numpy()
        return boxes[people], scores[people]


def tiles(image: Array) -> Iterator[tuple[int, int, Array]]:
    """Left, top and pixels of the overlapping tiles."""
    height, width = (round(side * TILE_SIDE) for side in image.shape[:2])
    for row in range(TILES):
        for column in range(TILES):
            top, left = (image.shape[0] - height) * row // (TILES - 1), (image.shape[1] - width) * column // (TILES - 1)
            yield left, top, np.ascontiguousarray(image[top : top + height, left : left + width])


def uncut(boxes: Array, tile: tuple[int, int], at: tuple[int, int], image: tuple[int, int]) -> Array:
    """(N,) which of a tile's boxes (N, 4) do not end at a side of the tile that is inside the image.

    Args:
        boxes: Boxes, xyxy pixels of the tile.
        tile: Height and width of the tile.
        at: Left and top of the tile in the image.
        image: Height and width of the image.
    """
    (height, width), (left, top) = tile, at
    x, y = NEAR_CUT * width, NEAR_CUT * height
    cut = (boxes[:, 0] < x) & (left > 0) | (boxes[:, 1] < y) & (top > 0)
    cut |= (boxes[:, 2] > width - x) & (left + width < image[1]) | (boxes[:, 3] > height - y) & (top + height < image[0])
    return ~cut

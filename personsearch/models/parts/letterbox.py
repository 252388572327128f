"""Views of an image for detectors with a fixed input size: the whole image, and overlapping tiles for small people."""

from dataclasses import dataclass

import numpy as np

from personsearch.boxes import Array
from personsearch.images import opencv

cv2 = opencv()

INTERPOLATION = cv2.INTER_LINEAR_EXACT  # same pixels on every machine; INTER_LINEAR does not guarantee this
GREY = 114  # colour of the canvas outside the image
TILE_OVERLAP = 0.2  # share of a tile's side that the next tile has too
CUT_MARGIN = 2  # pixels of the view; a box this close to a tile's inner border shows a person cut by the border

Region = tuple[int, int, int, int]  # xyxy pixels of the image


@dataclass(frozen=True)
class View:
    """A region of an image, resized with its aspect ratio kept, in the top left of a grey canvas."""

    canvas: Array  # (S_h, S_w, 3) uint8, RGB
    region: Region
    resized: tuple[int, int]  # (height, width) of the region on the canvas
    image: tuple[int, int]  # (height, width) of the whole image

    def to_image(self, boxes_view: Array) -> Array:
        """(N, 4) boxes moved from canvas pixels to image pixels."""
        x1, y1, x2, y2 = self.region
        height, width = self.resized
        scale = np.array([(x2 - x1) / width, (y2 - y1) / height] * 2, np.float32)
        boxes: Array = boxes_view * scale + np.array([x1, y1, x1, y1], np.float32)
        return boxes

    def is_cut(self, boxes_view: Array) -> Array:
        """(N,) whether a box on the canvas touches a border of the region that is not a border of the image."""
        height, width = self.resized
        low = boxes_view[:, :2] < CUT_MARGIN
        high = boxes_view[:, 2:] > np.array([width, height]) - CUT_MARGIN
        inner_low = np.array(self.region[:2]) > 0
        inner_high = np.array(self.region[2:]) < np.array(self.image[::-1])
        touches: Array = (low & inner_low) | (high & inner_high)
        return touches[:, 0] | touches[:, 1]


def letterbox(image: Array, region: Region, size: tuple[int, int]) -> View:
    """The region of an RGB uint8 image (H, W, 3) as a view of `size` (height, width)."""
    x1, y1, x2, y2 = region
    ratio = min(size[0] / (y2 - y1), size[1] / (x2 - x1))
    height, width = max(1, round((y2 - y1) * ratio)), max(1, round((x2 - x1) * ratio))
    canvas = np.empty((*size, 3), np.uint8)
    canvas[height:], canvas[:, width:] = GREY, GREY
    cv2.resize(image[y1:y2, x1:x2], (width, height), dst=canvas[:height, :width], interpolation=INTERPOLATION)
    return View(canvas, region, (height, width), (image.shape[0], image.shape[1]))


def tile_regions(height: int, width: int, rows: int, columns: int) -> list[Region]:
    """Tiles of an image, row by row: `rows` x `columns` equal parts that overlap by TILE_OVERLAP and fill the image."""
    ys, xs = _spans(height, rows), _spans(width, columns)
    return [(x1, y1, x2, y2) for y1, y2 in ys for x1, x2 in xs]


def _spans(length: int, count: int) -> list[tuple[int, int]]:
    """`count` equal spans over 0..length; each of n spans is length / (n - (n - 1) * overlap) long, rounded up."""
    span = min(length, int(np.ceil(length / (count - (count - 1) * TILE_OVERLAP))))
    starts = [round(i * (length - span) / max(1, count - 1)) for i in range(count)]
    return [(start, start + span) for start in starts]

"""Boxes: xyxy pixels of the original image, float32, in rows of an (N, 4) array."""

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from personsearch.errors import BoxError

Array: TypeAlias = NDArray[Any]


def iou(a: Array, b: Array) -> Array:
    """Intersection over union of every box of `a` with every box of `b`.

    Args:
        a: (N, 4) xyxy, pixels, areas without +1.
        b: (M, 4) xyxy, same frame.

    Returns:
        (N, M) in 0..1; 0 where both boxes are empty.
    """
    top_left = np.maximum(a[:, None, :2], b[None, :, :2])
    bottom_right = np.minimum(a[:, None, 2:], b[None, :, 2:])
    overlap: Array = np.clip(bottom_right - top_left, 0, None).prod(axis=2)
    union = area(a)[:, None] + area(b)[None, :] - overlap
    return np.asarray(np.divide(overlap, union, out=np.zeros_like(overlap), where=union > 0))


def area(boxes: Array) -> Array:
    """(N,) areas in square pixels of (N, 4) xyxy boxes."""
    sides: Array = boxes[:, 2:] - boxes[:, :2]
    return np.asarray(sides[:, 0] * sides[:, 1])


def check_boxes(boxes: ArrayLike, height: int, width: int) -> Array:
    """(N, 4) float32 boxes cut to the image, after checking what a user passed.

    A box may stick out of the image; the part inside counts. (4,) is taken as one box.

    Raises:
        BoxError: not numbers, not (N, 4), not finite, corners swapped or equal, or wholly outside the image.
    """
    try:
        array = np.asarray(boxes, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise BoxError(f"boxes must be numbers x1, y1, x2, y2; got {boxes!r}") from error
    array = array.reshape(1, 4) if array.shape == (4,) else array
    if array.size == 0:
        return np.zeros((0, 4), np.float32)
    if array.ndim != 2 or array.shape[1] != 4:
        raise BoxError(f"boxes must have shape (N, 4), got {array.shape}; pass x1, y1, x2, y2 in pixels")
    for x1, y1, x2, y2 in array.tolist():
        _check_box(x1, y1, x2, y2, height, width)
    return clip(array, height, width)


def corners(box: ArrayLike) -> tuple[float, float, float, float]:
    """One box as four Python floats, from whatever holds four numbers: a tuple, a list, a row of an array.

    Raises:
        BoxError: not four numbers.
    """
    try:
        array = np.asarray(box, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise BoxError(f"a box must be four numbers x1, y1, x2, y2; got {box!r}") from error
    if array.shape != (4,):
        raise BoxError(f"a box must be four numbers x1, y1, x2, y2; got an array of shape {array.shape}")
    x1, y1, x2, y2 = array.tolist()
    return x1, y1, x2, y2


def clip(boxes: Array, height: int, width: int) -> Array:
    """(N, 4) boxes moved into the image: x to 0..width, y to 0..height."""
    limit = np.array([width, height, width, height], boxes.dtype)
    return np.clip(boxes, 0, limit)


def _check_box(x1: float, y1: float, x2: float, y2: float, height: int, width: int) -> None:
    shown = f"({x1:g}, {y1:g}, {x2:g}, {y2:g})"
    if not np.isfinite([x1, y1, x2, y2]).all():
        raise BoxError(f"box {shown} is not finite; pass x1, y1, x2, y2 in pixels")
    if x2 <= x1 or y2 <= y1:
        raise BoxError(f"box {shown} is empty; x2 must be greater than x1 and y2 than y1 (xyxy, not xywh)")
    if x2 <= 0 or y2 <= 0 or x1 >= width or y1 >= height:
        raise BoxError(f"box {shown} lies outside the image of {width} x {height} pixels")

"""Boxes: xyxy pixels of the original image, float32, in rows of an (N, 4) array."""

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from personsearch.errors import BoxError, excerpt

Array: TypeAlias = NDArray[Any]

LEAST_SIDE = 4  # pixels; a smaller box holds no person that can be recognised


def iou(a: Array, b: Array) -> Array:
    """Intersection over union of every box of `a` with every box of `b`.

    Args:
        a: Boxes (N, 4), xyxy pixels; areas are computed without +1.
        b: Boxes (M, 4) in the same image.

    Returns:
        Overlaps (N, M) in 0..1; 0 where both boxes are empty.
    """
    top_left = np.maximum(a[:, None, :2], b[None, :, :2])
    bottom_right = np.minimum(a[:, None, 2:], b[None, :, 2:])
    overlap: Array = np.clip(bottom_right - top_left, 0, None).prod(axis=2)
    union = area(a)[:, None] + area(b)[None, :] - overlap
    return np.asarray(np.divide(overlap, union, out=np.zeros_like(overlap), where=union > 0))


def suppress(boxes: Array, scores: Array, most: float) -> Array:
    """Non-maximum suppression: (K,) rows of the boxes that no better box overlaps by more than `most`, best first.

    Of equal scores the earlier row is the better one, as in `torchvision.ops.nms`, whose rows these are.

    Args:
        boxes: Boxes (N, 4), xyxy; N may be 0.
        scores: Scores (N,).
        most: Greatest IoU with a better box.
    """
    order = np.argsort(-scores, kind="stable")
    left, top, right, bottom = np.ascontiguousarray(boxes[order].T)  # arrays of one number a box are fastest
    areas, others, people = (right - left) * (bottom - top), np.arange(len(order)), []
    while len(others):
        best, others = others[0], others[1:]
        people.append(order[best])
        width = np.minimum(right[others], right[best]) - np.maximum(left[others], left[best])
        height = np.minimum(bottom[others], bottom[best]) - np.maximum(top[others], top[best])
        overlap = np.maximum(width, 0) * np.maximum(height, 0)
        union = areas[others] + areas[best] - overlap
        others = others[~(np.divide(overlap, union, out=np.zeros_like(overlap), where=union > 0) > np.float64(most))]
    return np.array(people, np.int64)


def area(boxes: Array) -> Array:
    """(N,) areas in square pixels of (N, 4) xyxy boxes."""
    sides: Array = boxes[:, 2:] - boxes[:, :2]
    return np.asarray(sides[:, 0] * sides[:, 1])


def have_area(boxes: Array) -> Array:
    """(N,) whether each of (N, 4) xyxy boxes has a width and a height."""
    wide: Array = np.all(boxes[:, 2:] > boxes[:, :2], axis=1)
    return wide


def check_boxes(boxes: ArrayLike, height: int, width: int) -> Array:
    """The user's boxes as (N, 4) float32, checked and clipped to the image.

    A box may extend beyond the image; the part inside counts. An array of shape (4,) is one box.

    Raises:
        BoxError: A box is not four finite numbers, has swapped or equal corners, or lies completely outside the image.
    """
    try:
        array = np.asarray(boxes, dtype=np.float32)
    except (TypeError, ValueError, OverflowError) as error:  # OverflowError: a whole number beyond the range of a float
        raise BoxError(f"boxes must be numbers x1, y1, x2, y2; got {excerpt(boxes)}") from error
    array = array.reshape(1, 4) if array.shape == (4,) else array
    if array.size == 0:
        return np.zeros((0, 4), np.float32)
    if array.ndim != 2 or array.shape[1] != 4:
        raise BoxError(f"boxes must have shape (N, 4), got {array.shape}; pass x1, y1, x2, y2 in pixels")
    for x1, y1, x2, y2 in array.tolist():
        _check_box(x1, y1, x2, y2, height, width)
    return clip(array, height, width)


def check_pixels(boxes: ArrayLike, height: int, width: int) -> Array:
    """The user's boxes, as `check_boxes` gives them, without fractions of the picture.

    Raises:
        BoxError: As in `check_boxes`; or all numbers of a box are within 0..1.
    """
    checked = check_boxes(boxes, height, width)
    for given in np.asarray(boxes, np.float32).reshape(-1, 4).tolist():
        if min(given) >= 0 and max(given) <= 1:
            pixels = ", ".join(f"{value * side:.0f}" for value, side in zip(given, (width, height) * 2, strict=True))
            raise BoxError(
                f"box ({', '.join(f'{value:g}' for value in given)}) looks like fractions of the picture, and boxes are in pixels; "
                f"multiply x by the width and y by the height: in this picture of {width} x {height} pixels it is ({pixels})"
            )
    return checked


def check_person_box(box: ArrayLike, height: int, width: int) -> Array:
    """The user's box of one person as (1, 4), as `check_pixels` gives it, with at least `LEAST_SIDE` pixels a side.

    Raises:
        BoxError: As in `check_pixels`; or less than `LEAST_SIDE` pixels of a side are inside the picture.
    """
    checked = check_pixels(box, height, width)
    sides = checked[0, 2:] - checked[0, :2]
    if sides.min() < LEAST_SIDE:
        raise BoxError(
            f"box ({', '.join(f'{value:g}' for value in corners(box))}) has {sides[0]:g} x {sides[1]:g} pixels in this picture of {width} "
            f"x {height}, too few to recognise a person; pass the corners x1, y1, x2, y2 of the whole person (not x, y, width, height)"
        )
    return checked


def corners(box: ArrayLike) -> tuple[float, float, float, float]:
    """One box as four Python floats, from a tuple, a list, or a row of an array.

    Raises:
        BoxError: The box is not four numbers.
    """
    try:
        array = np.asarray(box, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise BoxError(f"a box must be four numbers x1, y1, x2, y2; got {excerpt(box)}") from error
    if array.shape != (4,):
        raise BoxError(f"a box must be four numbers x1, y1, x2, y2; got an array of shape {array.shape}")
    x1, y1, x2, y2 = array.tolist()
    return x1, y1, x2, y2


def clip(boxes: Array, height: int, width: int) -> Array:
    """(N, 4) boxes with x limited to 0..width and y to 0..height."""
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

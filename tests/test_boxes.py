"""Boxes: overlaps and areas by hand, and what is checked in a user's boxes."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from personsearch.boxes import Array, area, check_boxes, clip, corners, iou, suppress
from personsearch.errors import BoxError

BOXES = st.lists(st.tuples(*[st.integers(0, 9)] * 2, *[st.integers(10, 19)] * 2), max_size=6).map(
    lambda rows: np.array(rows, np.float32).reshape(-1, 4)
)


def test_iou_by_hand() -> None:
    a = np.array([[0, 0, 2, 2], [5, 5, 6, 6]], np.float32)
    b = np.array([[0, 0, 2, 2], [1, 0, 3, 2], [2, 0, 4, 2], [0, 0, 1, 1]], np.float32)
    assert iou(a, b) == pytest.approx(np.array([[1, 2 / 6, 0, 1 / 4], [0, 0, 0, 0]]))


def test_iou_of_empty_boxes_is_zero() -> None:
    point = np.zeros((1, 4), np.float32)
    assert iou(point, point).tolist() == [[0]]
    assert iou(np.zeros((0, 4)), np.zeros((3, 4))).shape == (0, 3)


@given(BOXES, BOXES)
def test_iou_is_symmetric_and_within_0_and_1(a: Array, b: Array) -> None:
    overlaps = iou(a, b)
    assert np.array_equal(overlaps, iou(b, a).T)
    assert ((overlaps >= 0) & (overlaps <= 1)).all()
    assert (np.diag(iou(a, a)) == 1).all()


def test_suppression_by_hand() -> None:
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 9], [0, 0, 10, 5], [50, 50, 60, 60], [0, 0, 10, 10]], np.float32)
    scores = np.array([0.5, 0.9, 0.8, 0.1, 0.5], np.float32)
    assert suppress(boxes, scores, 0.5).tolist() == [1, 3]  # overlaps of .9, 5/9 and .9 with row 1
    assert suppress(boxes, scores, 0.6).tolist() == [1, 2, 3]
    assert suppress(boxes, scores, 1.0).tolist() == [1, 2, 0, 4, 3]  # the earlier of two equal scores first
    assert suppress(boxes[:0], scores[:0], 0.5).tolist() == []


@given(st.integers(0, 60), st.integers(0, 2**32 - 1), st.sampled_from([0.0, 0.3, 0.45, 0.6, 0.7]))
def test_suppression_gives_the_rows_of_torchvision(count: int, seed: int, most: float) -> None:
    import torch
    from torchvision.ops import nms

    random = np.random.default_rng(seed)
    corner, sides = random.integers(0, 20, (2, count, 2))  # whole pixels: equal overlaps, equal scores and empty boxes do happen
    boxes = np.concatenate([corner, corner + sides], axis=1).astype(np.float32)
    scores = (random.integers(0, 10, count) / 10).astype(np.float32)
    assert suppress(boxes, scores, most).tolist() == nms(torch.from_numpy(boxes), torch.from_numpy(scores), most).tolist()


def test_area_by_hand() -> None:
    assert area(np.array([[1, 2, 4, 7.5], [3, 3, 3, 9]])).tolist() == [16.5, 0]


def test_clip_by_hand() -> None:
    assert clip(np.array([[-5.0, 2, 30, 40]]), height=20, width=25).tolist() == [[0, 2, 25, 20]]


def test_checked_boxes_are_clipped_float32_rows() -> None:
    checked = check_boxes([[-1, 2, 5, 99]], height=10, width=20)
    assert (checked.tolist(), checked.dtype) == ([[0, 2, 5, 10]], np.float32)
    assert check_boxes((1, 2, 3, 4), 10, 20).tolist() == [[1, 2, 3, 4]]
    assert check_boxes([], 10, 20).shape == (0, 4)


@pytest.mark.parametrize(
    ("boxes", "message"),
    [
        ("abc", "boxes must be numbers x1, y1, x2, y2; got 'abc'"),
        ([[1, 2, 3]], r"boxes must have shape \(N, 4\), got \(1, 3\)"),
        ([1, 2, 3], r"boxes must have shape \(N, 4\), got \(3,\)"),
        ([[1, 2, float("nan"), 4]], r"box \(1, 2, nan, 4\) is not finite"),
        ([[1, 2, float("inf"), 4]], r"box \(1, 2, inf, 4\) is not finite"),
        ([[5, 2, 5, 4]], r"box \(5, 2, 5, 4\) is empty; x2 must be greater than x1"),
        ([[1, 6, 5, 4]], r"box \(1, 6, 5, 4\) is empty"),
        ([[1, 2, 3, 4], [20, 2, 30, 4]], r"box \(20, 2, 30, 4\) lies outside the image of 20 x 10 pixels"),
        ([[-9, 2, 0, 4]], "lies outside the image"),
    ],
)
def test_wrong_boxes_are_errors(boxes: Any, message: str) -> None:
    with pytest.raises(BoxError, match=message):
        check_boxes(boxes, height=10, width=20)


@pytest.mark.parametrize("box", [(1, 2, 3, 4.5), [1, 2, 3, 4.5], np.array([1, 2, 3, 4.5], np.float32)])
def test_corners_are_four_python_floats(box: Any) -> None:
    assert corners(box) == (1, 2, 3, 4.5)
    assert {type(value) for value in corners(box)} == {float}


@pytest.mark.parametrize("box", [(), (1, 2, 3), np.zeros((1, 4)), "1,2,3,4", 7, None])
def test_corners_of_anything_else_are_an_error(box: Any) -> None:
    with pytest.raises(BoxError, match="a box must be four numbers x1, y1, x2, y2; got"):
        corners(box)


@pytest.mark.parametrize("value", [10**400, 10**5000], ids=["400 digits", "5000 digits"])
def test_numbers_beyond_floats_are_box_errors(value: int) -> None:
    """They were an OverflowError."""
    with pytest.raises(BoxError, match="must be numbers x1, y1, x2, y2"):
        check_boxes([[1, 2, value, 4]], 10, 20)
    with pytest.raises(BoxError, match="must be four numbers"):
        corners((1, 2, value, 4))


def test_a_long_input_is_not_quoted_whole() -> None:
    with pytest.raises(BoxError) as raised:
        corners("1, 2, 3, 4 " * 1000)
    assert len(str(raised.value)) < 200

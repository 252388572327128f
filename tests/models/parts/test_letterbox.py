"""Views of an image: positions of pixels, and boxes moved back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from personsearch.models.parts.letterbox import GREY, View, letterbox, tile_regions

sides = st.integers(1, 400)


def test_a_wide_image_fills_the_top_of_the_canvas() -> None:
    image = np.full((32, 128, 3), 200, np.uint8)
    view = letterbox(image, (0, 0, 128, 32), (64, 64))
    assert view.resized == (16, 64)
    assert (view.canvas[:16] == 200).all()
    assert (view.canvas[16:] == GREY).all()
    assert view.to_image(np.array([[8, 4, 64, 16]], np.float32)).tolist() == [[16, 8, 128, 32]]


def test_a_tile_keeps_its_position() -> None:
    image = np.zeros((100, 100, 3), np.uint8)
    image[40:, 60:] = 255
    view = letterbox(image, (60, 40, 100, 80), (20, 20))
    assert (view.canvas == 255).all()
    assert view.to_image(np.array([[0, 0, 10, 20]], np.float32)).tolist() == [[60, 40, 80, 80]]


@given(sides, sides)
def test_the_letterbox_is_undone_exactly_for_each_axis(height: int, width: int) -> None:
    view = letterbox(np.zeros((height, width, 3), np.uint8), (0, 0, width, height), (64, 96))
    resized = np.array([[0, 0, view.resized[1], view.resized[0]]], np.float32)
    assert 64 in view.resized[:1] or 96 in view.resized[1:]
    np.testing.assert_allclose(view.to_image(resized), [[0, 0, width, height]], rtol=1e-6)  # float32


def test_tiles_by_hand() -> None:
    # three spans of 280 share 0.2 x 100 = 20 with the next: 100 / 280 = 1 / (3 - 2 x 0.2) of the side, rounded up to 108
    assert [x for (*_,) in tile_regions(50, 280, 1, 3) for x in _] == [0, 0, 108, 50, 86, 0, 194, 50, 172, 0, 280, 50]
    assert tile_regions(90, 90, 2, 1) == [(0, 0, 90, 50), (0, 40, 90, 90)]
    assert tile_regions(9, 7, 1, 1) == [(0, 0, 7, 9)]


@given(sides, sides, st.integers(1, 4), st.integers(1, 4))
def test_tiles_fill_the_image(height: int, width: int, rows: int, columns: int) -> None:
    covered = np.zeros((height, width), bool)
    for x1, y1, x2, y2 in tile_regions(height, width, rows, columns):
        assert 0 <= x1 < x2 <= width
        assert 0 <= y1 < y2 <= height
        covered[y1:y2, x1:x2] = True
    assert covered.all()


@pytest.mark.parametrize(
    ("box", "cut"),
    [
        ((0, 10, 20, 30), False),  # touches the image's own left border
        ((5, 1, 20, 30), True),  # the tile's upper border is inside the image
        ((5, 10, 39, 30), True),  # so is its right border
        ((5, 10, 20, 40), False),  # the image ends here
        ((2, 2, 38, 38), False),
    ],
)
def test_a_person_cut_by_a_tiles_inner_border(box: tuple[float, ...], cut: bool) -> None:
    view = View(np.zeros((40, 40, 3), np.uint8), (0, 60, 40, 100), (40, 40), (100, 100))
    assert view.is_cut(np.array([box], np.float32)).tolist() == [cut]
    assert view.is_cut(np.zeros((0, 4), np.float32)).tolist() == []

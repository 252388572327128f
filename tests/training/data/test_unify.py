"""Data unification: from crops to scenes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from personsearch.training.data.dataset import Sample
from personsearch.training.data.unify import UnifyRecipe, unify


def crop(height: int, width: int, identity: int = 5) -> Sample:
    """The upper half 40, the lower 120."""
    image = np.full((height, width, 3), 40, np.uint8)
    image[height // 2 :] = 120
    return Sample(image, np.array([[0, 0, width, height]], np.float32), np.array([identity]), camera=2)


class Drawn:
    """Gives the lowest ratio and then the places asked for."""

    def __init__(self, *places: int) -> None:
        self.places, self.limits = list(places), []

    def uniform(self, low: float, high: float) -> float:
        return low

    def integers(self, limit: int) -> int:
        self.limits.append(limit)
        return self.places.pop(0)


def test_expand_resize_by_hand() -> None:
    # a canvas of twice the crop's 20 pixels in height, resized to 80: the person is 40 high, and 16 wide as before in proportion
    drawn = Drawn(7, 30)
    scene = unify(crop(20, 8), UnifyRecipe(size=(80, 120), ratios=(2, 4)), drawn)
    assert scene.image.shape == (80, 120, 3)
    assert scene.boxes.tolist() == [[30, 7, 46, 47]]
    assert drawn.limits == [41, 105]  # as many places as there are
    assert (scene.identities.tolist(), scene.camera) == ([5], 2)
    assert set(scene.image[7:26, 30:46].ravel().tolist()) == {40}
    assert set(scene.image[28:47, 30:46].ravel().tolist()) == {120}
    scene.image[7:47, 30:46] = 80
    assert (scene.image == 80).all()  # the crop's mean is all around


def test_stretched_by_hand() -> None:
    scene = unify(crop(20, 8), UnifyRecipe(size=(80, 120), ratios=(2, 4), stretch=True), Drawn(0, 0))
    assert scene.boxes.tolist() == [[0, 0, 60, 40]]  # half of the canvas both ways


def test_a_wide_crop_fills_the_width() -> None:
    scene = unify(crop(10, 40), UnifyRecipe(size=(60, 80), ratios=(1, 1)), Drawn(3, 0))
    assert scene.boxes.tolist() == [[0, 3, 80, 23]]


def test_random_paste_keeps_the_size() -> None:
    recipe = UnifyRecipe(operation="random_paste", size=(80, 120))
    scene = unify(crop(20, 8), recipe, Drawn(60, 112))
    assert scene.boxes.tolist() == [[112, 60, 120, 80]]
    np.testing.assert_array_equal(scene.image[60:80, 112:120], crop(20, 8).image)
    large = unify(crop(160, 40), recipe, Drawn(0, 5))
    assert large.boxes.tolist() == [[5, 0, 25, 80]]


@settings(max_examples=50)
@given(st.integers(8, 300), st.integers(8, 300), st.sampled_from([(60, 100), (100, 60), (8, 8)]), st.integers(0, 99), st.booleans())
def test_the_person_is_on_the_canvas_in_its_own_shape(height, width, size, seed, paste) -> None:
    recipe = UnifyRecipe(operation="random_paste" if paste else "expand_resize", size=size)
    scene = unify(crop(height, width), recipe, np.random.default_rng(seed))
    ((x1, y1, x2, y2),) = scene.boxes.tolist()
    assert 0 <= x1 < x2 <= size[1]
    assert 0 <= y1 < y2 <= size[0]
    # both sides are rounded to whole pixels, at least one
    assert abs((x2 - x1) * height - (y2 - y1) * width) <= max(height, width) * (1 + (min(x2 - x1, y2 - y1) <= 1))
    if not paste and height >= width and size[1] >= size[0]:
        assert size[0] / 4 - 0.5 <= y2 - y1 <= size[0]


def test_every_octave_of_sizes_is_as_likely() -> None:
    rng = np.random.default_rng(0)
    recipe = UnifyRecipe(size=(400, 400))
    tall = np.array([unify(crop(20, 8), recipe, rng).boxes[0, [1, 3]] @ [-1, 1] for _ in range(400)])
    assert 0.4 < (tall > 200).mean() < 0.6  # ratios 1 to 2 against 2 to 4; uniform ratios would give a third


def test_scale_is_what_tells_the_operations_apart() -> None:
    rng = np.random.default_rng(0)
    sizes = {
        operation: {unify(crop(20, 8), UnifyRecipe(operation=operation, size=(80, 120)), rng).boxes[0, [1, 3]] @ [-1, 1] for _ in range(9)}
        for operation in ("expand_resize", "random_paste")
    }
    assert sizes["random_paste"] == {20}
    assert len(sizes["expand_resize"]) > 4


@pytest.mark.parametrize("wrong", [{"size": (4, 90)}, {"ratios": (0.5, 2)}, {"ratios": (3, 2)}, {"operation": "paste"}])
def test_impossible_recipes(wrong) -> None:
    with pytest.raises(ValidationError):
        UnifyRecipe(**wrong)

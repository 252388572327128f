"""Views of one person: the part of the scene, the scale, and the box on the person."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from personsearch.render import views
from tests.helpers.render_scenes import BOX, OFF, TILE, extent, misfit, scene


def test_window_by_hand() -> None:
    # 0.74 of 320 pixels for 148 is a scale of 1.6, so the tile shows 150 x 200 pixels around (500, 400)
    window, scale = views._window(np.array([480, 326, 520, 474], np.float32), 1000, 800, TILE)
    assert scale == pytest.approx(1.6)
    assert window.tolist() == pytest.approx([425, 300, 575, 500])


@given(st.integers(2, 5000), st.integers(2, 5000), st.data())
def test_window_holds_the_box_and_stays_in_the_scene(width: int, height: int, data: st.DataObject) -> None:
    x1, y1 = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
    x2, y2 = data.draw(st.integers(x1 + 1, width)), data.draw(st.integers(y1 + 1, height))
    window, scale = views._window(np.array([x1, y1, x2, y2], np.float32), width, height, TILE)
    slack = 1e-6 * max(width, height)  # rounding of float64
    assert (window[:2] >= -slack).all()
    assert (window[2:] <= np.array([width, height]) + slack).all()
    assert (window[:2] <= np.array([x1, y1]) + slack).all()
    assert (window[2:] >= np.array([x2, y2]) - slack).all()
    assert ((window[2:] - window[:2]) * scale <= np.array(TILE) + 1e-6).all()


@pytest.mark.parametrize(
    ("width", "height", "box"),
    [
        (400, 300, BOX),
        (4000, 3000, (2000, 900, 2500, 2300)),  # shrunk
        (400, 300, (190, 100, 200, 125)),  # enlarged
        (400, 300, (100, 5, 180, 295)),  # as high as the scene
        (1000, 90, (500, 20, 530, 80)),  # a strip
        (400, 300, (30, 100, 370, 200)),  # lying
    ],
)
def test_the_box_sits_on_the_person_at_any_scale(width: int, height: int, box: tuple[float, ...]) -> None:
    tile = views.person(scene(width, height, box), np.array(box, np.float32), TILE, views.HIT_COLOUR)
    assert tile.size == TILE
    assert misfit(tile, views.HIT_COLOUR) <= OFF


@pytest.mark.parametrize("scale", [0.97, 1.03])
def test_the_misfit_detects_a_box_at_the_wrong_scale(scale: float) -> None:
    tile = views.person(scene(), np.array(BOX, np.float32) * np.float32(scale), TILE, views.HIT_COLOUR)
    assert misfit(tile, views.HIT_COLOUR) > OFF


def test_a_person_at_the_edge_keeps_a_whole_box() -> None:
    box = (0, 0, 60, 300)
    tile = views.person(scene(400, 300, box), np.array(box, np.float32), TILE, views.HIT_COLOUR)
    assert extent(tile, views.HIT_COLOUR)[:2] == [1, 1]  # one pixel of rim
    assert extent(tile, views.HIT_COLOUR)[3] == 319


def test_the_whole_scene_shrinks_with_its_box() -> None:
    small = views.scene_with_box(scene(), np.array(BOX, np.float32), 200, views.HIT_COLOUR)
    assert small.size == (200, 150)
    assert extent(small, views.HIT_COLOUR) == pytest.approx([50 - 2, 30 - 2, 70 + 2, 80 + 2], abs=1)


def test_a_small_scene_is_not_enlarged() -> None:
    assert views.scene_with_box(scene(), np.array(BOX, np.float32), 1000, views.HIT_COLOUR).size == (400, 300)

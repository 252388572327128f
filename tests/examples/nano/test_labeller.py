"""The teacher as a labeller: the picture, its mirror image and tiles, merged into one list of people."""

import numpy as np
import pytest

from examples.nano.labeller import Labeller, tiles, uncut
from examples.nano.teachers import Finder
from personsearch.boxes import Array

LEFT, RIGHT = (20, 40, 60, 140), (200, 60, 300, 180)  # red and green people of a picture of 200 x 360 pixels


class Eyes(Finder):
    """Sees the red person and the green one, each with the score of its height in the picture that is shown."""

    def __init__(self, least_share: float = 0.0) -> None:
        self.least_share = least_share

    def scored(self, image: Array, least_score: float) -> tuple[Array, Array]:
        red, green = image[..., 0] > 128, image[..., 1] > 128
        boxes, scores = np.zeros((0, 4), np.float32), np.zeros(0, np.float32)
        for mask in (red, green):
            rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
            share = len(rows) / len(image)
            if len(rows) and share > self.least_share:
                boxes = np.append(boxes, np.float32([[columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]]), axis=0)
                scores = np.append(scores, np.float32(share))
        return boxes, scores


def street() -> Array:
    image = np.zeros((200, 360, 3), np.uint8)
    for (x1, y1, x2, y2), channel in ((LEFT, 0), (RIGHT, 1)):
        image[y1:y2, x1:x2, channel] = 255
    return image


def test_all_views_make_one_list_best_first() -> None:
    """The green person has 120 of 200 rows and the red one 100: no tile of 120 rows holds one of them whole."""
    boxes, scores = Labeller(Eyes()).people(street())
    assert boxes.tolist() == [list(RIGHT), list(LEFT)]
    assert scores == pytest.approx([0.6, 0.5])


def test_a_person_seen_in_a_tile_only_is_where_the_person_is() -> None:
    """40 of 200 rows are a fifth, and of the tile's 120 a third."""
    image = np.zeros((200, 360, 3), np.uint8)
    image[150:190, 300:320, 0] = 255
    boxes, scores = Labeller(Eyes(least_share=0.25)).people(image)
    assert boxes.tolist() == [[300, 150, 320, 190]]
    assert scores == pytest.approx([1 / 3])


def test_an_empty_picture_has_nobody() -> None:
    boxes, scores = Labeller(Eyes()).people(np.zeros((90, 120, 3), np.uint8))
    assert (boxes.shape, scores.shape) == ((0, 4), (0,))


def test_tiles_cover_the_picture() -> None:
    covered = np.zeros((50, 100), int)
    for left, top, tile in tiles(np.zeros((50, 100, 3), np.uint8)):
        covered[top : top + len(tile), left : left + tile.shape[1]] += 1
    assert (covered.min(), covered.max()) == (1, 4)


def test_boxes_at_inner_borders_are_cut() -> None:
    boxes = np.float32([[10, 10, 50, 50], [0, 10, 50, 50], [10, 0, 50, 50], [10, 10, 100, 50], [10, 10, 50, 60]])
    assert uncut(boxes, (60, 100), (0, 0), (60, 100)).all()
    assert uncut(boxes, (60, 100), (30, 20), (200, 300)).tolist() == [True, False, False, False, False]
    assert uncut(boxes, (60, 100), (0, 0), (200, 300)).tolist() == [True, True, True, False, False]

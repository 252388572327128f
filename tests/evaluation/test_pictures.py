"""What the pictures of an evaluation show: frames, colours and heights at the places where they must be."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from personsearch.evaluation import EvaluationData, Scene
from personsearch.evaluation.arrays import EvaluationQuery
from personsearch.evaluation.curves import BOTTOM, COLOURS, LEFT, RIGHT, TOP
from personsearch.evaluation.pictures import (
    CROP,
    GAP,
    QUERY_FRAME,
    RIGHT_FRAME,
    WRONG_FRAME,
    embedding_map,
    gallery_curves,
    line_chart,
    rank_lists,
    recall_over_iou,
)
from personsearch.evaluation.protocols import prw
from personsearch.evaluation.search import rankings
from personsearch.results import Detections
from tests.helpers.fakes import BLUE, RED, scene


def detections(boxes: list[list[float]], scores: list[float], rows: list[list[float]]) -> Detections:
    return Detections(np.array(boxes, np.float32), np.array(scores, np.float32), np.array(rows, np.float32))


def colours_of(picture: Any) -> set[Any]:
    return {colour for _, colour in picture.getcolors(1 << 20) or []}


def test_right_hits_are_green_and_wrong_ones_red(tmp_path: Path) -> None:
    """A red person is looked for; the other picture has red first, then blue."""
    names = [str(tmp_path / f"{name}.png") for name in "ab"]
    Image.fromarray(scene((RED, 10, 10, 80))).save(names[0])
    Image.fromarray(scene((RED, 30, 20, 70), (BLUE, 100, 10, 60))).save(names[1])
    boxes = [np.array([[10, 10, 30, 90]], np.float32), np.array([[30, 20, 50, 90], [100, 10, 120, 70]], np.float32)]
    red, blue = [1.0, 0.0], [0.0, 1.0]
    scenes = (
        Scene(names[0], None, boxes[0], np.array([7]), detections(boxes[0].tolist(), [0.9], [red])),
        Scene(names[1], None, boxes[1], np.array([7, 8]), detections(boxes[1].tolist(), [0.9, 0.8], [red, blue])),
    )
    data = EvaluationData(scenes, (EvaluationQuery(names[0], None, 7, np.array(red, np.float32)),))
    ranked = list(rankings(data, prw(data), min_score=0.0, confidence_weighted=False))
    picture = rank_lists(data, ranked, [boxes[0][0]], hits=3)
    lefts = [GAP + place * (CROP[0] + GAP) for place in range(4)]
    tiles = [picture.crop((left, GAP, left + CROP[0], GAP + CROP[1])) for left in lefts]
    frames = [colours_of(tile) & {QUERY_FRAME, RIGHT_FRAME, WRONG_FRAME} for tile in tiles]
    assert frames == [{QUERY_FRAME}, {RIGHT_FRAME}, {WRONG_FRAME}, set()]


def test_people_of_the_map_have_colours_of_their_own() -> None:
    """Two people, far apart on the first component: the more frequent one has the first colour."""
    rows = np.array([[1, 0, 0], [0.9, 0.1, 0], [0.95, 0, 0.05], [-1, 0, 0], [-0.9, 0.1, 0]], np.float32)
    picture = embedding_map(rows, np.array([4, 4, 4, 9, 9]))
    left, right = (colours_of(picture.crop(part)) for part in ((0, 60, 450, 520), (450, 60, 900, 520)))
    assert (COLOURS[0] in left) != (COLOURS[0] in right)
    assert (COLOURS[1] in left) == (COLOURS[0] in right)
    assert (COLOURS[1] in right) == (COLOURS[0] in left)


def test_recall_over_iou_by_hand() -> None:
    """Of two people one is detected with IoU 0.6, the other exactly, but with a score of 0.2."""
    boxes = np.array([[0, 0, 10, 10], [50, 0, 60, 10]], np.float32)
    people = detections([[0, 0, 10, 6], [50, 0, 60, 10]], [0.9, 0.2], [[1, 0], [1, 0]])
    data = EvaluationData((Scene("a", None, boxes, np.array([1, 2]), people),), ())
    assert recall_over_iou(data, min_score=0.1, ious=(0.5, 0.7)) == [1.0, 0.5]
    assert recall_over_iou(data, min_score=0.5, ious=(0.5, 0.7)) == [0.5, 0.0]


def test_curves_over_galleries_are_without_reranking() -> None:
    plain = [{"gallery": str(size), "cbgm": None, "mAP": value} for size, value in ((50, 0.9), (100, 0.8))]
    reranked = [row | {"cbgm": [30, 4], "mAP": 0.1} for row in plain]
    mixed = [row for pair in zip(plain, reranked, strict=True) for row in pair]
    assert gallery_curves([{"model": "a", "search": mixed}]).tobytes() == gallery_curves([{"model": "a", "search": plain}]).tobytes()


@pytest.mark.parametrize("names", [("a", "b"), ("a", "b", "c")])
def test_equal_curves_hid_each_other(names: tuple[str, ...]) -> None:
    """Models that embed the same boxes have one recall; below the legend the colour of each must be seen."""
    picture = line_chart({name: [0.5, 0.4] for name in names}, ["1", "2"], "recall").crop((60, 70, 900, 480))
    assert set(COLOURS[: len(names)]) <= colours_of(picture)


def test_lines_apart_were_drawn_wide_for_nothing() -> None:
    """Of six models the first had a line of 23 pixels, six percent high; only where lines are equal one is wider."""
    lines = {"a": [0.9, 0.9, 0.5, 0.5], "b": [0.1, 0.1, 0.5, 0.5]}
    picture = np.asarray(line_chart(lines, ["1", "2", "3", "4"], "recall"))[TOP : BOTTOM + 1]
    apart, equal = (picture[:, LEFT + round(step * (RIGHT - LEFT) / 4)] for step in (1, 3))  # between the labels
    counts = [[int((column == COLOURS[number]).all(axis=1).sum()) for number in (0, 1)] for column in (apart, equal)]
    assert counts == [[3, 3], [4, 3]]  # two pixels of "a" above "b", and two below

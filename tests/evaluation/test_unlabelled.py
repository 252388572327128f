"""AGWF's regular gallery of PRW: the people it ignores."""

import numpy as np

from personsearch.evaluation import UNLABELLED, EvaluationData, EvaluationQuery, Scene, evaluate
from personsearch.evaluation.unlabelled import without_unlabelled
from personsearch.results import Detections

NAMED, NAMELESS = [0, 0, 10, 20], [100, 0, 110, 20]


def scene(name: str, found: list[list[float]], rows: list[list[float]]) -> Scene:
    people = Detections(
        np.array(found, np.float32).reshape(-1, 4), np.full(len(found), 0.9, np.float32), np.array(rows, np.float32).reshape(-1, 2)
    )
    return Scene(name, 0, np.array([NAMED, NAMELESS], np.float32), np.array([7, UNLABELLED]), people)


def test_found_people_who_are_unlabelled_ones_are_left_out() -> None:
    close, nowhere = [101, 0, 111, 20], [300, 0, 310, 20]  # IoU 180 / 220 with the nameless one
    half_off = [104, 0, 114, 20]  # IoU 120 / 280, below 0.5
    data = EvaluationData((scene("a", [NAMED, close, nowhere, half_off], [[1, 0]] * 4),), ())
    (kept,) = without_unlabelled(data).scenes
    np.testing.assert_array_equal(kept.found.boxes, np.array([NAMED, nowhere, half_off], np.float32))
    assert len(data.scenes[0].found.boxes) == 4  # the data themselves stay


def test_a_box_that_fits_a_labelled_person_better_stays() -> None:
    one = Scene(
        "a",
        0,
        np.array([[0, 0, 10, 20], [2, 0, 12, 20]], np.float32),
        np.array([7, UNLABELLED]),
        scene("a", [[0, 0, 10, 20]], [[1, 0]]).found,
    )
    assert len(without_unlabelled(EvaluationData((one,), ())).scenes[0].found.boxes) == 1


def test_scenes_without_people_or_finds_stay() -> None:
    empty = scene("a", [], [])
    no_people = Scene("b", 0, np.zeros((0, 4), np.float32), np.zeros(0, np.int64), scene("b", [NAMED], [[1, 0]]).found)
    kept = without_unlabelled(EvaluationData((empty, no_people), ())).scenes
    assert [len(one.found.boxes) for one in kept] == [0, 1]


def test_an_unlabelled_look_alike_no_longer_takes_the_first_place() -> None:
    """In b the nameless person looks most like the query; ignored, the named one is first."""
    data = EvaluationData(
        (scene("a", [NAMED], [[1, 0]]), scene("b", [NAMED, NAMELESS], [[0.6, 0.8], [1, 0]])),
        (EvaluationQuery("a", 0, 7, np.array([1, 0], np.float32)),),
    )
    options = {"protocol": "prw", "confidence_weighted": False}
    assert evaluate(data, **options)["search"]["top1"] == 0
    assert evaluate(without_unlabelled(data), **options)["search"]["top1"] == 1

"""AGWF's regular gallery of PRW, which ignores unlabelled people."""

import numpy as np

from personsearch.evaluation import UNLABELLED, EvaluationData, EvaluationQuery, Scene, evaluate
from personsearch.evaluation.unlabelled import without_unlabelled
from personsearch.results import Detections

NAMED, UNNAMED = [0, 0, 10, 20], [100, 0, 110, 20]


def scene(name: str, boxes: list[list[float]], rows: list[list[float]]) -> Scene:
    people = Detections(
        np.array(boxes, np.float32).reshape(-1, 4), np.full(len(boxes), 0.9, np.float32), np.array(rows, np.float32).reshape(-1, 2)
    )
    return Scene(name, 0, np.array([NAMED, UNNAMED], np.float32), np.array([7, UNLABELLED]), people)


def test_detections_of_unlabelled_people_are_dropped() -> None:
    close, nowhere = [101, 0, 111, 20], [300, 0, 310, 20]  # IoU 180 / 220 with the unlabelled person
    half_off = [104, 0, 114, 20]  # IoU 120 / 280, below 0.5
    data = EvaluationData((scene("a", [NAMED, close, nowhere, half_off], [[1, 0]] * 4),), ())
    (result,) = without_unlabelled(data).scenes
    np.testing.assert_array_equal(result.detections.boxes, np.array([NAMED, nowhere, half_off], np.float32))
    assert len(data.scenes[0].detections.boxes) == 4  # the input is not changed


def test_a_box_that_fits_a_labelled_person_better_stays() -> None:
    picture = Scene(
        "a",
        0,
        np.array([[0, 0, 10, 20], [2, 0, 12, 20]], np.float32),
        np.array([7, UNLABELLED]),
        scene("a", [[0, 0, 10, 20]], [[1, 0]]).detections,
    )
    assert len(without_unlabelled(EvaluationData((picture,), ())).scenes[0].detections.boxes) == 1


def test_scenes_without_people_or_detections_stay() -> None:
    empty = scene("a", [], [])
    unpeopled = Scene("b", 0, np.zeros((0, 4), np.float32), np.zeros(0, np.int64), scene("b", [NAMED], [[1, 0]]).detections)
    scenes = without_unlabelled(EvaluationData((empty, unpeopled), ())).scenes
    assert [len(picture.detections.boxes) for picture in scenes] == [0, 1]


def test_an_unlabelled_look_alike_no_longer_takes_the_first_place() -> None:
    """In b the unlabelled person looks most like the query; without that detection the labelled one is first."""
    data = EvaluationData(
        (scene("a", [NAMED], [[1, 0]]), scene("b", [NAMED, UNNAMED], [[0.6, 0.8], [1, 0]])),
        (EvaluationQuery("a", 0, 7, np.array([1, 0], np.float32)),),
    )
    assert evaluate(data, protocol="prw")["search"]["top1"] == 0
    assert evaluate(without_unlabelled(data), protocol="prw")["search"]["top1"] == 1

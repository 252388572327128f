"""Regions to ignore: areas by hand and by counting pixels, and the detections that an evaluation drops."""

from dataclasses import replace

import numpy as np
import pytest

from personsearch.boxes import area, iou
from personsearch.evaluation import EvaluationData, EvaluationQuery, Scene, evaluate
from personsearch.evaluation.ignored import area_within, in_regions, without_ignored
from personsearch.evaluation.metrics import detection_metrics
from personsearch.results import Detections


def corners(*points: tuple[float, float]) -> np.ndarray:
    return np.array(points, np.float32)


def box(*sides: float) -> np.ndarray:
    return np.array(sides, np.float32)


SQUARE = corners((0, 0), (10, 0), (10, 10), (0, 10))
TRIANGLE = corners((0, 0), (10, 0), (0, 10))
SHAPE_L = corners((0, 0), (10, 0), (10, 2), (2, 2), (2, 10), (0, 10))
BOW_TIE = corners((0, 0), (10, 10), (10, 0), (0, 10))  # two triangles of 25, the middle at (5, 5)


@pytest.mark.parametrize(
    ("polygon", "inside", "expected"),
    [
        (SQUARE, box(0, 0, 10, 10), 100),
        (SQUARE, box(5, -5, 20, 5), 25),
        (SQUARE, box(10, 0, 20, 10), 0),  # side by side
        (SQUARE[::-1], box(2, 2, 4, 5), 6),  # the other way round
        (TRIANGLE, box(0, 0, 10, 10), 50),
        (TRIANGLE, box(5, 0, 10, 10), 12.5),
        (TRIANGLE, box(5, 5, 10, 10), 0),  # only the box around it reaches there
        (TRIANGLE, box(4, 4, 6, 6), 2),  # the half below x + y = 10
        (SHAPE_L, box(0, 0, 10, 10), 36),
        (SHAPE_L, box(2, 2, 10, 10), 0),
        (SHAPE_L, box(1, 1, 3, 3), 3),
        (BOW_TIE, box(0, 0, 10, 10), 50),
        (BOW_TIE, box(0, 0, 5, 10), 25),
        (BOW_TIE, box(3, 4, 7, 6), 6),  # 8 less the triangles above and below the middle: 2 of 2 x 1 / 2
        (corners((0, 0), (4, 4)), box(0, 0, 4, 4), 0),
        (corners((1, 1)), box(0, 0, 4, 4), 0),
        (SQUARE, box(3, 3, 3, 8), 0),
    ],
)
def test_area_within_by_hand(polygon: np.ndarray, inside: np.ndarray, expected: float) -> None:
    assert area_within(polygon, inside) == pytest.approx(expected)


def test_area_within_agrees_with_points_counted_inside() -> None:
    """A hundred thousand points, in the polygon if a ray from them crosses its sides an odd number of times."""
    random = np.random.default_rng(5)
    points = (np.stack(np.meshgrid(np.arange(320), np.arange(320)), -1).reshape(-1, 2) + 0.5) / 32  # 10 x 10
    for count in (3, 4, 5, 8):
        polygon = random.uniform(0, 10, (count, 2)).astype(np.float32)  # most cross themselves
        left, top = random.uniform(0, 5, 2)
        right, bottom = random.uniform(5, 10, 2)
        x, y = points[((points > (left, top)) & (points < (right, bottom))).all(axis=1)].T
        odd = np.zeros(len(x), bool)
        for (x0, y0), (x1, y1) in zip(polygon.tolist(), np.roll(polygon, -1, axis=0).tolist(), strict=True):
            odd ^= ((y0 < y) != (y1 < y)) & (x < x0 + (y - y0) * (x1 - x0) / (y1 - y0))
        # a point covers 1/1024; the sides are 100 long at most, and a point's square is 1/32 wide
        assert area_within(polygon, box(left, top, right, bottom)) == pytest.approx(odd.sum() / 1024, abs=0.1)


def test_a_box_as_a_region_has_the_overlap_of_boxes() -> None:
    random = np.random.default_rng(6)
    boxes = random.uniform(0, 10, (200, 4)).astype(np.float32)
    boxes[:, 2:] += boxes[:, :2] + 1
    x1, y1, x2, y2 = boxes[0].tolist()
    region = corners((x1, y1), (x2, y1), (x2, y2), (x1, y2))
    expected = iou(boxes, boxes[:1])[:, 0] > 0.1
    assert 20 < expected.sum() < 180
    np.testing.assert_array_equal(in_regions(boxes, [region]), expected)


def test_in_regions_by_hand() -> None:
    boxes = np.stack(
        [
            box(0, 0, 10, 10),  # IoU 50 / 100 with the triangle
            box(6, 6, 10, 10),  # beyond the long side: shares only the box around
            box(0, 0, 2, 2),  # inside, but 4 / 50
            box(0, 0, 2.5, 2.5),  # 6.25 / 50 = 0.125
            box(100, 100, 110, 110),
            box(200, 200, 210, 210),
        ]
    )
    assert in_regions(boxes, [TRIANGLE, SQUARE + 101]).tolist() == [True, False, False, True, True, False]
    assert not in_regions(boxes, []).any()
    assert in_regions(np.zeros((0, 4), np.float32), [TRIANGLE]).shape == (0,)
    assert not in_regions(boxes, [corners((0, 0), (4, 4))]).any()


def test_no_more_than_a_tenth_is_not_enough() -> None:
    assert in_regions(box(0, 0, 1, 10)[None], [SQUARE]).tolist() == [False]  # 10 / 100
    assert in_regions(box(0, 0, 1.01, 10)[None], [SQUARE]).tolist() == [True]
    assert area(box(0, 0, 1, 10)[None]).tolist() == [10]


PERSON, STRANGER, FAR = box(0, 0, 10, 20), box(100, 0, 110, 20), box(200, 0, 210, 20)


def scene(name: str, boxes: list[np.ndarray], rows: list[list[float]], scores: list[float], ignored: list[bool] | None) -> Scene:
    people = Detections(np.array(boxes, np.float32), np.array(scores, np.float32), np.array(rows, np.float32))
    return Scene(name, 0, PERSON[None], np.array([7]), people, None if ignored is None else np.array(ignored))


def data(ignored: list[bool] | None) -> EvaluationData:
    """In b a stranger has a higher score and similarity than the person; both may be in a region."""
    first = scene("a", [PERSON], [[1, 0]], [0.5], None)
    second = scene("b", [STRANGER, PERSON, FAR], [[1, 0], [0.8, 0.6], [0, 1]], [0.9, 0.8, 0.1], ignored)
    return EvaluationData((first, second), (EvaluationQuery("a", 0, 7, np.array([1, 0], np.float32)),))


def test_detections_in_regions_count_only_as_matches() -> None:
    plain = evaluate(data(None), protocol="prw", min_score=0.05, confidence_weighted=True)
    # By score: stranger, person of b, person of a, far: hits at ranks 2 and 3.
    assert plain["detection"]["all"] == {"recall": 1.0, "ap": pytest.approx((1 / 2 + 2 / 3) / 2)}
    assert plain["search"]["top1"] == 0
    for ignored in ([True, False, False], [True, True, False]):  # the person is annotated, so the region does not take it
        measured = evaluate(data(ignored), protocol="prw", min_score=0.05, confidence_weighted=True)
        assert measured["detection"]["all"] == measured["detection"]["labelled_only"] == {"recall": 1.0, "ap": 1.0}
        assert measured["search"]["mAP"] == measured["search"]["top1"] == 1
    assert evaluate(data([False] * 3), protocol="prw", min_score=0.05, confidence_weighted=True) == plain


def test_unmatched_detections_in_regions_are_dropped() -> None:
    def left(ignored: list[bool] | None, min_score: float) -> list[float]:
        lefts: np.ndarray = without_ignored(data(ignored), min_score).scenes[1].detections.boxes[:, 0]
        return lefts.tolist()

    assert left(None, 0.01) == [100, 0, 200]
    assert left([True] * 3, 0.01) == [0]
    assert left([True] * 3, 0.5) == [0, 200]  # detections below the score stay
    assert left([True] * 3, 0.85) == [0, 200]
    empty = replace(data(None).scenes[0], detections=data(None).scenes[0].detections.take(np.zeros(0, np.int64)), ignored=np.zeros(0, bool))
    assert len(without_ignored(EvaluationData((empty,), ()), 0.01).scenes[0].detections) == 0


def test_boxes_are_matched_before_they_are_dropped() -> None:
    """As in the authors' code: an ignored box can be the best one of a person, and then the person's next best box is wrong."""
    near, beside = box(0, 0, 10, 10), box(2, 0, 12, 10)
    between, poor = box(1, 0, 11, 10), box(-1.5, 0, 8.5, 10)
    truth, boxes, scores = np.stack([near, beside]), np.stack([between, beside, poor]), np.array([0.9, 0.8, 0.7], np.float32)
    # `between` is the best of `near` (90 / 110 against 85 / 115 and 80 / 120), and of its two equal ones the first is taken: it is matched.
    assert detection_metrics([(truth, boxes, scores)], ignored=[np.array([True, False, False])]).recall == 1
    boxes[0] = [1.2, 0, 11.2, 10]  # now nearer to `beside`, whose best is another box: no match
    measured = detection_metrics([(truth, boxes, scores)], ignored=[np.array([True, False, False])])
    assert (measured.recall, measured.ap) == (0.5, 0.5)
    assert detection_metrics([(truth, boxes[1:], scores[1:])]).recall == 1  # the order that the authors do not take


def test_as_many_masks_as_scenes() -> None:
    with pytest.raises(ValueError, match="shorter"):
        detection_metrics([(PERSON[None], PERSON[None], np.ones(1))] * 2, ignored=[np.zeros(1, bool)])

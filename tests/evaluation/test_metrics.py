"""Average precision against scikit-learn; detections by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from personsearch.evaluation.metrics import average_precision, detection_metrics, mutual_matches, rank_of_first, search_iou

BOX = [0, 0, 10, 10]
HALF = [0, 0, 10, 5]  # IoU 0.5 with BOX
MOST = [0, 0, 10, 8]  # IoU 0.8
AWAY = [50, 50, 60, 60]


def boxes(*rows: list[float]) -> np.ndarray:
    return np.array(rows, np.float32).reshape(-1, 4)


def test_average_precision_by_hand() -> None:
    """Hits at ranks 1 and 3: (1/1 + 2/3) / 2."""
    assert average_precision(np.array([True, False, True]), np.array([0.9, 0.8, 0.7])) == pytest.approx(5 / 6)


def test_ties_count_as_one_step() -> None:
    """Two equal keys with one hit are precision 1/2, whichever comes first."""
    keys = np.array([0.9, 0.9])
    assert average_precision(np.array([True, False]), keys) == average_precision(np.array([False, True]), keys) == 0.5


def test_nothing_relevant_or_nothing_at_all_is_zero() -> None:
    assert average_precision(np.array([False, False]), np.array([1.0, 0.5])) == 0
    assert average_precision(np.zeros(0, bool), np.zeros(0)) == 0


@given(seed=st.integers(0, 2**32 - 1), count=st.integers(1, 60), levels=st.integers(1, 60))
def test_average_precision_is_scikit_learns(seed: int, count: int, levels: int) -> None:
    rng = np.random.default_rng(seed)
    relevant = rng.random(count) < 0.3
    relevant[rng.integers(count)] = True
    keys = rng.integers(0, levels, count).astype(np.float32) / 7 - 3
    assert average_precision(relevant, keys) == pytest.approx(average_precision_score(relevant, keys), abs=1e-12)


def test_rank_of_first_by_hand() -> None:
    """The hit of 0.8 ranks after 0.9 and after the equal key before it, and before the equal key after it."""
    keys = np.array([0.8, 0.8, 0.9, 0.8, 0.1])
    assert rank_of_first(np.array([False, True, False, False, True]), keys) == 3
    assert rank_of_first(np.array([False, False, True, False, True]), keys) == 1
    assert rank_of_first(np.zeros(5, bool), keys) is None
    assert rank_of_first(np.zeros(0, bool), keys[:0]) is None


@given(seed=st.integers(0, 2**32 - 1), count=st.integers(1, 30), levels=st.integers(1, 10))
def test_rank_of_first_is_sorting(seed: int, count: int, levels: int) -> None:
    rng = np.random.default_rng(seed)
    relevant, keys = rng.random(count) < 0.2, rng.integers(-levels, 1, count).astype(np.float32)
    ranks = [rank for rank, row in enumerate(np.argsort(-keys, kind="stable"), start=1) if relevant[row]]
    assert rank_of_first(relevant, keys) == (ranks[0] if ranks else None)


def test_search_iou_is_half_but_less_for_tiny_boxes() -> None:
    assert search_iou(np.array([100, 100, 110, 130])) == pytest.approx(300 / 800)
    assert search_iou(np.array([0, 0, 60, 150])) == 0.5


def test_the_better_of_two_boxes_on_one_person_matches() -> None:
    assert mutual_matches(boxes(BOX), boxes(HALF, MOST, AWAY)).tolist() == [False, True, False]


def test_a_box_matches_one_person_only() -> None:
    """The box overlaps the first person most; the second person, with nearly the same overlap, has no match."""
    assert mutual_matches(boxes(BOX, MOST), boxes(BOX)).tolist() == [True]
    assert detection_metrics([(boxes(BOX, MOST), boxes(BOX), np.array([0.9]))]).recall == 0.5


def test_overlap_below_half_does_not_match() -> None:
    assert mutual_matches(boxes(BOX), boxes(HALF)).tolist() == [True]
    assert mutual_matches(boxes(BOX), boxes([0, 0, 10, 4.9])).tolist() == [False]


def test_detection_metrics_by_hand() -> None:
    """Of 2 people 1 is found, at rank 2 of 3: recall 1/2, AP (1/2) x recall."""
    scenes = [(boxes(BOX), boxes(BOX, AWAY), np.array([0.8, 0.9])), (boxes(BOX), boxes(AWAY), np.array([0.1]))]
    measured = detection_metrics(scenes)
    assert (measured.recall, measured.ap) == pytest.approx((0.5, 0.25))


def test_empty_scenes() -> None:
    no_boxes, no_scores = boxes(), np.zeros(0)
    assert detection_metrics([]).recall == detection_metrics([]).ap == 0
    assert detection_metrics([(boxes(BOX), no_boxes, no_scores)]).recall == 0
    good = (boxes(BOX), boxes(BOX), np.array([0.5]))
    false_alarm = (no_boxes, boxes(AWAY), np.array([0.9]))
    assert detection_metrics([good, false_alarm, (no_boxes, no_boxes, no_scores)]).ap == 1  # scenes without people are skipped


@given(seed=st.integers(0, 2**32 - 1), people=st.integers(0, 6), found=st.integers(0, 9))
def test_no_more_matches_than_people(seed: int, people: int, found: int) -> None:
    rng = np.random.default_rng(seed)
    corners = rng.uniform(0, 30, (people + found, 2))
    rows = np.concatenate([corners, corners + rng.uniform(5, 20, (people + found, 2))], axis=1).astype(np.float32)
    assert mutual_matches(rows[:people], rows[people:]).sum() <= people
    assert mutual_matches(rows[:people], rows[:people]).all()

"""GFN's arithmetic on scenes, by hand and by its properties."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from personsearch.errors import ConfigError, ShapeError
from personsearch.ranking import scene_filter
from personsearch.ranking.scene_filter import GFN, FilterCost, SceneFilter, filter_cost, threshold_at_recall

HIGHEST = 1 / (1 + np.exp(-1))


def random_filter(seed: int, dim: int) -> tuple[SceneFilter, np.random.Generator]:
    rng = np.random.default_rng(seed)
    scale, shift = rng.normal(1, 0.1, dim).astype(np.float32), rng.normal(0, 0.1, dim).astype(np.float32)
    return SceneFilter(scale, shift, 0.2), rng


def test_two_numbers_by_hand() -> None:
    """A person (1, 0) behind a temperature of 1 opens the first number by sigmoid(1) and the second by a half."""
    compare = SceneFilter(np.array([2.0, 4.0]), np.array([0.0, 1.0]), temperature=1.0)
    person, own, other = np.array([3.0, 0.0]), np.array([0.0, 5.0]), np.array([2.0, 0.0])
    gate = 1 / (1 + np.exp(-1))
    np.testing.assert_allclose(compare.fuse(person, np.stack([own, other])), [[0, 0.5 * 4 + 1], [2 * gate, 1]])
    cosine = 1 / np.hypot(2 * gate, 1)
    np.testing.assert_allclose(compare.scores(person, own, np.stack([own, other])), [HIGHEST, 1 / (1 + np.exp(-cosine))])


def test_no_scenes_no_scores() -> None:
    compare, rng = random_filter(0, 4)
    assert compare.scores(rng.normal(size=4), rng.normal(size=4), np.zeros((0, 4), np.float32)).shape == (0,)


@given(st.integers(0, 1000), st.integers(1, 6))
def test_the_own_scene_scores_highest_and_lengths_do_not_matter(seed: int, count: int) -> None:
    compare, rng = random_filter(seed, 8)
    person, own, others = rng.normal(size=8), rng.normal(size=8), rng.normal(size=(count, 8))
    scores = compare.scores(person, own, np.vstack([own, others]))
    assert scores[0] == pytest.approx(HIGHEST)
    assert (scores <= HIGHEST + 1e-9).all()
    assert (scores >= 1 - HIGHEST - 1e-9).all()
    np.testing.assert_allclose(compare.scores(3 * person, 2 * own, np.vstack([own, 5 * others])), scores)


def test_many_scenes_are_scored_as_few(monkeypatch) -> None:
    compare, rng = random_filter(1, 8)
    person, own, others = rng.normal(size=8), rng.normal(size=8), rng.normal(size=(7, 8))
    once = compare.scores(person, own, others)
    monkeypatch.setattr(scene_filter, "SCENES_AT_ONCE", 3)
    np.testing.assert_array_equal(compare.scores(person, own, others), once)


def test_the_cost_of_a_threshold_by_hand() -> None:
    scores, shows = np.array([0.7, 0.6, 0.5, 0.65, 0.4]), np.array([True, True, True, False, False])
    assert filter_cost(scores, shows, 0.55) == FilterCost(recall=2 / 3, left_out=0.5)
    assert filter_cost(scores, shows, 0.0) == FilterCost(recall=1.0, left_out=0.0)
    none = filter_cost(scores[:0], shows[:0], 0.5)
    assert np.isnan([none.recall, none.left_out]).all()
    assert threshold_at_recall(scores, shows, 1.0) == 0.5
    assert threshold_at_recall(scores, shows, 0.6) == 0.6
    with pytest.raises(ShapeError):
        filter_cost(scores, shows[1:], 0.5)
    for recall, labels in ((0.0, shows), (1.1, shows), (0.9, ~shows[:3])):
        with pytest.raises(ConfigError):
            threshold_at_recall(scores[: len(labels)], labels, recall)


@given(st.integers(0, 1000), st.integers(1, 200), st.floats(0.01, 1.0))
def test_a_threshold_keeps_the_recall_and_no_higher_one_does(seed: int, count: int, recall: float) -> None:
    rng = np.random.default_rng(seed)
    scores, shows = rng.uniform(size=count), rng.uniform(size=count) < 0.5
    shows[0] = True
    threshold = threshold_at_recall(scores, shows, recall)
    assert filter_cost(scores, shows, threshold).recall >= recall - 1e-9
    assert filter_cost(scores, shows, np.nextafter(threshold, 2)).recall < recall


@pytest.mark.parametrize("least", [-0.1, 1.1, "0.5", float("nan")])
def test_a_threshold_out_of_range_is_refused(least) -> None:
    with pytest.raises(ConfigError, match="min_scene_score"):
        GFN(min_scene_score=least)

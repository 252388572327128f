"""Calibration by hand: the threshold and its error rates on a few pairs."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from personsearch.calibration import Calibration, calibrate, rates, stored
from personsearch.errors import ConfigError

SAME, DIFFERENT = np.float32([0.9, 0.8, 0.3]), np.float32([0.2, 0.5, 0.1, 0.4])


@pytest.mark.parametrize(
    ("allowed_rate", "above", "false_matches", "misses"),
    [(0.0, 0.5, 0, 1 / 3), (0.24, 0.5, 0, 1 / 3), (0.25, 0.4, 1 / 4, 1 / 3), (0.5, 0.2, 2 / 4, 0), (0.75, 0.1, 3 / 4, 0)],
)
def test_the_threshold_by_hand(allowed_rate, above, false_matches, misses) -> None:
    """The threshold is just above the best of the pairs that must not match."""
    calibration = calibrate(SAME, DIFFERENT, false_match_rate=allowed_rate, data="four pairs")
    assert np.float32(above) < calibration.min_similarity == pytest.approx(above, abs=1e-6)
    assert (calibration.false_match_rate, calibration.miss_rate) == pytest.approx((false_matches, misses))
    assert calibration.data == "four pairs"


def test_all_pairs_may_match() -> None:
    assert calibrate(SAME, DIFFERENT, false_match_rate=1, data="x").min_similarity == -1


def test_identical_pairs_match_at_every_threshold() -> None:
    """A cosine of float32 rows may be above 1, a threshold may not; the stated rate is the true one."""
    calibration = calibrate(SAME, np.float32([1.0000001, 0.5]), false_match_rate=0, data="x")
    assert (calibration.min_similarity, calibration.false_match_rate, calibration.miss_rate) == (1, 0.5, 1)


def test_equal_pairs_match_together_or_not_at_all() -> None:
    calibration = calibrate(SAME, np.float32([0.4, 0.4, 0.4, 0.1]), false_match_rate=0.5, data="x")
    assert (calibration.false_match_rate, calibration.min_similarity > 0.4) == (0, True)


def test_a_rate_of_29_percent_allows_29_of_100_pairs() -> None:
    """0.29 * 100 is a little less than 29 in floating point."""
    different = np.linspace(0, 0.99, 100, dtype=np.float32)
    assert calibrate(SAME, different, false_match_rate=0.29, data="x").false_match_rate == 0.29


cosines = st.lists(st.integers(-100, 99).map(lambda number: np.float32(number / 100)), min_size=1, max_size=30).map(np.array)


@settings(max_examples=40)
@given(cosines, cosines, st.floats(0, 1))
def test_the_threshold_is_the_lowest_that_keeps_the_rate(same, different, allowed_rate) -> None:
    calibration = calibrate(same, different, false_match_rate=allowed_rate, data="x")
    assert calibration.false_match_rate <= allowed_rate + 1e-9
    assert calibration.model_dump(exclude={"min_similarity", "data"}) == rates(same, different, calibration.min_similarity)
    below = different[different < calibration.min_similarity]
    if len(below):
        assert rates(same, different, float(below.max()))["false_match_rate"] > allowed_rate


@pytest.mark.parametrize(("same", "different"), [([], [0.1]), ([0.1], []), ([], [])])
def test_both_kinds_of_pairs_are_needed(same, different) -> None:
    with pytest.raises(ConfigError, match=f"got {len(same)} of the same person and {len(different)} of different"):
        calibrate(np.float32(same), np.float32(different), false_match_rate=0.1, data="x")


@pytest.mark.parametrize("rate", [-0.1, 1.1, float("nan")])
def test_a_rate_outside_0_to_1_is_an_error(rate) -> None:
    with pytest.raises(ConfigError, match=r"must be 0\.\.1"):
        calibrate(SAME, DIFFERENT, false_match_rate=rate, data="x")


def test_a_models_config_holds_its_calibration() -> None:
    calibration = calibrate(SAME, DIFFERENT, false_match_rate=0.25, data="four pairs")
    assert stored({"calibration": calibration.model_dump(mode="json"), "name": "x"}) == calibration
    assert stored({}) is None
    assert stored({"calibration": None}) is None


@pytest.mark.parametrize("change", [{"min_similarity": 2}, {"miss_rate": None}, {"mis_rate": 0.1}])
def test_a_malformed_calibration_is_refused(change) -> None:
    values = Calibration(min_similarity=0.5, false_match_rate=0.1, miss_rate=0.2, data="x").model_dump() | change
    with pytest.raises(ConfigError, match=next(iter(change))):
        stored({"calibration": values})

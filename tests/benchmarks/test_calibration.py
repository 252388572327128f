"""Error rates of a threshold by height of the person."""

import numpy as np
import pytest

from benchmarks.calibration import by_height, shrunk


def test_rates_by_height_by_hand() -> None:
    """The two rows of one person are alike; of the others one is too small for this group, and one is near at 0.8."""
    rows = np.array([[1.0, 0], [1, 0], [0.6, 0.8], [0.8, 0.6]])
    identities, places, heights = np.array([0, 0, 1, 2]), np.array([0, 1, 2, 2]), np.array([100, 120, 40, 90])
    groups = by_height(rows, identities, places, heights, 0.7)
    assert groups == [{"from": 64, "below": 128, "same": 1, "different": 2, "false_match_rate": 1.0, "miss_rate": 0.0}]
    stricter = by_height(rows, identities, places, heights, 0.9)
    assert [(group["false_match_rate"], group["miss_rate"]) for group in stricter] == [(0.0, 0.0)]


def test_a_group_needs_pairs_of_both_kinds() -> None:
    rows = np.eye(3)
    assert by_height(rows, np.arange(3), np.arange(3), np.array([50, 50, 50]), 0.5) == []
    (group,) = by_height(rows, np.array([0, 0, 1]), np.arange(3), np.array([50, 50, 300]), 0.5)
    assert (group["same"], group["different"], group["miss_rate"], group["false_match_rate"]) == (1, 2, 1.0, 0.0)


@pytest.mark.parametrize(("height", "size"), [(48, (48, 18)), (2, (2, 1)), (1, (1, 1))])
def test_shrinking_keeps_the_shape(height: int, size: tuple[int, int]) -> None:
    assert shrunk(np.zeros((160, 60, 3), np.uint8), height).shape == (*size, 3)

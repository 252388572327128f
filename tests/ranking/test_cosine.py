"""Cosines by hand, and the same bits for every order of adding."""

import numpy as np

from personsearch.boxes import Array
from personsearch.ranking import cosines


def random_unit(seed: int, *shape: int) -> Array:
    rows = np.random.default_rng(seed).standard_normal(shape)
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


def test_cosines_by_hand() -> None:
    result = cosines(np.array([[1, 0], [0, 0]], np.float32), np.array([[0.6, 0.8], [-1, 0], [0, 1]]))
    assert result.tolist() == [[np.float32(0.6), -1, 0], [0, 0, 0]]
    assert result.dtype == np.float32


def test_cosines_of_empty_inputs_are_empty() -> None:
    assert cosines(np.zeros((0, 3)), np.zeros((2, 3))).shape == (0, 2)
    assert cosines(np.zeros((2, 3)), np.zeros((0, 3))).shape == (2, 0)


def test_equal_rows_have_equal_cosines_at_every_position() -> None:
    """A float32 matrix product may differ in the last bit."""
    query, person = random_unit(0, 1, 256), random_unit(1, 1, 256)
    gallery = random_unit(2, 1001, 256)
    gallery[[0, 7, 500, 1000]] = person
    assert len(set(cosines(query, gallery)[0, [0, 7, 500, 1000]].tolist())) == 1


def test_cosines_do_not_depend_on_the_order_of_adding() -> None:
    """Shuffled columns are another order of adding, as another machine has; plain float32 does depend on it."""
    queries, gallery = random_unit(0, 8, 256), random_unit(1, 500, 256)
    shuffled = np.random.default_rng(2).permutation(256)
    assert np.array_equal(cosines(queries, gallery), cosines(queries[:, shuffled], gallery[:, shuffled]))
    assert not np.array_equal(queries @ gallery.T, queries[:, shuffled] @ gallery[:, shuffled].T)


def test_cosines_are_correct_to_float32_precision() -> None:
    queries, gallery = random_unit(0, 8, 512), random_unit(1, 500, 512)
    exact = queries.astype(float) @ gallery.T.astype(float)
    assert np.abs(cosines(queries, gallery) - exact).max() < 2**-24  # half the step of float32 below 1


def test_cosines_stay_in_range() -> None:
    rows = random_unit(0, 200, 7)
    assert cosines(rows, rows).max() <= 1
    assert cosines(rows, -rows).min() >= -1
    assert cosines(np.zeros((1, 7)), rows).tolist() == [[0] * 200]

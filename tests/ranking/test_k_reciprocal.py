"""Re-ranking by k-reciprocal neighbours and query expansion, by hand and beside a plain reading of the paper."""

import math

import numpy as np
import pytest

from personsearch.boxes import Array
from personsearch.errors import ConfigError, QueryError, ShapeError
from personsearch.ranking import CBGM, KReciprocal, QueryExpansion, cosines, expanded, k_reciprocal, reranking_options
from personsearch.ranking.k_reciprocal import mutual


def unit(rng: np.random.Generator, count: int, dim: int = 6) -> Array:
    rows = rng.standard_normal((count, dim))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def as_printed(query: Array, gallery: Array, k1: int, k2: int, weight: float) -> list[float]:
    """Eq. 2 to 12 of the paper with sets and loops, for person 0 = the query."""
    cosine = np.block([[np.ones((1, 1)), query[None]], [query[:, None], gallery]]).astype(float)
    squared = 2 - 2 * cosine
    np.fill_diagonal(squared, 0)
    distances = squared / squared.max(axis=1, keepdims=True)
    people = range(len(distances))
    nearest = [row.tolist() for row in np.argsort(distances, axis=1, kind="stable")]

    def reciprocal(one: int, k: int) -> set[int]:
        return {other for other in nearest[one][: k + 1] if one in nearest[other][: k + 1]}

    encoded = np.zeros(distances.shape)
    for one in people:
        members = reciprocal(one, k1)
        for other in reciprocal(one, k1):
            half = reciprocal(other, round(k1 / 2))
            if len(half & reciprocal(one, k1)) > 2 / 3 * len(half):
                members |= half
        for other in members:
            encoded[one, other] = math.exp(-distances[one, other])
        encoded[one] /= encoded[one].sum()
    encoded = np.stack([encoded[nearest[one][:k2]].mean(axis=0) for one in people])
    final = []
    for one in people[1:]:
        shared = np.minimum(encoded[0], encoded[one]).sum()
        final.append((1 - weight) * (1 - shared / (2 - shared)) + weight * distances[0, one])
    return [1 - distance for distance in final]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("k1", "k2", "weight"), [(20, 6, 0.3), (5, 1, 0.0), (4, 3, 0.7), (3, 2, 1.0)])
def test_it_is_what_the_paper_prints(seed: int, k1: int, k2: int, weight: float) -> None:
    rows = unit(np.random.default_rng(seed), 40)
    cosine = cosines(rows, rows)
    got = k_reciprocal(cosine[0, 1:], cosine[1:, 1:], KReciprocal(k1, k2, weight))
    np.testing.assert_allclose(got, as_printed(cosine[0, 1:], cosine[1:, 1:], k1, k2, weight), atol=1e-6)


def test_a_shared_neighbour_beats_a_nearer_stranger() -> None:
    """By hand, with k1 = k2 = 1: Q and A are mutual nearest, so are B and C. Q's set is {Q, A}; B and C share nothing with it.

    Distances are (2 - 2 cos) / the row's largest. Q's set: 1 for itself, e^(-d) for A; the same of A. B and C keep the plain part.
    """
    query = np.array([0.9, 0.5, 0.4])  # A, B, C
    gallery = np.array([[1, 0.3, 0.2], [0.3, 1, 0.95], [0.2, 0.95, 1]])
    got = k_reciprocal(query, gallery, KReciprocal(k1=1, k2=1, weight=0.3))
    nearness = math.exp(-0.2 / 1.2)  # of A in the query's row, whose largest distance is C's 1.2
    own, other = 1 / (1 + nearness), nearness / (1 + nearness)
    back = math.exp(-0.2 / 1.6)  # of the query in A's row, whose largest is C's 1.6
    shared = min(own, back / (1 + back)) + min(other, 1 / (1 + back))
    jaccard = 1 - shared / (2 - shared)
    plain = [0.2 / 1.2, 1.0 / 1.2, 1.0]
    np.testing.assert_allclose(got, [1 - 0.7 * jaccard - 0.3 * plain[0], 1 - 0.7 - 0.3 * plain[1], 1 - 0.7 - 0.3 * plain[2]], atol=1e-6)


def test_mutual_neighbours_by_hand() -> None:
    """With k = 1: 0 and 1 are each other's nearest; 2's nearest is 1, who prefers 0."""
    ranks = np.array([[0, 1, 2], [1, 0, 2], [2, 1, 0]])
    assert mutual(ranks, 1).tolist() == [[True, True, False], [True, True, False], [False, False, True]]


def test_people_beyond_the_candidates_stay_behind_them() -> None:
    rows = unit(np.random.default_rng(9), 60)
    cosine = cosines(rows, rows)
    order = 1 + np.argsort(-cosine[0, 1:], kind="stable")
    near, far = order[:20], order[20:]
    keys = k_reciprocal(cosine[0, near], cosine[np.ix_(near, near)], KReciprocal(k1=5, k2=2), cosine[0, far])
    assert keys[:20].min() >= keys[20:].max()
    assert (np.diff(keys[20:]) <= 0).all()
    np.testing.assert_allclose(keys[:20], k_reciprocal(cosine[0, near], cosine[np.ix_(near, near)], KReciprocal(k1=5, k2=2)))


def test_none_and_equal_candidates() -> None:
    assert k_reciprocal(np.zeros(0), np.zeros((0, 0)), KReciprocal()).shape == (0,)
    np.testing.assert_allclose(k_reciprocal(np.ones(3), np.ones((3, 3)), KReciprocal()), 1)
    with pytest.raises(ShapeError, match="candidates"):
        k_reciprocal(np.ones(3), np.ones((2, 2)), KReciprocal())


def test_an_expanded_query_by_hand() -> None:
    """Cosines .8 and .6 to the power of 1 and 0; a person at an obtuse angle does not count."""
    query, people = np.array([1.0, 0.0]), np.array([[0.8, 0.6], [0.6, -0.8], [-0.6, 0.8]])
    total = np.array([1 + 0.8 * 0.8 + 0.6 * 0.6, 0.8 * 0.6 - 0.6 * 0.8])
    np.testing.assert_allclose(expanded(query, people, people @ query, 1.0), total / np.linalg.norm(total), atol=1e-7)
    average = np.array([1 + 0.8 + 0.6, 0.6 - 0.8])
    np.testing.assert_allclose(expanded(query, people, people @ query, 0.0), average / np.linalg.norm(average), atol=1e-7)
    np.testing.assert_allclose(expanded(query, people[:0], np.zeros(0), 3.0), query)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: KReciprocal(k1=0),
        lambda: KReciprocal(weight=1.5),
        lambda: KReciprocal(candidates=10**6),
        lambda: QueryExpansion(neighbours=0),
        lambda: QueryExpansion(alpha=-1),
        lambda: QueryExpansion(alpha=float("inf")),
    ],
)
def test_options_out_of_range_are_errors(wrong: object) -> None:
    with pytest.raises(ConfigError):
        wrong()  # type: ignore[operator]


def test_names_are_short_for_the_defaults() -> None:
    assert reranking_options("k-reciprocal") == KReciprocal(20, 6, 0.3, 200)
    assert reranking_options("query-expansion") == QueryExpansion()
    assert reranking_options("cbgm") == CBGM()
    assert reranking_options(None) is None
    with pytest.raises(QueryError, match='"k-reciprocal"'):
        reranking_options("kreciprocal", QueryError)

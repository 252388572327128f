"""Re-ranking by k-reciprocal neighbours: people who share the query's mutual neighbours move up.

Two people are k-reciprocal neighbours if each is among the k nearest of the other. Each person is described by the set of such
neighbours, weighted by nearness; the Jaccard distance of two sets, mixed with the plain distance, gives the new order. It needs no
scene, so a bare crop can be re-ranked.

The paper compares every query with the whole gallery at once. Here the set is one query and its best candidates, so that the cost
does not depend on the gallery; people beyond them share no neighbour with the query (Jaccard distance 1) and keep their order.

Source: Zhong, Zheng, Cao, Li: Re-ranking Person Re-identification with k-reciprocal Encoding (CVPR 2017, arXiv 1701.08398),
Eq. 2 to 12; zhunzhong07/person-re-ranking.
"""

from dataclasses import dataclass

import numpy as np

from personsearch import checks
from personsearch.boxes import Array
from personsearch.errors import ConfigError, ShapeError

MOST_CANDIDATES = 5000  # a matrix of 100 MB


@dataclass(frozen=True)
class KReciprocal:
    """Options of re-ranking by k-reciprocal neighbours; the defaults of k1, k2 and weight are the paper's.

    Raises:
        ConfigError: a value is out of range or has the wrong type.
    """

    k1: int = 20  # neighbours that must be mutual
    k2: int = 6  # neighbours whose sets are averaged; 1 averages none
    weight: float = 0.3  # share of the plain distance in the new one (the paper's lambda), 0..1
    candidates: int = 200  # people re-ranked, the best by cosine

    def __post_init__(self) -> None:
        for name in ("k1", "k2", "candidates"):
            object.__setattr__(self, name, checks.count(f"k-reciprocal's {name}", getattr(self, name)))
        object.__setattr__(self, "weight", checks.number("k-reciprocal's weight", self.weight))
        if not 0 <= self.weight <= 1:
            raise ConfigError(f"k-reciprocal's weight must be within 0..1, got {self.weight:g}")
        if self.candidates > MOST_CANDIDATES:
            raise ConfigError(f"k-reciprocal's candidates are compared in pairs, at most {MOST_CANDIDATES}, got {self.candidates}")


def k_reciprocal(query: Array, gallery: Array, options: KReciprocal, others: Array | None = None) -> Array:
    """New similarities of a query's candidates: 1 - the mixed distance.

    Args:
        query: (N,) cosines of the query with its candidates.
        gallery: (N, N) cosines of the candidates with one another.
        options: Options; their number of candidates does not matter here.
        others: (M,) cosines of people beyond the candidates.

    Returns:
        (N + M,) float32, up to 1; those of `others` are below `weight` and follow their cosines.

    Raises:
        ShapeError: the arrays have shapes that do not match.
    """
    if query.ndim != 1 or gallery.shape != (len(query), len(query)):
        raise ShapeError(f"(N,) cosines of a query need (N, N) of its candidates, got {query.shape} and {gallery.shape}")
    cosine = np.block([[np.ones((1, 1)), query[None]], [query[:, None], gallery]]).astype(np.float64)
    squared = np.maximum(2 - 2 * cosine, 0)
    np.fill_diagonal(squared, 0)
    largest = squared.max(axis=1, keepdims=True)
    scale = np.where(largest > 0, largest, 1)
    distances = squared / scale  # of row i to all, at most 1
    ranks = np.argsort(distances, axis=1, kind="stable")
    sets = _sets(distances, ranks, options)
    shared = np.minimum(sets[0], sets[1:]).sum(axis=1)
    jaccard = 1 - shared / (2 - shared)
    beyond = np.zeros(0) if others is None else (2 - 2 * others.astype(np.float64)) / scale[0]
    plain = np.concatenate([distances[0, 1:], beyond])
    jaccard = np.concatenate([jaccard, np.ones(len(beyond))])
    return np.asarray(1 - ((1 - options.weight) * jaccard + options.weight * plain), np.float32)


def _sets(distances: Array, ranks: Array, options: KReciprocal) -> Array:
    """(P, P) rows that sum to 1: how much each person belongs to the set of each row's person."""
    near, nearer = mutual(ranks, options.k1), mutual(ranks, round(options.k1 / 2))
    shared = near.astype(np.float32) @ nearer.T.astype(np.float32)  # (person, neighbour): members that both sets have
    joins = near & (3 * shared > 2 * nearer.sum(axis=1))  # the neighbour's set is mostly in the person's
    near |= joins.astype(np.float32) @ nearer.astype(np.float32) > 0
    sets = np.where(near, np.exp(-distances), 0)
    sets /= sets.sum(axis=1, keepdims=True)
    averaged: Array = sets[ranks[:, : options.k2]].mean(axis=1)
    return averaged


def mutual(ranks: Array, k: int) -> Array:
    """(P, P) bool: whether two people are k-reciprocal neighbours; each is one of itself.

    Args:
        ranks: (P, P) int, row i: people in the order of their distance to person i, who comes first.
        k: Number of neighbours beside the person itself.
    """
    near = np.zeros(ranks.shape, bool)
    np.put_along_axis(near, ranks[:, : k + 1], True, axis=1)
    both: Array = near & near.T
    return both

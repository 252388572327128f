"""Exact ranking of a whole gallery: no index, no approximation, the same order on every machine.

A float32 matrix product finds the few rows that can be among the best, whatever its rounding; `cosines` then orders these rows
exactly. So a search costs one pass over the gallery, and the order is by (-key, row) to the last bit.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from personsearch.boxes import Array
from personsearch.errors import QueryError, ShapeError
from personsearch.ranking.cbgm import CBGM, Context, choose_scenes, rescore
from personsearch.ranking.cosine import cosines

_ROWS = 16384  # rows of one shortlist; the bound of the first shortlist excludes most rows of the later ones
_QUERIES = 256  # queries compared at once


@dataclass(frozen=True)
class Ranked:
    """The best rows of a gallery for one query, best first; K may be 0."""

    rows: Array  # (K,) int64, rows of the gallery
    similarities: Array  # (K,) float32 cosines
    keys: Array  # (K,) float32, what the order follows: the cosine, cosine x score, or CBGM's

    def __len__(self) -> int:
        return len(self.rows)

    def best(self, top_k: int) -> "Ranked":
        """The first `top_k` by (-key, row)."""
        return self.take(np.lexsort((self.rows, -self.keys))[:top_k])

    def at_least(self, min_similarity: float | None) -> "Ranked":
        """The rows with a cosine of at least `min_similarity`; None: all rows."""
        return self if min_similarity is None else self.take(self.similarities >= min_similarity)

    def joined(self, other: "Ranked") -> "Ranked":
        """The rows of both, `other` last."""
        pairs = ((self.rows, other.rows), (self.similarities, other.similarities), (self.keys, other.keys))
        return Ranked(*(np.concatenate(pair) for pair in pairs))

    def take(self, index: Array) -> "Ranked":
        """The rows at `index`: a boolean keep-mask (K,), or positions in the new order."""
        return Ranked(self.rows[index], self.similarities[index], self.keys[index])


def rank(
    queries: Array,
    gallery: Array,
    top_k: int,
    *,
    scores: Array | None = None,
    min_similarity: float | None = None,
    part: Array | None = None,
) -> list[Ranked]:
    """The people most similar to each query, by exact cosine.

    The gallery is read in blocks: memory holds at most two blocks of 256 x 16384 similarities beside it.

    Args:
        queries: (Q, D) float32 unit rows.
        gallery: (N, D) float32 unit rows, sorted by (image, frame, row), so that ties break by it.
        top_k: Largest number of people per query.
        scores: (N,) float32, 0..1; if given, the order follows cosine x score (confidence-weighted similarity).
        min_similarity: Cosine below which people are dropped.
        part: (P,) int, ascending: the gallery rows to compare; None: all rows.

    Raises:
        ShapeError: the arrays have shapes that do not match.
        QueryError: top_k below 1.
    """
    _check(queries, gallery, scores, top_k)
    ranked: list[Ranked] = []
    for start in range(0, len(queries), _QUERIES):
        ranked += _rank_block(queries[start : start + _QUERIES], gallery, top_k, scores, min_similarity, part)
    return ranked


def rank_cbgm(
    context: Context,
    gallery: Array,
    scenes: Array,
    top_k: int,
    cbgm: CBGM,
    *,
    scores: Array | None = None,
    min_similarity: float | None = None,
) -> Ranked:
    """The people most similar to the query, with the best scenes re-ranked by context (see `personsearch.ranking.cbgm`).

    Args:
        context: People of the query's scene, the query first.
        gallery: (N, D) float32 unit rows.
        scenes: (N,) int, ascending: scene of each row.
        top_k: Largest number of people.
        cbgm: Options of CBGM.
        scores: (N,) float32, 0..1; if given, they multiply the cosines (confidence-weighted similarity).
        min_similarity: Cosine below which people are dropped, whatever the matching gives.

    Raises:
        ShapeError: the arrays have shapes that do not match.
        QueryError: top_k below 1.
    """
    return rank_cbgm_many([context], gallery, scenes, top_k, cbgm, scores=scores, min_similarity=min_similarity)[0]


def rank_cbgm_many(
    contexts: Sequence[Context],
    gallery: Array,
    scenes: Array,
    top_k: int,
    cbgm: CBGM,
    *,
    scores: Array | None = None,
    min_similarity: float | None = None,
) -> list[Ranked]:
    """As `rank_cbgm` for several queries, which are compared with the gallery together.

    Args:
        contexts: For each query the people of its scene, the query first.
        gallery: (N, D) float32 unit rows.
        scenes: (N,) int, ascending: scene of each row.
        top_k: Largest number of people per query.
        cbgm: Options of CBGM.
        scores: (N,) float32, 0..1; if given, they multiply the cosines.
        min_similarity: Cosine below which people are dropped, whatever the matching gives.

    Raises:
        ShapeError: the arrays have shapes that do not match.
        QueryError: top_k below 1.
    """
    if not contexts:
        return []
    for context in contexts:
        _check(context.embeddings, gallery, scores, top_k)
    if scenes.shape != (len(gallery),):
        raise ShapeError(f"{len(gallery)} gallery rows need as many scenes, got {scenes.shape}")
    queries = np.concatenate([context.embeddings[:1] for context in contexts])
    count = max(top_k, cbgm.k1 if cbgm.variant == "authors" else 4 * cbgm.k1)
    best = rank(queries, gallery, count, scores=scores)
    plain = best
    if scores is not None and min_similarity is not None:  # the best products need not have the best cosines
        plain = rank(queries, gallery, top_k, scores=scores, min_similarity=min_similarity)
    ranked = []
    for context, first, unmatched in zip(contexts, best, plain, strict=True):
        query = context.embeddings[:1]
        scenes_to_match = _scenes_to_match(query, first, count, gallery, scores, scenes, cbgm)
        rows, keys = rescore(context.keep(cbgm.k2), gallery, scenes, scenes_to_match, scores)
        # The matching lowers no key, so the best are now among the re-scored rows and the rows that were best before.
        rescored = Ranked(rows, cosines(query, gallery[rows])[0], keys)
        merged = rescored.joined(unmatched.take(~np.isin(unmatched.rows, rows)))
        ranked.append(merged.at_least(min_similarity).best(top_k))
    return ranked


def _scenes_to_match(query: Array, best: Ranked, count: int, gallery: Array, weights: Array | None, scenes: Array, cbgm: CBGM) -> Array:
    """The scenes to match, by the `count` best people.

    The k1 best scenes are nearly always the scenes of the 4 k1 best people; otherwise the gallery is ranked again for more people.
    """
    while True:
        by_row = best.take(np.argsort(best.rows))
        scenes_to_match = choose_scenes(by_row.keys, scenes[by_row.rows], cbgm.k1, cbgm.variant)
        if cbgm.variant == "authors" or len(scenes_to_match) == cbgm.k1 or len(best) == len(gallery):
            return scenes_to_match
        count *= 4
        (best,) = rank(query, gallery, count, scores=weights)


def _rank_block(
    queries: Array, gallery: Array, top_k: int, scores: Array | None, min_similarity: float | None, part: Array | None
) -> list[Ranked]:
    # Twice the float32 error of a sum of D products of unit rows, so that the best rows stay on the shortlist.
    margin = (queries.shape[1] + 16) * 2.0**-23
    floor = -np.inf if min_similarity is None else min_similarity
    best = [Ranked(np.zeros(0, np.int64), np.zeros(0, np.float32), np.zeros(0, np.float32)) for _ in queries]
    bounds = np.full(len(queries), -np.inf)  # the key that a row must reach to be among the best so far
    for start, cosine in _products(queries, gallery, part):
        block = slice(start, start + cosine.shape[1]) if part is None else part[start : start + cosine.shape[1]]
        key = cosine if scores is None else cosine * scores[block]
        for q in np.flatnonzero(key.max(axis=1) >= bounds - margin):
            rows = start + _shortlist(cosine[q], key[q], floor, bounds[q], top_k, margin)
            rows = rows if part is None else part[rows]
            exact = cosines(queries[q : q + 1], gallery[rows])[0]
            ranked = Ranked(rows, exact, exact if scores is None else exact * scores[rows]).at_least(min_similarity)
            best[q] = best[q].joined(ranked).best(top_k)
            if len(best[q]) == top_k:
                bounds[q] = best[q].keys[-1]
    return best


def _products(queries: Array, gallery: Array, part: Array | None) -> Iterator[tuple[int, Array]]:
    """Float32 cosines of all queries with _ROWS rows at a time, and the position of the first row in `part` or the gallery.

    With few queries one product takes more rows: its threads wait for each other at the end of each product, and on a busy
    machine that wait costs more than the product.
    """
    step = _ROWS * max(1, _QUERIES // len(queries))
    for start in range(0, len(gallery) if part is None else len(part), step):
        block = gallery[start : start + step] if part is None else gallery[part[start : start + step]]
        cosine = queries @ block.T
        for first in range(0, cosine.shape[1], _ROWS):
            yield start + first, cosine[:, first : first + _ROWS]


def _shortlist(cosine: Array, key: Array, floor: float, bound: float, top_k: int, margin: float) -> Array:
    """Rows of a block that can be among its top_k best, if cosines and keys have errors up to `margin`."""
    rows = np.flatnonzero((key >= bound - margin) & (cosine >= floor - margin))
    sure = key[rows[cosine[rows] >= floor + margin]]
    if len(sure) > top_k:
        rows = rows[key[rows] >= np.partition(sure, -top_k)[-top_k] - 2 * margin]
    return rows


def _check(queries: Array, gallery: Array, scores: Array | None, top_k: int) -> None:
    if queries.ndim != 2 or gallery.ndim != 2 or queries.shape[1] != gallery.shape[1]:
        raise ShapeError(f"queries (Q, D) and gallery (N, D) must share D, got {queries.shape} and {gallery.shape}; use one model")
    if scores is not None and scores.shape != (len(gallery),):
        raise ShapeError(f"{len(gallery)} gallery rows need as many scores, got {scores.shape}")
    if top_k < 1:
        raise QueryError(f"top_k must be at least 1, got {top_k}")

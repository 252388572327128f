"""Search metrics: mAP and top-k over the galleries of a protocol."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from personsearch.boxes import Array, iou
from personsearch.errors import DataError
from personsearch.evaluation.arrays import EvaluationData, EvaluationQuery
from personsearch.evaluation.metrics import average_precision, rank_of_first, search_iou
from personsearch.evaluation.protocols import QueryGallery
from personsearch.ranking import CBGM, Context, cosines
from personsearch.ranking.cbgm import choose_scenes, rescore

TOP = (1, 5, 10)
_QUERIES = 64  # queries whose similarities are in memory at once


@dataclass(frozen=True)
class SearchMetrics:
    """Means over all queries, 0..1."""

    mAP: float  # noqa: N815 - the field's spelling
    top1: float
    top5: float
    top10: float
    queries: int


@dataclass(frozen=True)
class _Pool:
    """Detections of all scenes, in scene order."""

    boxes: Array  # (N, 4)
    scores: Array  # (N,)
    embeddings: Array  # (N, D) unit
    scenes: Array  # (N,) int64, ascending

    def rows(self, scene: int) -> slice:
        first, last = np.searchsorted(self.scenes, [scene, scene + 1])
        return slice(int(first), int(last))


def measure_search(
    data: EvaluationData,
    gallery_of: Callable[[int], QueryGallery],
    *,
    min_score: float,
    confidence_weighted: bool = False,
    cbgm: CBGM | None = None,
) -> SearchMetrics:
    """mAP, top-1, top-5 and top-10 over all queries.

    In a picture of the query person, the hit is the most similar detection with enough overlap; other detections of the person
    count as wrong. The average precision of a query is multiplied by the share of expected people that were hit.
    Equal similarities rank by (scene, row). A query whose person is in none of its pictures counts 0 in every mean.

    Args:
        data: Scenes and queries.
        gallery_of: The protocol's gallery for the number of a query.
        min_score: Score below which detections are not searched.
        confidence_weighted: Whether to rank by cosine x score, with CBGM too.
        cbgm: Options of CBGM; None: no re-ranking.

    Raises:
        DataError: CBGM, and a query without context.

    Source: serend1p1ty/SeqNet@edec285 eval_func.py.
    """
    if not data.queries:
        return SearchMetrics(0.0, 0.0, 0.0, 0.0, 0)
    pool = _pool(data, min_score)
    weights = pool.scores if confidence_weighted else None
    results: list[tuple[float, ...]] = []
    for number, similarities in enumerate(_similarities(data.queries, pool, weights)):
        gallery = gallery_of(number)
        rows = np.flatnonzero(np.isin(pool.scenes, gallery.scenes))
        if cbgm is not None:
            _rerank(similarities, rows, pool, weights, _context(data.queries[number], number), cbgm)
        results.append(_measure_query(similarities, rows, pool, gallery))
    mean_ap, top1, top5, top10 = np.mean(results, axis=0).tolist()
    return SearchMetrics(mean_ap, top1, top5, top10, len(results))


def _pool(data: EvaluationData, min_score: float) -> _Pool:
    detections = [scene.detections.take(scene.detections.scores >= min_score) for scene in data.scenes]
    dim = len(data.queries[0].embedding)
    return _Pool(
        np.concatenate([np.zeros((0, 4), np.float32), *(people.boxes for people in detections)]),
        np.concatenate([np.zeros(0, np.float32), *(people.scores for people in detections)]),
        np.concatenate([np.zeros((0, dim), np.float32), *(people.embeddings for people in detections if len(people))]),
        np.repeat(np.arange(len(detections)), [len(people) for people in detections]),
    )


def _similarities(queries: tuple[EvaluationQuery, ...], pool: _Pool, weights: Array | None) -> Iterator[Array]:
    """(N,) float32 for each query; the caller may change the array."""
    for start in range(0, len(queries), _QUERIES):
        rows = cosines(np.stack([query.embedding for query in queries[start : start + _QUERIES]]), pool.embeddings)
        yield from rows if weights is None else rows * weights


def _context(query: EvaluationQuery, number: int) -> Context:
    if query.context is None:
        raise DataError(f"queries[{number}] has no context_detections and context_embeddings; CBGM needs the people around the query")
    return query.context


def _rerank(similarities: Array, rows: Array, pool: _Pool, weights: Array | None, context: Context, cbgm: CBGM) -> None:
    scenes = choose_scenes(similarities[rows], pool.scenes[rows], cbgm.k1, cbgm.variant)
    changed, values = rescore(context.keep(cbgm.k2), pool.embeddings, pool.scenes, scenes, weights)
    similarities[changed] = values


def _measure_query(similarities: Array, rows: Array, pool: _Pool, gallery: QueryGallery) -> tuple[float, ...]:
    """Average precision, then 0 or 1 for each k of TOP."""
    hits = np.zeros(len(similarities), bool)
    for scene, box in gallery.boxes.items():
        span = pool.rows(scene)
        enough = iou(pool.boxes[span], box[None])[:, 0] >= search_iou(box)
        if enough.any():
            hits[span.start + np.where(enough, similarities[span], -np.inf).argmax()] = True
    relevant, keys = hits[rows], similarities[rows]
    share_hit = relevant.sum() / gallery.expected if gallery.expected else 0.0
    first = rank_of_first(relevant, keys) or np.inf
    return (average_precision(relevant, keys) * share_hit, *(float(first <= k) for k in TOP))

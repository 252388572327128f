"""Search metrics: mAP and top-k over the galleries of a protocol."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from personsearch.boxes import Array, iou
from personsearch.errors import DataError
from personsearch.evaluation.arrays import EvaluationData, EvaluationQuery
from personsearch.evaluation.metrics import average_precision, rank_of_first, search_iou
from personsearch.evaluation.protocols import QueryGallery
from personsearch.ranking import CBGM, GFN, Context, SceneFilter, cosines
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


@dataclass(frozen=True)
class QueryRanking:
    """The ranking of one query; N detections of its gallery, in scene order."""

    number: int  # of the query
    pool: _Pool
    rows: Array  # (N,) int64, rows of the pool
    keys: Array  # (N,) what the order follows, higher is better
    relevant: Array  # (N,) bool: the detection counts as the query person
    expected: int  # number of times the person should be found

    @property
    def scenes(self) -> Array:
        """(N,) int64: scene of each detection, ascending."""
        scenes: Array = self.pool.scenes[self.rows]
        return scenes

    @property
    def boxes(self) -> Array:
        """(N, 4) xyxy."""
        boxes: Array = self.pool.boxes[self.rows]
        return boxes

    @property
    def scores(self) -> tuple[float, ...]:
        """Average precision times the share of expected people that were hit, then 0 or 1 for each k of `TOP`."""
        share_hit = self.relevant.sum() / self.expected if self.expected else 0.0
        first = rank_of_first(self.relevant, self.keys) or np.inf
        return (average_precision(self.relevant, self.keys) * share_hit, *(float(first <= k) for k in TOP))


@dataclass(frozen=True)
class SceneScores:
    """How GFN's scene scores take part in a ranking."""

    compare: SceneFilter  # the model's
    options: GFN


def measure_search(
    data: EvaluationData,
    gallery_of: Callable[[int], QueryGallery],
    *,
    min_score: float,
    confidence_weighted: bool = False,
    cbgm: CBGM | None = None,
    scenes: SceneScores | None = None,
) -> SearchMetrics:
    """mAP, top-1, top-5 and top-10 over all queries; arguments and errors as of `rankings`.

    In a picture of the query person, the hit is the most similar detection with enough overlap; other detections of the person
    count as wrong. The average precision of a query is multiplied by the share of expected people that were hit.
    A query whose person is in none of its pictures counts 0 in every mean.

    Source: serend1p1ty/SeqNet@edec285 eval_func.py.
    """
    options: dict[str, Any] = {"confidence_weighted": confidence_weighted, "cbgm": cbgm, "scenes": scenes}
    return mean_of([ranking.scores for ranking in rankings(data, gallery_of, min_score=min_score, **options)])


def mean_of(scores: Sequence[tuple[float, ...]]) -> SearchMetrics:
    """The means over the `scores` of each query; all 0 without queries."""
    if not scores:
        return SearchMetrics(0.0, 0.0, 0.0, 0.0, 0)
    mean_ap, top1, top5, top10 = np.mean(scores, axis=0).tolist()
    return SearchMetrics(mean_ap, top1, top5, top10, len(scores))


def rankings(
    data: EvaluationData,
    gallery_of: Callable[[int], QueryGallery],
    *,
    min_score: float,
    confidence_weighted: bool = False,
    cbgm: CBGM | None = None,
    scenes: SceneScores | None = None,
) -> Iterator[QueryRanking]:
    """The ranking of each query; equal keys rank by (scene, row).

    Args:
        data: Scenes and queries.
        gallery_of: The protocol's gallery for the number of a query.
        min_score: Score below which detections are not searched.
        confidence_weighted: Whether to rank by cosine x score, with CBGM too.
        cbgm: Options of CBGM; None: no re-ranking.
        scenes: GFN, whose score of each scene multiplies the keys; None: no scene filter.

    Raises:
        DataError: CBGM, and a query without context; or GFN, and a scene or query without the embedding of its scene.
    """
    if not data.queries:
        return
    pool = _pool(data, min_score)
    weights = pool.scores if confidence_weighted else None
    for number, similarities in enumerate(_similarities(data.queries, pool, weights)):
        gallery = gallery_of(number)
        rows = np.flatnonzero(np.isin(pool.scenes, gallery.scenes))
        if scenes is not None:
            rows = _filter_scenes(similarities, rows, pool, data, number, scenes)
        if cbgm is not None:
            _rerank(similarities, rows, pool, weights, _context(data.queries[number], number), cbgm)
        relevant = _hits(similarities, rows, pool, gallery)
        yield QueryRanking(number, pool, rows, similarities[rows], relevant, gallery.expected)


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


def _filter_scenes(similarities: Array, rows: Array, pool: _Pool, data: EvaluationData, number: int, scenes: SceneScores) -> Array:
    """Multiply the keys by GFN's scene scores, in place, and return the rows of the scenes that are ranked."""
    query, used = data.queries[number], np.unique(pool.scenes[rows])
    embeddings = [row for scene in used.tolist() if (row := data.scenes[scene].embedding) is not None]
    if query.scene_embedding is None or len(embeddings) < len(used):
        raise DataError(f"queries[{number}] or a scene of its gallery has no embedding of the whole scene; a model with GFN makes them")
    scores = np.zeros(len(data.scenes), np.float32)
    if len(used):
        scores[used] = scenes.compare.scores(query.embedding, query.scene_embedding, np.stack(embeddings))
    similarities *= scores[pool.scenes]
    least = scenes.options.min_scene_score
    kept: Array = rows if least is None else rows[scores[pool.scenes[rows]] >= least]
    return kept


def _hits(similarities: Array, rows: Array, pool: _Pool, gallery: QueryGallery) -> Array:
    """(N,) bool: which of the rows count as the query person, at most one a scene; a scene that is left out has none."""
    hits, ranked = np.zeros(len(similarities), bool), np.zeros(len(similarities), bool)
    ranked[rows] = True
    for scene, box in gallery.boxes.items():
        span = pool.rows(scene)
        enough = (iou(pool.boxes[span], box[None])[:, 0] >= search_iou(box)) & ranked[span]
        if enough.any():
            hits[span.start + np.where(enough, similarities[span], -np.inf).argmax()] = True
    relevant: Array = hits[rows]
    return relevant

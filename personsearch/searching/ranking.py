"""Rank the people of some galleries for one query, which may be several pictures."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from personsearch.boxes import Array
from personsearch.gallery import scene_embeddings
from personsearch.ranking import (
    CBGM,
    Context,
    KReciprocal,
    QueryExpansion,
    Ranked,
    SceneFilter,
    cosines,
    expanded,
    k_reciprocal,
    rank_cbgm_many,
)
from personsearch.searching.exclusion import Exclude, OwnPicture
from personsearch.searching.on_device import DeviceRows, rows_on
from personsearch.searching.options import SearchOptions
from personsearch.searching.pools import Pool, Pools


@dataclass(frozen=True)
class QueryRows:
    """A query as numbers: rows of one person, of which the most similar counts."""

    rows: Array  # (S, D) float32 unit rows, S >= 1
    negatives: Array = field(default_factory=lambda: np.zeros((0, 0), np.float32))  # (M, D) rows of people who are not the query
    contexts: tuple[Context, ...] | None = None  # S, people around each picture's person, for CBGM
    scenes: Array | None = None  # (S, F) rows of the pictures' scenes, for GFN
    own: tuple[OwnPicture, ...] = ()  # pictures and frames to leave out


@dataclass(frozen=True)
class Ranker:
    """How one search ranks people."""

    options: SearchOptions
    threshold: float | None  # cosine below which people are dropped
    scene_filter: SceneFilter | None  # the model's, for GFN
    rows: DeviceRows = field(default_factory=lambda: rows_on("cpu"))  # compares rows, on the model's device; CBGM's in memory

    @property
    def takes_several(self) -> bool:
        """Whether several queries can be compared in one pass over the galleries: by cosine, cosine x score, or CBGM."""
        return self.options.gfn is None and (self.options.rerank is None or self.options.cbgm is not None)

    def ranked(self, pools: Pools, query: QueryRows, count: int) -> tuple[Ranked, int]:
        """The best `count` people, best first, and the number of scenes that GFN left out."""
        options = self.options
        if options.gfn is not None and self.scene_filter is not None and query.scenes is not None:
            return self._filtered(pools, query, query.scenes, self.scene_filter, count)
        if options.cbgm is not None and query.contexts is not None:
            return merged(self._matched(pools, query.contexts, options.cbgm, count)).best(count), 0
        if options.k_reciprocal is not None:
            return self._reciprocal(pools, query, options.k_reciprocal, count), 0
        if options.expansion is not None:
            return self._expanded(pools, query, options.expansion, count), 0
        return self._plain(pools, query, count, self.threshold), 0

    def ranked_together(self, pools: Pools, queries: Sequence[QueryRows], count: int) -> list[Ranked]:
        """The best `count` people of several queries, as `ranked`, in one pass over the galleries."""
        contexts = [context for query in queries for context in query.contexts or ()]
        if self.options.cbgm is not None:
            rankings = iter(self._matched(pools, contexts, self.options.cbgm, count))
        else:
            rankings = iter(self._by_cosine(pools, np.concatenate([query.rows for query in queries]), count, self.threshold))
        return [merged([next(rankings) for _ in query.rows]).best(count) for query in queries]

    def _plain(self, pools: Pools, query: QueryRows, count: int, threshold: float | None) -> Ranked:
        return merged(self._by_cosine(pools, query.rows, count, threshold)).best(count)

    def _by_cosine(self, pools: Pools, rows: Array, count: int, threshold: float | None) -> list[Ranked]:
        """The best people for each row, by cosine or cosine x score."""
        columns = []
        for pool in pools.pools:
            weights = pool.people.scores if self.options.confidence_weighted else None
            people = pool.people
            columns.append(self.rows.rank(rows, people.embeddings, count, scores=weights, min_similarity=threshold, part=pool.part))
        return [_joined(pools, [column[i] for column in columns]).best(count) for i in range(len(rows))]

    def _matched(self, pools: Pools, contexts: Sequence[Context], cbgm: CBGM, count: int) -> list[Ranked]:
        """The best people for each context by CBGM; each gallery's best scenes are matched."""
        columns = []
        for pool in pools.pools:
            people, rows = pool.selected()
            weights = people.scores if self.options.confidence_weighted else None
            ranked = rank_cbgm_many(contexts, people.embeddings, people.scenes, count, cbgm, scores=weights, min_similarity=self.threshold)
            columns.append([replace(one, rows=rows[one.rows]) for one in ranked])
        return [_joined(pools, [column[i] for column in columns]) for i in range(len(contexts))]

    def _filtered(self, pools: Pools, query: QueryRows, scenes: Array, compare: SceneFilter, count: int) -> tuple[Ranked, int]:
        """The best people with GFN: cosine [x score] x score of the scene, without the scenes below the threshold.

        Source: LukeJaffe/GFN@72e8d9e (src/engine/evaluate.py), which multiplies so; the threshold is what its text measures.
        """
        columns, left_out = [], 0
        for pool in pools.pools:
            embeddings = scene_embeddings(pool.gallery, pool.people)
            of_scenes = np.stack([compare.scores(row, scene, embeddings) for row, scene in zip(query.rows, scenes, strict=True)])
            columns.append([self._in_scenes(pool, row, weights, count) for row, weights in zip(query.rows, of_scenes, strict=True)])
            least = self.options.gfn.min_scene_score if self.options.gfn else None
            if least is not None:
                compared = pool.people.scenes if pool.part is None else pool.people.scenes[pool.part]
                left_out += int((of_scenes.max(axis=0)[np.unique(compared)] < least).sum())
        return merged([_joined(pools, [column[i] for column in columns]) for i in range(len(query.rows))]).best(count), left_out

    def _in_scenes(self, pool: Pool, row: Array, of_scenes: Array, count: int) -> Ranked:
        """The best people of one gallery, whose scenes have these scores."""
        weights = of_scenes[pool.people.scenes].astype(np.float32)
        least = self.options.gfn.min_scene_score if self.options.gfn else None
        part = pool.part
        if least is not None:
            part = np.flatnonzero(weights >= least) if part is None else part[weights[part] >= least]
        keys = weights * pool.people.scores if self.options.confidence_weighted else weights
        (ranked,) = self.rows.rank(row[None], pool.people.embeddings, count, scores=keys, min_similarity=self.threshold, part=part)
        return ranked

    def _reciprocal(self, pools: Pools, query: QueryRows, options: KReciprocal, count: int) -> Ranked:
        """The best people; the best candidates among them are ranked by k-reciprocal neighbours."""
        plain = without_negatives(pools, query, self._plain(pools, query, max(count, options.candidates), self.threshold))
        near = _embeddings(pools, plain.rows[: options.candidates])
        similarities = plain.similarities
        keys = k_reciprocal(similarities[: len(near)], cosines(near, near), options, similarities[len(near) :])
        return replace(plain, keys=keys).best(count)

    def _expanded(self, pools: Pools, query: QueryRows, options: QueryExpansion, count: int) -> Ranked:
        """The best people for the query together with the best people of a first search."""
        wanted = max(options.neighbours, 1) * (2 if len(query.negatives) else 1)
        first = without_negatives(pools, query, self._plain(pools, query, wanted, self.threshold))
        neighbours = _embeddings(pools, first.rows[: options.neighbours])
        rows = np.stack([expanded(row, neighbours, cosines(row[None], neighbours)[0], options.alpha) for row in query.rows])
        if self.threshold is None:
            again = merged(self._by_cosine(pools, rows, count, None)).best(count)
            return replace(again, similarities=cosines(query.rows, _embeddings(pools, again.rows)).max(axis=0, initial=-1.0))
        similar = self._plain(pools, query, max(pools.compared, 1), self.threshold)
        people = pools.people(similar.rows)[0]
        keys = cosines(rows, people.embeddings).max(axis=0, initial=-1.0)
        return replace(similar, keys=keys * people.scores if self.options.confidence_weighted else keys).best(count)


def without_negatives(pools: Pools, query: QueryRows, ranked: Ranked) -> Ranked:
    """The people who are more similar to the query than to each of its negatives."""
    if len(query.negatives) == 0 or len(ranked) == 0:
        return ranked
    to_negatives = cosines(query.negatives, _embeddings(pools, ranked.rows)).max(axis=0)
    return ranked.take(to_negatives < ranked.similarities)


def without_own(pools: Pools, query: QueryRows, ranked: Ranked, exclude: Exclude | bool | None) -> Ranked:
    """The people who are not in the query's own picture, frame or video."""
    if not query.own or not isinstance(exclude, str) or len(ranked) == 0:
        return ranked
    people, _ = pools.people(ranked.rows)
    return ranked.take(~np.any([own.is_in(people, exclude) for own in query.own], axis=0))


def best_of_images(pools: Pools, ranked: Ranked) -> Ranked:
    """The person ranked first of each picture or video of each gallery."""
    people, locations = pools.people(ranked.rows)
    first = {key: i for i, key in reversed(list(enumerate(zip(locations, people.images.tolist(), strict=True))))}
    return ranked.take(np.array(sorted(first.values()), np.int64))


def merged(rankings: Sequence[Ranked]) -> Ranked:
    """Each person of some rankings once, with the largest similarity and key."""
    if len(rankings) == 1:
        return rankings[0]
    rows = np.unique(np.concatenate([one.rows for one in rankings]))
    similarities, keys = np.full(len(rows), -np.inf, np.float32), np.full(len(rows), -np.inf, np.float32)
    for one in rankings:
        positions = np.searchsorted(rows, one.rows)
        similarities[positions] = np.maximum(similarities[positions], one.similarities)
        keys[positions] = np.maximum(keys[positions], one.keys)
    return Ranked(rows, similarities, keys)


def _joined(pools: Pools, parts: Sequence[Ranked]) -> Ranked:
    """Rankings of the single pools as one, with the rows of `pools`."""
    shifted = [replace(part, rows=part.rows + offset) for part, offset in zip(parts, pools.offsets, strict=False)]
    if len(shifted) == 1:
        return shifted[0]
    return Ranked(*(np.concatenate([getattr(part, name) for part in shifted]) for name in ("rows", "similarities", "keys")))


def _embeddings(pools: Pools, rows: Array) -> Array:
    """(K, D) embeddings of some rows."""
    return pools.people(rows)[0].embeddings

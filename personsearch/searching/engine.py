"""Search galleries: an exact scan in memory, or candidates of the vector index for a gallery that does not fit."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from personsearch.boxes import Array
from personsearch.calibration import Calibration
from personsearch.errors import GalleryModelError, QueryError
from personsearch.gallery import Gallery, People, people_of
from personsearch.hits import Hit
from personsearch.models.base import PersonModel
from personsearch.ranking import Context, Ranked, SceneFilter
from personsearch.results import Engine
from personsearch.searching.on_device import rows_on
from personsearch.searching.options import SearchOptions
from personsearch.searching.pools import Pool, Pools, candidates, united, whole
from personsearch.searching.ranking import QueryRows, Ranker, best_of_images, without_negatives, without_own
from personsearch.tracks import SpellFinder

CANDIDATES = 20  # people taken from the index for each hit wanted; they are then compared exactly
FEWEST_CANDIDATES = 400
GROWTH = 4  # factor on the number of people that are ranked, where too many are dropped afterwards


@dataclass(frozen=True)
class RankedPeople:
    """The best people of some galleries for one query."""

    ranked: Ranked  # rows of `pools`
    pools: Pools
    scenes_left_out: int = 0  # scenes with people that GFN's threshold kept from being ranked
    spells: SpellFinder | None = None  # finds the start and end of each hit, if the hits are grouped by spell

    @property
    def engine(self) -> Engine:
        """What was compared: "index" if candidates of a vector index were compared instead of everyone."""
        return self.pools.engine

    @property
    def compared(self) -> int:
        """Number of people that the query was compared with."""
        return self.pools.compared

    @property
    def people(self) -> People:
        """The people, best first."""
        return self.pools.people(self.ranked.rows)[0]

    def hits(self, threshold: float | None = None) -> tuple[Hit, ...]:
        """The people as hits, best first; `threshold` is the model's calibrated one."""
        people, locations = self.pools.people(self.ranked.rows)
        hits = (
            Hit(
                rank=i + 1,
                image=str(people.images[i]),
                frame=int(people.frames[i]),
                time=None if np.isnan(people.times[i]) else float(people.times[i]),
                box=tuple(people.boxes[i].tolist()),
                score=float(people.scores[i]),
                similarity=float(self.ranked.similarities[i]),
                ranked_by=float(self.ranked.keys[i]),
                row=int(people.rows[i]),
                threshold=threshold,
                gallery=locations[i],
            )
            for i in range(len(people))
        )
        return tuple(hits if self.spells is None else map(self.spells.dated, hits))


def check_model(gallery: Gallery, model: PersonModel) -> None:
    """Check that the gallery holds this model's features; its `min_score` does not matter.

    Raises:
        GalleryModelError: another model made the gallery.
    """
    if gallery.key.fingerprint.rpartition("@")[0] != model.fingerprint:
        raise GalleryModelError(
            f"gallery {gallery.location} was made by {gallery.key.name} ({gallery.key.fingerprint[:12]}), this is {model.name} "
            f"({model.fingerprint[:12]}); index the pictures again with this model, or search with that one"
        )


def search(
    galleries: Sequence[Gallery],
    queries: Sequence[QueryRows],
    options: SearchOptions,
    calibration: Calibration | None = None,
    scene_filter: SceneFilter | None = None,
    *,
    device: str = "cpu",
) -> list[RankedPeople]:
    """The people of some galleries most similar to each query.

    The index of a gallery proposes the `CANDIDATES` x `top_k` people of largest approximate cosine (with CBGM their whole scenes).
    They are compared exactly, but a similar person can be missing among them. Similarity x score, re-ranking and GFN rank the
    candidates only.

    Args:
        galleries: Galleries of the queries' model, at least one.
        queries: Queries as rows.
        options: How to rank.
        calibration: The model's calibration, for `min_similarity="auto"`.
        scene_filter: The model's, for GFN.
        device: Device of the model; on a CUDA device, galleries that fit in memory are compared there.

    Raises:
        GalleryError: a scene filter, and a gallery stores no scenes.
        GalleryPermissionError: the index does not exist yet, and the gallery's folder is read-only.
        QueryError: CBGM without contexts, a scene filter without scenes, or `min_similarity="auto"` without calibration.
    """
    threshold = options.threshold(calibration)
    if options.cbgm is not None and any(query.contexts is None for query in queries):
        raise QueryError("CBGM needs the people around each query; pass contexts")
    if options.gfn is not None and (scene_filter is None or any(query.scenes is None for query in queries)):
        raise QueryError("a scene filter needs the scene of each query; pass scenes")
    if not queries:
        return []
    searched = _Galleries(galleries, options)
    ranker = Ranker(options, threshold, scene_filter, rows_on(device))
    pools = searched.pools(queries, searched.wanted)
    first: Sequence[Ranked | None] = [None] * len(queries)
    if ranker.takes_several and not searched.too_large:
        first = ranker.ranked_together(pools[0], queries, options.top_k)
    spells = SpellFinder(people_of(galleries), options.gap) if options.group_by == "spell" else None
    return [_answer(searched, ranker, spells, *one) for one in zip(queries, pools, first, strict=True)]


def _answer(
    searched: "_Galleries", ranker: Ranker, spells: SpellFinder | None, query: QueryRows, pools: Pools, first: Ranked | None
) -> RankedPeople:
    """The hits of one query; more people are ranked until enough are left after negatives and grouping."""
    wanted, top_k = searched.wanted, ranker.options.top_k
    while True:
        ranked, left_out, everyone = _enough(ranker, spells, query, pools, first)
        first = None
        wanted *= GROWTH
        if len(ranked) >= top_k or not everyone or not searched.has_more(pools, wanted // GROWTH):
            return RankedPeople(ranked.best(top_k), pools, left_out, spells)
        (pools,) = searched.pools([query], wanted)


def _enough(ranker: Ranker, spells: SpellFinder | None, query: QueryRows, pools: Pools, first: Ranked | None) -> tuple[Ranked, int, bool]:
    """`top_k` people after negatives and grouping if the pools have them, the scenes left out, and whether all people were ranked."""
    count = top_k = ranker.options.top_k
    while True:
        ranked, left_out = (first, 0) if first is not None else ranker.ranked(pools, query, count)
        first, exhausted, everyone = None, len(ranked) < count, len(ranked) == pools.compared
        ranked = without_own(pools, query, without_negatives(pools, query, ranked), ranker.options.exclude)
        if spells is not None:
            ranked = ranked.take(np.array(spells.first_of_each(RankedPeople(ranked, pools).hits()), np.intp))
        if ranker.options.group_by == "image":
            ranked = best_of_images(pools, ranked)
        if len(ranked) >= top_k or exhausted or everyone:
            return ranked, left_out, everyone
        count *= GROWTH


class _Galleries:
    """The galleries of one search, and which of their people are compared with a query."""

    def __init__(self, galleries: Sequence[Gallery], options: SearchOptions) -> None:
        self.galleries = galleries
        self.where = options.where
        self.with_scenes = options.cbgm is not None
        hits = max([options.top_k, *([options.cbgm.k1] if options.cbgm else [])])
        self.wanted = max(CANDIDATES * hits, FEWEST_CANDIDATES, *([options.k_reciprocal.candidates] if options.k_reciprocal else []))
        self._whole = [whole(gallery, self.where) for gallery in galleries]

    @property
    def too_large(self) -> bool:
        """Whether the vector index of a gallery is needed."""
        return any(pool is None for pool in self._whole)

    def pools(self, queries: Sequence[QueryRows], wanted: int) -> list[Pools]:
        """For each query the people to compare; of a gallery too large for memory about `wanted` for each row."""
        columns = [
            [pool] * len(queries) if pool is not None else self._candidates(gallery, queries, wanted)
            for gallery, pool in zip(self.galleries, self._whole, strict=True)
        ]
        return [Pools(tuple(column[i] for column in columns)) for i in range(len(queries))]

    def _candidates(self, gallery: Gallery, queries: Sequence[QueryRows], wanted: int) -> list[Pool]:
        rows = np.concatenate([query.rows for query in queries])
        proposed = iter(candidates(gallery, rows, wanted, self.where, scenes=self.with_scenes))
        return [united([next(proposed) for _ in query.rows], self.where) for query in queries]

    def has_more(self, pools: Pools, wanted: int) -> bool:
        """Whether the index of a gallery can propose more people than it did for `wanted`."""
        return any(pool.engine == "index" and wanted < len(pool.gallery) for pool in pools.pools)


def context_rows(rows: Array, contexts: Sequence[Context] | None = None, scenes: Array | None = None) -> list[QueryRows]:
    """Queries of one picture each.

    Args:
        rows: (Q, D) unit rows.
        contexts: People around each query, for CBGM.
        scenes: (Q, S) unit rows of the queries' scenes, for GFN.
    """
    return [
        QueryRows(
            row[None],
            contexts=None if contexts is None else (contexts[i],),
            scenes=None if scenes is None else scenes[i : i + 1],
        )
        for i, row in enumerate(rows)
    ]

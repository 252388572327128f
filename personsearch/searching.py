"""Search a gallery: an exact scan in memory, or candidates of the vector index for a gallery that does not fit."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypedDict

import numpy as np

from personsearch import checks
from personsearch.boxes import Array
from personsearch.calibration import Calibration
from personsearch.errors import GalleryModelError, QueryError
from personsearch.gallery import Gallery, People, PeopleOfVideos, scene_embeddings
from personsearch.hits import Hit, Query
from personsearch.models.base import PersonModel, scene_filter_of
from personsearch.ranking import (
    CBGM,
    GFN,
    Context,
    Ranked,
    Rerank,
    SceneFilter,
    SceneFiltering,
    rank,
    rank_cbgm_many,
    rerank_options,
    scene_filter_options,
)
from personsearch.results import Engine, SearchResult

CANDIDATES = 20  # people taken from the index for each hit wanted; they are then compared exactly
FEWEST_CANDIDATES = 400


class SearchKeywords(TypedDict, total=False):
    """Keywords of `PersonSearcher.search`; each is a field of `SearchOptions`."""

    top_k: int
    rerank: Rerank | None
    min_similarity: float | Literal["auto"] | None
    confidence_weighted: bool
    scene_filter: SceneFiltering | None


@dataclass(frozen=True)
class SearchOptions:
    """How to rank a gallery.

    Raises:
        QueryError: an option is out of range or has the wrong type, or two options exclude each other.
    """

    top_k: int = 10  # largest number of hits
    rerank: Rerank | None = None  # re-rank with CBGM
    min_similarity: float | Literal["auto"] | None = None  # cosine below which hits are dropped; "auto": the model's calibrated one
    confidence_weighted: bool = False  # rank by cosine x score
    scene_filter: SceneFiltering | None = None  # multiply by GFN's score of each scene, and leave out the scenes below its threshold

    def __post_init__(self) -> None:
        object.__setattr__(self, "top_k", checks.count("top_k", self.top_k, QueryError))
        object.__setattr__(self, "rerank", rerank_options(self.rerank, QueryError))
        object.__setattr__(self, "scene_filter", scene_filter_options(self.scene_filter, QueryError))
        if self.scene_filter is not None and self.rerank is not None:
            raise QueryError("CBGM and scene_filter are two ways to use the query's scene; choose one of them")
        if isinstance(self.min_similarity, str) and self.min_similarity != "auto":
            raise QueryError(f'min_similarity must be a cosine, "auto" or None, got {self.min_similarity!r:.80}')
        if not isinstance(self.min_similarity, str | None):
            object.__setattr__(self, "min_similarity", checks.number("min_similarity", self.min_similarity, QueryError))
        if checks.flag("confidence_weighted", self.confidence_weighted, QueryError) and self.rerank is not None:
            raise QueryError('CBGM does not use confidence_weighted; CBGM(variant="authors") multiplies by the scores')

    @property
    def cbgm(self) -> CBGM | None:
        """Options of CBGM, or None for no re-ranking."""
        return rerank_options(self.rerank)

    @property
    def gfn(self) -> GFN | None:
        """Options of the scene filter, or None for no filter."""
        return scene_filter_options(self.scene_filter)

    def threshold(self, calibration: Calibration | None) -> float | None:
        """The cosine below which hits are dropped, or None.

        Raises:
            QueryError: it is "auto", and the model has no calibration.
        """
        if not isinstance(self.min_similarity, str):
            return self.min_similarity
        if calibration is None:
            raise QueryError(
                'min_similarity="auto" needs a calibrated model, and this one has no calibration; pass a cosine, or calibrate it on '
                "labelled pairs (personsearch.calibration.calibrate) and pass PersonSearcher(model, calibration=...)"
            )
        return calibration.min_similarity


@dataclass(frozen=True)
class QueryScenes:
    """The queries' whole scenes, for GFN."""

    compare: SceneFilter  # the model's
    rows: Array  # (Q, S) float32 unit rows


def query_scenes(model: PersonModel, rows: Sequence[Array | None], options: SearchOptions) -> QueryScenes | None:
    """The scenes of embedded queries, if a scene filter needs them.

    Args:
        model: Model of the queries.
        rows: (S,) of each query's scene, or None where it was not embedded.
        options: How to rank.
    """
    compare = None if options.gfn is None else scene_filter_of(model)
    return None if compare is None else QueryScenes(compare, np.array([row for row in rows if row is not None], np.float32))


@dataclass(frozen=True)
class RankedPeople:
    """The best people of a gallery for one query."""

    ranked: Ranked  # rows of `people`
    people: People  # the whole gallery, or the candidates of its index
    engine: Engine
    scenes_left_out: int = 0  # scenes with people that GFN's threshold kept from being ranked

    def result(self, query: Query, gallery: Gallery, calibration: Calibration | None) -> SearchResult:
        """The people as the result of a search.

        Args:
            query: Query of the search.
            gallery: Gallery of the people.
            calibration: The model's calibration, which tells which hits match.
        """
        threshold = None if calibration is None else calibration.min_similarity
        not_looked = {} if gallery.report is None else gallery.report.not_looked
        hits, people_of = self.hits(threshold), PeopleOfVideos(gallery)
        return SearchResult(hits, query, self.engine, not_looked, self.scenes_left_out, threshold, people_of)

    def hits(self, threshold: float | None = None) -> tuple[Hit, ...]:
        """The people as hits, best first; `threshold` is the model's calibrated one."""
        ranked, people = self.ranked, self.people
        return tuple(
            Hit(
                rank=rank,
                image=str(people.images[row]),
                frame=int(people.frames[row]),
                time=None if np.isnan(people.times[row]) else float(people.times[row]),
                box=tuple(people.boxes[row].tolist()),
                score=float(people.scores[row]),
                similarity=float(similarity),
                ranked_by=float(key),
                row=int(people.rows[row]),
                threshold=threshold,
            )
            for rank, (row, similarity, key) in enumerate(zip(ranked.rows, ranked.similarities, ranked.keys, strict=True), start=1)
        )


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
    gallery: Gallery,
    rows: Array,
    contexts: Sequence[Context] | None,
    options: SearchOptions,
    calibration: Calibration | None = None,
    scenes: QueryScenes | None = None,
) -> list[RankedPeople]:
    """The people of a gallery most similar to each query.

    The index proposes the `CANDIDATES` x `top_k` people of largest approximate cosine (with CBGM their whole scenes). They are
    compared exactly, but a similar person can be missing among them. Similarity x score, CBGM and GFN rank the candidates only.

    Args:
        gallery: Gallery of the queries' model.
        rows: (Q, D) float32 unit rows of the queries.
        contexts: People around each query, the query first; used only with CBGM.
        options: How to rank.
        calibration: The model's calibration, for `min_similarity="auto"`.
        scenes: Scenes of the queries; used only with a scene filter.

    Raises:
        GalleryError: a scene filter, and the gallery stores no scenes.
        GalleryPermissionError: the index does not exist yet, and the gallery's folder is read-only.
        QueryError: CBGM without contexts, a scene filter without scenes, or `min_similarity="auto"` without calibration.
    """
    threshold = options.threshold(calibration)
    if options.cbgm is None:
        contexts = None
    elif contexts is None:
        raise QueryError("CBGM needs the people around each query; pass contexts")
    if options.gfn is None:
        scenes = None
    elif scenes is None:
        raise QueryError("a scene filter needs the scene of each query; pass scenes")
    if gallery.fits_in_memory:
        people = gallery.people()
        if scenes is not None:
            return [_rank_filtered(gallery, people, "exact", rows[i], i, scenes, options, threshold) for i in range(len(rows))]
        return [RankedPeople(ranked, people, "exact") for ranked in _rank(rows, contexts, people, options, threshold)]
    wanted = options.top_k if options.cbgm is None else max(options.top_k, options.cbgm.k1)
    parts = gallery.nearest(rows, max(CANDIDATES * wanted, FEWEST_CANDIDATES), scenes=contexts is not None)
    results = []
    for i, part in enumerate(parts):
        if scenes is not None:
            results.append(_rank_filtered(gallery, part, "index", rows[i], i, scenes, options, threshold))
            continue
        (ranked,) = _rank(rows[i : i + 1], contexts and contexts[i : i + 1], part, options, threshold)
        results.append(RankedPeople(ranked, part, "index"))
    return results


def _rank(rows: Array, contexts: Sequence[Context] | None, people: People, options: SearchOptions, threshold: float | None) -> list[Ranked]:
    if options.cbgm is None or contexts is None:
        weights = people.scores if options.confidence_weighted else None
        return rank(rows, people.embeddings, options.top_k, scores=weights, min_similarity=threshold)
    embeddings, scores, scenes = people.embeddings, people.scores, people.scenes
    return rank_cbgm_many(contexts, embeddings, scores, scenes, options.top_k, options.cbgm, min_similarity=threshold)


def _rank_filtered(
    gallery: Gallery,
    people: People,
    engine: Engine,
    row: Array,
    query: int,
    scenes: QueryScenes,
    options: SearchOptions,
    threshold: float | None,
) -> RankedPeople:
    """The ranking of one query with GFN: cosine [x score] x score of the scene, without the scenes below the threshold.

    Source: LukeJaffe/GFN@72e8d9e (src/engine/evaluate.py), which multiplies so; the threshold is what its text measures.
    """
    of_scenes = scenes.compare.scores(row, scenes.rows[query], scene_embeddings(gallery, people))
    weights = of_scenes[people.scenes].astype(np.float32)
    least = options.gfn.min_scene_score if options.gfn is not None else None
    rows = np.arange(len(people)) if least is None else np.flatnonzero(weights >= least)
    embeddings = people.embeddings if len(rows) == len(people) else people.embeddings[rows]
    keys = weights[rows] * people.scores[rows] if options.confidence_weighted else weights[rows]
    (ranked,) = rank(row[None], embeddings, options.top_k, scores=keys, min_similarity=threshold)
    left_out = 0 if least is None else int((of_scenes < least).sum())
    return RankedPeople(replace(ranked, rows=rows[ranked.rows]), people, engine, left_out)

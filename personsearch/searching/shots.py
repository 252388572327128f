"""A query of several pictures: each is read and embedded, then they are one query."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from personsearch.boxes import Array
from personsearch.calibration import Calibration
from personsearch.errors import ImagesError, QueryError, QueryWarning
from personsearch.gallery import Gallery, people_of
from personsearch.hits import Combine, Shots
from personsearch.models.base import PersonModel
from personsearch.query import Doubt, EmbeddedQuery, as_query, embed_queries
from personsearch.ranking import cosines
from personsearch.results import SearchResult
from personsearch.searching.engine import RankedPeople
from personsearch.searching.exclusion import Exclude, own_picture
from personsearch.searching.options import SearchOptions
from personsearch.searching.ranking import QueryRows

WAYS_OUT = "pass Query(image, person=N) or Query(image, box=...) for one of them, or Query(image, crop=True) to take the whole picture"
SAME = 1 - 1e-6  # cosine from which two pictures are the same
LEAST_NORM = 1e-6  # of the sum of unit rows that has a direction


@dataclass(frozen=True)
class EmbeddedShots:
    """A query of several pictures as one model describes it; `PersonSearcher.search` takes it and reads no picture again."""

    pictures: tuple[EmbeddedQuery, ...]
    negatives: tuple[EmbeddedQuery, ...] = ()
    combine: Combine = "mean"


AnyEmbedded: TypeAlias = EmbeddedQuery | EmbeddedShots


def as_any_query(value: Any) -> Any:
    """A user's value as a query of one picture or of several."""
    return value if isinstance(value, Shots | EmbeddedShots) else as_query(value)


def embed_all(model: PersonModel, queries: Sequence[Any], options: SearchOptions) -> list[AnyEmbedded]:
    """Read and embed the pictures of queries that are not embedded yet; each picture is decoded once.

    Args:
        model: Model of the galleries.
        queries: What `as_any_query` returned.
        options: How to rank: CBGM needs the people around each picture's person, GFN the whole scene.

    Raises:
        QueryError: a context or scene is needed and a picture is a crop, or was embedded without it; or CBGM or GFN with the mean
            of several pictures, which has no scene.
        GalleryModelError: a picture was embedded by another model.
        ImageError: a picture cannot be read; of several an `ImagesError` that names all of them.
        BoxError: a box is not finite, empty, outside its image, too small, or not in pixels.
    """
    with_context, with_scene = options.cbgm is not None, options.gfn is not None
    for query in queries:
        if (
            (with_context or with_scene)
            and isinstance(query, Shots | EmbeddedShots)
            and query.combine == "mean"
            and len(query.pictures) > 1
        ):
            name = "CBGM" if with_context else "GFN"
            raise QueryError(
                f'{name} compares the scene of each picture, and the mean of several has none; pass Query.of(..., combine="best")'
            )

    def embed(one: Sequence[Any]) -> list[EmbeddedQuery]:
        return embed_queries(model, one, with_context=with_context, with_scene=with_scene)

    pictures = _by_query([_pictures(query) for query in queries], embed, "pictures of the query")
    negatives = _by_query(
        [_negatives(query) for query in queries], lambda one: embed_queries(model, one, with_context=False), "negatives of the query"
    )
    return [
        EmbeddedShots(tuple(shots), tuple(others), query.combine) if isinstance(query, Shots | EmbeddedShots) else shots[0]
        for query, shots, others in zip(queries, pictures, negatives, strict=True)
    ]


def rows_of(query: AnyEmbedded, exclude: Exclude | bool | None = None) -> QueryRows:
    """The numbers that are compared.

    Args:
        query: Query of one picture or several.
        exclude: What to leave out of the query's own pictures.

    Raises:
        QueryError: A negative is a picture of the query, or the pictures have no mean.
    """
    shots = (query,) if isinstance(query, EmbeddedQuery) else query.pictures
    rows = np.stack([one.row for one in shots])
    contexts = tuple(one.context for one in shots if one.context is not None)
    scenes = [one.scene for one in shots if one.scene is not None]
    negatives = _negative_rows(query, rows)
    places = [own_picture(one.query, exclude) for one in shots] if isinstance(exclude, str) else []
    own = tuple(one for one in places if one is not None)
    if not isinstance(query, EmbeddedQuery) and query.combine == "mean" and len(shots) > 1:
        return QueryRows(_mean(rows)[None], negatives, own=own)
    return QueryRows(
        rows,
        negatives,
        contexts if len(contexts) == len(shots) else None,
        np.stack(scenes) if len(scenes) == len(shots) else None,
        own,
    )


def doubts_of(embedded: AnyEmbedded) -> list[Doubt | None]:
    """Why a picture may not be a crop of one person, for each picture, the negatives last; None: no doubt."""
    pictures = (embedded,) if isinstance(embedded, EmbeddedQuery) else (*embedded.pictures, *embedded.negatives)
    return [one.doubt for one in pictures]


def warn(queries: Sequence[Any], embedded: Sequence[AnyEmbedded]) -> None:
    """Warn about pictures that do not look like a crop of one person, for the caller of the caller; not of those embedded before."""
    for query, result in zip(queries, embedded, strict=True):
        before = [*_pictures(query), *_negatives(query)]
        for old, doubt in zip(before, doubts_of(result), strict=True):
            if doubt is not None and not isinstance(old, EmbeddedQuery):
                warnings.warn(doubt.message(WAYS_OUT), QueryWarning, stacklevel=3)


def results_of(
    ranked: Sequence[RankedPeople],
    embedded: Sequence[AnyEmbedded],
    galleries: Sequence[Gallery],
    calibration: Calibration | None,
    ranked_by: str,
) -> list[SearchResult]:
    """The hits of each query.

    Args:
        ranked: People of the galleries, for each query.
        embedded: Queries.
        galleries: Galleries of the search, which say what could not be looked at.
        calibration: The model's calibration, which tells which hits match.
        ranked_by: Rule of the ranking, in words.
    """
    threshold = None if calibration is None else calibration.min_similarity
    not_looked: dict[str, str] = {}
    for gallery in galleries:  # the report, for a gallery that may not be written
        not_looked |= (gallery.report.not_looked if gallery.report else {}) | gallery.not_looked
    of_galleries = people_of(galleries)

    def result_of(people: RankedPeople, query: AnyEmbedded) -> SearchResult:
        return SearchResult(
            hits=people.hits(threshold),
            query=(query if isinstance(query, EmbeddedQuery) else query.pictures[0]).query,
            engine=people.engine,
            not_looked=not_looked,
            scenes_left_out=people.scenes_left_out,
            threshold=threshold,
            people_of=of_galleries,
            shots=None if isinstance(query, EmbeddedQuery) else _plain(query),
            compared=people.compared,
            ranked_by=ranked_by,
        )

    return [result_of(*one) for one in zip(ranked, embedded, strict=True)]


def _plain(embedded: EmbeddedShots) -> Shots:
    """The pictures as plain queries."""
    return Shots(tuple(one.query for one in embedded.pictures), tuple(one.query for one in embedded.negatives), embedded.combine)


def _negative_rows(query: AnyEmbedded, rows: Array) -> Array:
    if isinstance(query, EmbeddedQuery) or not query.negatives:
        return np.zeros((0, rows.shape[1]), np.float32)
    negatives = np.stack([one.row for one in query.negatives])
    for number, largest in enumerate(cosines(negatives, rows).max(axis=1)):
        if largest >= SAME:
            raise QueryError(
                f"negative {number} (counted from 0) is a picture of the query itself, so nothing could match; leave one of them out"
            )
    return negatives


def _mean(rows: Array) -> Array:
    """(D,) unit row in the direction of the mean of unit rows.

    Raises:
        QueryError: The rows cancel each other out.
    """
    total = rows.astype(np.float64).sum(axis=0)
    norm = float(np.linalg.norm(total))
    if norm < LEAST_NORM:
        raise QueryError('the pictures of the query have opposite embeddings, so their mean has no direction; pass combine="best"')
    return np.asarray(total / norm, np.float32)


def _pictures(query: Any) -> list[Any]:
    return [as_query(one) for one in query.pictures] if isinstance(query, Shots | EmbeddedShots) else [query]


def _negatives(query: Any) -> list[Any]:
    return [as_query(one) for one in query.negatives] if isinstance(query, Shots | EmbeddedShots) else []


def _by_query(groups: list[list[Any]], embed: Callable[[Sequence[Any]], list[EmbeddedQuery]], name: str) -> list[list[EmbeddedQuery]]:
    """The embedded pictures of each query; all are read together."""
    flat = [one for group in groups for one in group]
    try:
        embedded = iter(embed(flat))
    except ImagesError as error:
        if len(groups) == len(flat):
            raise
        through = "counted from 0" if len(groups) == 1 else "counted from 0 through all queries"
        message = f"{len(error.unreadable)} of the {len(flat)} {name} cannot be used, {through}:"
        lines = "".join(f"\n[{i}] {reason}" for i, reason in error.unreadable.items())
        raise ImagesError(f"{message}{lines}", error.unreadable, error.results) from error
    return [[next(embedded) for _ in group] for group in groups]

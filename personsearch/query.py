"""The query of a search: read, decoded and prepared once; then its embedding and the people around it are known."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from personsearch import images
from personsearch.boxes import Array, check_boxes
from personsearch.errors import GalleryModelError, QueryError
from personsearch.hits import Query
from personsearch.models.base import PersonModel
from personsearch.ranking import Context, context_of


@dataclass(frozen=True)
class EmbeddedQuery:
    """A query as one model describes it. `PersonSearcher.search` takes it in place of the `Query` and reads no image again."""

    query: Query
    row: Array  # (D,) float32, unit L2 norm
    context: Context | None  # people of the query's scene, for CBGM; None: not computed
    fingerprint: str  # the model's


def embed_queries(model: PersonModel, queries: Sequence[Query | EmbeddedQuery], *, with_context: bool) -> list[EmbeddedQuery]:
    """Read and embed each query that is not embedded yet; each image is decoded once.

    Args:
        model: Model of the gallery.
        queries: Queries, in the order of the result.
        with_context: Whether to detect the people around each query, which CBGM needs.

    Raises:
        QueryError: a context is needed, and a query is a crop or was embedded without context.
        GalleryModelError: a query was embedded by another model.
        ImageError: an image cannot be read.
        BoxError: a box is not finite, empty or outside its image.
    """
    for query in queries:
        _check(model, query, with_context)
    unread = [query for query in queries if isinstance(query, Query)]
    remaining, embedded = iter(unread), []
    for pictures in images.load_in_batches([query.image for query in unread]):
        embedded += _embed_batch(model, list(islice(remaining, len(pictures))), pictures, with_context)
    results = iter(embedded)
    return [next(results) if isinstance(query, Query) else query for query in queries]


def _check(model: PersonModel, query: Query | EmbeddedQuery, with_context: bool) -> None:
    if isinstance(query, Query):
        if with_context and query.box is None:
            raise QueryError("CBGM compares the people around the query, and a bare crop has none; pass Query(scene, box=(x1, y1, x2, y2))")
        return
    if query.fingerprint != model.fingerprint:
        raise GalleryModelError(
            f"the query was embedded by another model ({query.fingerprint[:12]}), this is {model.name} ({model.fingerprint[:12]}); "
            "embed the query with this model"
        )
    if with_context and query.context is None:
        raise QueryError("the query was embedded without the people around it, which CBGM needs; call embed_query(query, rerank=CBGM())")


def _embed_batch(model: PersonModel, queries: Sequence[Query], pictures: Sequence[Array], with_context: bool) -> list[EmbeddedQuery]:
    rows = np.zeros((len(queries), model.embedding_dim), np.float32)
    contexts: list[Context | None] = [None] * len(queries)
    crops = [i for i, query in enumerate(queries) if query.box is None]
    scenes = [i for i, query in enumerate(queries) if query.box is not None]
    if crops:
        rows[crops] = model.embed_crops([pictures[i] for i in crops])
    if scenes:
        boxes = [check_boxes(queries[i].box or (), *pictures[i].shape[:2]) for i in scenes]
        prepared = [model.prepare(pictures[i]) for i in scenes]
        rows[scenes] = np.concatenate(model.embed(prepared, boxes))
        if with_context:
            for i, box, detections in zip(scenes, boxes, model.detect(prepared, min_score=model.min_score), strict=True):
                contexts[i] = context_of(rows[i], box[0], detections)
    return [EmbeddedQuery(query, row, context, model.fingerprint) for query, row, context in zip(queries, rows, contexts, strict=True)]

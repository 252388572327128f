"""The query of a search: read, decoded and prepared once; then its embedding and the people around it are known."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np

from personsearch import images
from personsearch.boxes import Array, area, check_boxes, check_person_box, clip
from personsearch.errors import GalleryModelError, ImageError, ImagesError, QueryError
from personsearch.hits import Detection, Hit, Query
from personsearch.models.base import PersonModel, SceneEmbedder, scene_filter_of
from personsearch.ranking import Context, context_of
from personsearch.results import Detections
from personsearch.sources import read_query

T = TypeVar("T")

LEAST_SHARE = 0.2  # of the picture's area; a person who is searched for as a whole picture covers at least this
LIKE_SIZE = 0.8  # of the largest person's area; from this size on a second person may be meant too
MOST_OVERLAP = 0.3  # of the narrower person's width; two people side by side have at most this in common
LEAST_SCENE = 320  # pixels of the shorter side; smaller pictures without people are taken as crops
WIDEST_CROP = 0.8  # width over height; wider pictures without people are taken as scenes
LISTED = 20  # number of people that a message lists


@dataclass(frozen=True)
class Doubt:
    """Why a picture may not be a crop of one person."""

    name: str  # of the picture
    reason: str
    people: Detections  # everyone in the picture, best score first

    def message(self, advice: str, *, line: str = "; ") -> str:
        """The reason, the numbered people and the advice.

        Args:
            advice: Ways out.
            line: What separates the people.
        """
        people = [f"{one.person} at ({', '.join(f'{x:.0f}' for x in one.box)}), score {one.score:.2f}" for one in self.people]
        more = [f"and {len(people) - LISTED} more"] if len(people) > LISTED else []
        listed = f":{line if line[0].isspace() else ' '}{line.join(people[:LISTED] + more)}" if people else ""
        return f"{self.name}: {self.reason}{listed}{line}{advice}"


@dataclass(frozen=True)
class EmbeddedQuery:
    """A query as one model describes it. `PersonSearcher.search` takes it in place of the `Query` and reads no image again."""

    query: Query  # with the box of a person named by number
    row: Array  # (D,) float32, unit L2 norm
    context: Context | None  # people of the query's scene, for CBGM; None: not computed
    fingerprint: str  # the model's
    doubt: Doubt | None = None  # None: one person was named, or the picture looks like a crop of one
    scene: Array | None = None  # (S,) float32, the whole scene's unit row, for GFN; None: not computed


def as_query(value: Any) -> Query | EmbeddedQuery:
    """A user's value as a query: a `Hit` or `Detection` is a person of a scene, every other value a picture."""
    if isinstance(value, Hit | Detection):
        return value.query
    return value if isinstance(value, Query | EmbeddedQuery) else Query(value)


def in_batches(queries: Sequence[Query], run: Callable[[list[int], list[Array]], Sequence[T]]) -> list[T]:
    """Results of `run` for the pictures of all queries, at most `images.BATCH` of them decoded at a time.

    All are read, so that one unreadable picture does not cost the others' results.

    Args:
        queries: Queries, whose box and person do not matter here.
        run: Function of the positions and decoded pictures of a batch.

    Raises:
        ImageError: The only picture cannot be used.
        ImagesError: Some of several pictures cannot be used.
    """
    results: list[Any] = [None] * len(queries)
    errors: dict[int, ImageError] = {}
    for start in range(0, len(queries), images.BATCH):
        pictures: dict[int, Array] = {}
        for i in range(start, min(start + images.BATCH, len(queries))):
            try:
                pictures[i] = read_query(queries[i])
            except ImageError as error:
                if len(queries) == 1:
                    raise
                errors[i] = error
        if pictures:
            for i, result in zip(pictures, run(list(pictures), list(pictures.values())), strict=True):
                results[i] = result
    if errors:
        unreadable = {i: str(error) for i, error in errors.items()}
        kept = f"the other {len(queries) - len(errors)} are done: `error.results`"
        lines = "".join(f"\n[{i}] {reason}" for i, reason in unreadable.items())
        raise ImagesError(f"{len(errors)} of {len(queries)} pictures cannot be used ({kept}):{lines}", unreadable, results)
    return results


def embed_queries(
    model: PersonModel, queries: Sequence[Query | EmbeddedQuery], *, with_context: bool, with_scene: bool = False
) -> list[EmbeddedQuery]:
    """Read and embed each query that is not embedded yet; each image is decoded once.

    Args:
        model: Model of the gallery.
        queries: Queries, in the order of the result.
        with_context: Whether to detect the people around each query, which CBGM needs.
        with_scene: Whether to embed each query's whole scene, which GFN needs.

    Raises:
        QueryError: a context or scene is needed, and a query is a crop or was embedded without it; the model has no GFN; or the
            picture has no person of the query's number.
        GalleryModelError: a query was embedded by another model.
        ImageError: an image cannot be read; of several queries an `ImagesError` that names all such images.
        BoxError: a box is not finite, empty, outside its image, too small, or not in pixels.
    """
    if with_scene and scene_filter_of(model) is None:
        raise QueryError(
            f"scene_filter needs a model with GFN, and {model.name} has none; leave it out, or open one (`personsearch models`)"
        )
    for query in queries:
        _check(model, query, with_context, with_scene)
    unread = [query for query in queries if isinstance(query, Query)]
    embedded = in_batches(unread, lambda rows, pictures: _embed_batch(model, [unread[i] for i in rows], pictures, with_context, with_scene))
    results = iter(embedded)
    return [next(results) if isinstance(query, Query) else query for query in queries]


def _check(model: PersonModel, query: Query | EmbeddedQuery, with_context: bool, with_scene: bool) -> None:
    if isinstance(query, Query):
        if with_context and query.box is None and query.person is None:
            raise QueryError(
                "CBGM compares the people around the query, and a bare crop has none; pass Query(scene, box=(x1, y1, x2, y2)) or "
                "Query(scene, person=N)"
            )
        if with_scene and query.box is None and query.person is None:
            raise QueryError(
                "GFN compares the query's whole scene, and a bare crop has none; pass Query(scene, box=(x1, y1, x2, y2)) or "
                "Query(scene, person=N)"
            )
        return
    if query.fingerprint != model.fingerprint:
        raise GalleryModelError(
            f"the query was embedded by another model ({query.fingerprint[:12]}), this is {model.name} ({model.fingerprint[:12]}); "
            "embed the query with this model"
        )
    if with_context and query.context is None:
        raise QueryError("the query was embedded without the people around it, which CBGM needs; call embed_query(query, rerank=CBGM())")
    if with_scene and query.scene is None:
        raise QueryError('the query was embedded without its scene, which GFN needs; call embed_query(query, scene_filter="gfn")')


def _embed_batch(
    model: PersonModel, queries: Sequence[Query], pictures: Sequence[Array], with_context: bool, with_scene: bool
) -> list[EmbeddedQuery]:
    """Embed pictures whose people are detected where the query does not say who is meant, or CBGM needs them."""
    prepared = {i: model.prepare(picture) for i, picture in enumerate(pictures) if not queries[i].crop}
    detected = [i for i in prepared if queries[i].box is None or with_context]
    people: dict[int, Detections] = {}
    if detected:
        people = dict(zip(detected, model.detect([prepared[i] for i in detected], min_score=model.min_score), strict=True))
    resolved = [query if query.person is None else _with_box(query, people[i], model.min_score) for i, query in enumerate(queries)]

    rows = np.zeros((len(queries), model.embedding_dim), np.float32)
    crops = [i for i, query in enumerate(resolved) if query.box is None]
    if crops:
        rows[crops] = model.embed_crops([pictures[i] for i in crops])
    boxes = {i: _box(resolved[i], queries[i], pictures[i]) for i in range(len(queries)) if i not in crops}
    if boxes:
        rows[list(boxes)] = np.concatenate(model.embed([prepared[i] for i in boxes], list(boxes.values())))
    scenes: dict[int, Array] = {}
    if boxes and with_scene and isinstance(model, SceneEmbedder):
        scenes = dict(zip(boxes, model.embed_scenes([prepared[i] for i in boxes]), strict=True))
    contexts = {i: context_of(rows[i], box[0], people[i]) for i, box in boxes.items() if with_context}
    doubts = {i: doubt_of(query_name(queries[i]), people[i], *pictures[i].shape[:2]) for i in crops if i in people}
    return [
        EmbeddedQuery(query, rows[i], contexts.get(i), model.fingerprint, doubts.get(i), scenes.get(i)) for i, query in enumerate(resolved)
    ]


def _box(resolved: Query, query: Query, picture: Array) -> Array:
    """The query's box (1, 4); one that the detector found is not refused for its size."""
    check = check_person_box if query.person is None else check_boxes
    return check(resolved.box or (), *picture.shape[:2])


def _with_box(query: Query, people: Detections, min_score: float) -> Query:
    """The query with the box of its person."""
    number = query.person or 1
    if number > len(people):
        count = {0: "no person is", 1: "only person 1 is"}.get(len(people), f"only people 1 to {len(people)} are")
        raise QueryError(
            f"{query_name(query)}: person {number} does not exist, {count} detected (from score {min_score:g} on); detect the "
            "picture to see the numbers, or pass a box"
        )
    return replace(query, box=tuple(people.boxes[number - 1].tolist()), person=None)


def doubt_of(name: str, people: Detections, height: int, width: int) -> Doubt | None:
    """Why a picture may not be a crop of one person, or None.

    The rule: people are detected, and the largest covers less than `LEAST_SHARE` of the picture; or a second one beside it
    has at least `LIKE_SIZE` of its area; or nothing is detected in a picture that is too large and too wide for a crop. Crops that
    are cut tightly often have no detection, so that alone does not count.

    Args:
        name: Name of the picture.
        people: Everyone from the model's own threshold on.
        height: Height of the picture, pixels.
        width: Width of the picture, pixels.
    """
    people = replace(people, image=None, numbers=None)
    if len(people) == 0:
        if min(height, width) < LEAST_SCENE or width < WIDEST_CROP * height:
            return None
        return Doubt(name, f"no person is detected in this picture of {width} x {height} pixels, which is wide for a crop", people)
    boxes = clip(people.boxes, height, width)
    areas = area(boxes)
    largest = int(areas.argmax())
    share = float(areas[largest] / (height * width))
    if share < LEAST_SHARE:
        subject = "the person in it covers" if len(people) == 1 else f"the largest of {len(people)} people in it covers"
        return Doubt(name, f"{subject} {share:.1%} of the picture, so it does not look like a crop of one person", people)
    like = areas >= LIKE_SIZE * areas[largest]
    if (like & _beside(boxes, boxes[largest])).any():
        return Doubt(name, f"{len(people)} people are in it, two of them of like size side by side", people)
    return None


def _beside(boxes: Array, one: Array) -> Array:
    """(N,) which boxes are beside one box (4,), not above it, below it or inside it: the detector sees parts of a person twice."""
    overlap = np.minimum(boxes[:, 2], one[2]) - np.maximum(boxes[:, 0], one[0])
    beside: Array = overlap < MOST_OVERLAP * np.minimum(boxes[:, 2] - boxes[:, 0], one[2] - one[0])
    return beside


def query_name(query: Query) -> str:
    """The path of a query's picture, shortened in the middle, with its time; never its content."""
    if not isinstance(query.image, str | os.PathLike):
        return "the query's picture"
    path = os.fsdecode(query.image)
    name = path if len(path) <= 200 else f"{path[:80]}...{path[-100:]}"
    return name if query.time is None else f"{name} at {query.time:g} s"

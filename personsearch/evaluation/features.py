"""A model's features of a data set: detections, true people and queries, embedded once and kept in galleries."""

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np

from personsearch import images
from personsearch.boxes import Array
from personsearch.datasets.people import Candidate, Picture, QueryPerson, SearchSet
from personsearch.errors import ConfigError, DataError
from personsearch.evaluation.arrays import EvaluationData, EvaluationQuery, GalleryEntry, Scene
from personsearch.evaluation.ignored import in_regions
from personsearch.gallery import FramePeople, Gallery, ModelKey, default_location, scene_embeddings
from personsearch.indexing import model_key
from personsearch.models.base import PersonModel, SceneEmbedder, scene_filter_of
from personsearch.ranking import Context, context_of
from personsearch.results import Detections
from personsearch.searcher import PersonSearcher
from personsearch.sources import open_source

COMMIT = 256  # pictures per commit; an interrupted run loses at most these


@dataclass(frozen=True)
class Features:
    """The features of one model on one data set, by picture."""

    detections: dict[Path, Detections]
    queries: dict[Path, Detections]  # the query people of a picture, at their true boxes


def make_features(searcher: PersonSearcher, data: SearchSet, *, min_score: float, true_boxes: bool = False) -> Features:
    """Detect and embed the people of a data set; a second run with the same model and pictures reads them from disk.

    Args:
        searcher: Model.
        data: Gallery and queries.
        min_score: Score below which detections are dropped.
        true_boxes: Whether to take the annotated boxes as detections, with score 1: the upper bound of a perfect detector.

    Raises:
        DataError: a picture is missing or cannot be read.
    """
    query_boxes: dict[Path, list[Array]] = {}
    for query in data.queries:
        query_boxes.setdefault(query.path, []).append(query.box)
    paths = list(dict.fromkeys([*(one.path for one in data.gallery), *query_boxes]))
    missing = next((path for path in paths if not os.path.isfile(path)), None)
    if missing is not None:
        raise DataError(f"the data set names {missing}, which does not exist; unpack all pictures of the data set into {missing.parent}")
    if true_boxes:
        detections = _embed_boxes(searcher, "true-boxes", {picture.path: picture.boxes for picture in data.gallery})
    else:
        detections = _detect(searcher, paths, min_score)
    queries = {path: np.array(boxes, np.float32) for path, boxes in query_boxes.items()}
    return Features(detections, _embed_boxes(searcher, "queries", queries))


def query_scenes(searcher: PersonSearcher, data: SearchSet, features: Features) -> dict[Path, Array]:
    """The embedding of the whole scene of each query, for GFN; a picture without detections is embedded now.

    Raises:
        ConfigError: the model has no GFN.
    """
    model = searcher.model
    if not isinstance(model, SceneEmbedder) or model.scene_filter is None:
        raise ConfigError(f"{model.name} has no GFN, which scene_filter needs; take a model with it, such as gfn-prw")
    known = {path: people.scene for path, people in features.detections.items()}
    rows: dict[Path, Array] = {}
    for path in dict.fromkeys(query.path for query in data.queries):
        row = known.get(path)
        rows[path] = model.embed_scenes([model.prepare(images.load(path))])[0] if row is None else row
    return rows


def to_arrays(
    data: SearchSet, features: Features, *, context_min_score: float, scenes: Mapping[Path, Array] | None = None
) -> EvaluationData:
    """The data set with a model's features, as `evaluate` takes it.

    Args:
        data: Gallery and queries.
        features: Features of the same data set; its gallery lists may have another size.
        context_min_score: Score below which detections are not context of a query.
        scenes: Embedding of the whole scene of each query, for GFN.
    """
    entries: dict[Path, GalleryEntry] = {}  # shared: most entries are pictures without the person
    pictures = tuple(_scene(picture, features.detections[picture.path]) for picture in data.gallery)
    queries = [_query(query, features, entries, context_min_score) for query in data.queries]
    if scenes is not None:
        queries = [replace(one, scene_embedding=scenes[query.path]) for one, query in zip(queries, data.queries, strict=True)]
    return EvaluationData(pictures, tuple(queries))


def _detect(searcher: PersonSearcher, paths: Sequence[Path], min_score: float) -> dict[Path, Detections]:
    names = [str(path) for path in paths]
    key = model_key(searcher.model, min_score)
    # Named, so that lists of other sizes add to it; without a name, it would be cut down to each list.
    gallery = searcher.index(
        names, min_score=min_score, gallery=default_location(f"evaluation-{open_source(names).key()}", key.fingerprint)
    )
    if gallery.report is not None and gallery.report.unreadable:
        name, reason = next(iter(gallery.report.unreadable.items()))
        raise DataError(f"{name} cannot be read: {reason}; unpack the data set's pictures again")
    return _by_path(gallery, paths, with_scenes=scene_filter_of(searcher.model) is not None)


def _embed_boxes(searcher: PersonSearcher, name: str, boxes: dict[Path, Array]) -> dict[Path, Detections]:
    """The people in the given boxes, with score 1, in the boxes' order; kept in a gallery of their own."""
    if not boxes:
        return {}
    gallery = _boxes_gallery(searcher.model, name, boxes)
    digests = {path: _digest(path, rows) for path, rows in boxes.items()}
    known = {image: record.fingerprint for image, record in gallery.images().items()}
    changed = [path for path, digest in digests.items() if known.get(_name(path)) != digest]
    frames: list[FramePeople] = []
    remaining = iter(changed)
    for start in range(0, len(changed), images.BATCH):
        pictures = [images.load(item) for item in changed[start : start + images.BATCH]]
        paths = list(islice(remaining, len(pictures)))
        embeddings = searcher.embed(pictures, [boxes[path] for path in paths])
        for path, picture, rows in zip(paths, pictures, embeddings, strict=True):
            people = Detections(boxes[path], np.ones(len(rows), np.float32), rows)
            frames.append(_frame(path, picture.shape[0], picture.shape[1], digests[path], people))
        if len(frames) >= COMMIT:
            gallery.add(frames)
            frames = []
    if frames:
        gallery.add(frames)
    return _by_path(gallery, list(boxes))


def _boxes_gallery(model: PersonModel, name: str, boxes: dict[Path, Array]) -> Gallery:
    key = ModelKey(f"{model.name} at given boxes", f"{model.fingerprint}@boxes", model.embedding_dim)
    source = open_source(list(boxes)).key()  # names the pictures
    return Gallery.create_or_open(default_location(f"{name}-{source}", key.fingerprint), key)


def _frame(path: Path, height: int, width: int, digest: str, people: Detections) -> FramePeople:
    return FramePeople(
        image=_name(path),
        frame=0,
        time=None,
        height=height,
        width=width,
        fingerprint=digest,
        size=None,
        modified_ns=None,
        root=None,
        last=True,
        detections=people,
    )


def _digest(path: Path, boxes: Array) -> str:
    """64 hex digits that change with the file and with the boxes."""
    state = path.stat()
    return hashlib.sha256(f"{state.st_size} {state.st_mtime_ns} {boxes.tolist()}".encode()).hexdigest()


def _by_path(gallery: Gallery, paths: Sequence[Path], *, with_scenes: bool = False) -> dict[Path, Detections]:
    people = gallery.people()
    names, starts = np.unique(people.images.astype(str), return_index=True)
    ends = [*starts[1:], len(people)][: len(names)]  # an empty gallery has no end either
    scenes = scene_embeddings(gallery, people) if with_scenes and len(people) else None
    spans = {str(name): slice(int(start), int(end)) for name, start, end in zip(names, starts, ends, strict=True)}
    result = {}
    for path in paths:
        span = spans.get(_name(path), slice(0, 0))
        scene = None if scenes is None or span.start == span.stop else scenes[people.scenes[span.start]]
        result[path] = Detections(people.boxes[span], people.scores[span], people.embeddings[span], scene=scene)
    return result


def _name(path: Path) -> str:
    """The gallery's name of a file."""
    return os.path.abspath(path)


def _scene(picture: Picture, detections: Detections) -> Scene:
    ignored = in_regions(detections.boxes, picture.ignore_polygons) if picture.ignore_polygons else None
    return Scene(str(picture.path), picture.camera, picture.boxes, picture.identities, detections, ignored, detections.scene)


def _query(query: QueryPerson, features: Features, entries: dict[Path, GalleryEntry], min_score: float) -> EvaluationQuery:
    people = features.queries.get(query.path)
    if people is None or not (people.boxes == query.box).all(axis=1).any():
        raise DataError(f"{query.path.name}, box {query.box.tolist()}, is a query of one gallery size only; take all lists of one data set")
    row = people.embeddings[(people.boxes == query.box).all(axis=1).argmax()]
    context = _context(query, row, features.detections.get(query.path), min_score)
    listed = None if query.candidates is None else tuple(_entry(candidate, entries) for candidate in query.candidates)
    return EvaluationQuery(str(query.path), query.camera, query.identity, row, context, listed)


def _context(query: QueryPerson, row: Array, detections: Detections | None, min_score: float) -> Context:
    """The query's context; only the query itself if its picture was not detected in."""
    if detections is None:
        return Context(row[None], np.ones(1, np.float32))
    return context_of(row, query.box, detections.take(detections.scores >= min_score))


def _entry(candidate: Candidate, entries: dict[Path, GalleryEntry]) -> GalleryEntry:
    if candidate.box_xywh is not None:
        return GalleryEntry(str(candidate.path), candidate.box_xywh)
    if candidate.path not in entries:
        entries[candidate.path] = GalleryEntry(str(candidate.path), None)
    return entries[candidate.path]

"""What a model makes of a data set: people found, true people and query people, embedded once and kept in galleries."""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from personsearch import images
from personsearch.boxes import Array, iou
from personsearch.datasets.people import UNLABELLED as NOBODY
from personsearch.datasets.people import Candidate, Picture, QueryPerson, SearchSet
from personsearch.errors import DataError
from personsearch.evaluation.arrays import UNLABELLED, EvaluationData, EvaluationQuery, GalleryEntry, Scene
from personsearch.evaluation.ignored import in_regions
from personsearch.gallery import FramePeople, Gallery, ModelKey, default_location
from personsearch.ranking import Context
from personsearch.results import Detections
from personsearch.searcher import BATCH, SAME_PERSON_IOU, PersonSearcher
from personsearch.sources import open_source

COMMIT = 256  # pictures; what a break loses at most


@dataclass(frozen=True)
class Features:
    """Everything of one model on one data set that costs time, by picture."""

    found: dict[Path, Detections]
    queries: dict[Path, Detections]  # the query people of a picture, at their true boxes


def make_features(searcher: PersonSearcher, data: SearchSet, *, min_score: float, true_boxes: bool = False) -> Features:
    """Detect and embed everybody of a data set; a second run with the same model and pictures reads it from the disk.

    Args:
        searcher: the model.
        data: gallery and queries.
        min_score: found people below it are not kept.
        true_boxes: take the annotated boxes as the people found, with score 1: the upper bound for a perfect detector.

    Raises:
        DataError: a picture is missing or cannot be read.
    """
    asked: dict[Path, list[Array]] = {}
    for query in data.queries:
        asked.setdefault(query.path, []).append(query.box)
    paths = list(dict.fromkeys([*(one.path for one in data.gallery), *asked]))
    absent = next((path for path in paths if not path.is_file()), None)
    if absent is not None:
        raise DataError(f"the data set names {absent}, which is not there; unpack all pictures of the data set into {absent.parent}")
    if true_boxes:
        found = _embed_boxes(searcher, "true-boxes", {one.path: one.boxes for one in data.gallery})
    else:
        found = _detect(searcher, paths, min_score)
    return Features(found, _embed_boxes(searcher, "queries", {path: np.array(boxes, np.float32) for path, boxes in asked.items()}))


def to_arrays(data: SearchSet, features: Features, *, context_min_score: float) -> EvaluationData:
    """The data set with a model's features, as `evaluate` takes it.

    Args:
        data: gallery and queries.
        features: of the same data set; its lists may be of another size.
        context_min_score: found people below it are no context of a query.
    """
    entries: dict[Path, GalleryEntry] = {}  # most entries are the same picture without the person
    scenes = tuple(_scene(one, features.found[one.path]) for one in data.gallery)
    return EvaluationData(scenes, tuple(_query(one, features, entries, context_min_score) for one in data.queries))


def _detect(searcher: PersonSearcher, paths: Sequence[Path], min_score: float) -> dict[Path, Detections]:
    gallery = searcher.index([str(path) for path in paths], min_score=min_score)
    if gallery.report is not None and gallery.report.unreadable:
        name, reason = next(iter(gallery.report.unreadable.items()))
        raise DataError(f"{name} cannot be read: {reason}; unpack the data set's pictures again")
    return _by_path(gallery, paths)


def _embed_boxes(searcher: PersonSearcher, what: str, boxes: dict[Path, Array]) -> dict[Path, Detections]:
    """The people in given boxes, with score 1, in the boxes' order; kept in a gallery of its own."""
    if not boxes:
        return {}
    wanted = {path: _digest(path, rows) for path, rows in boxes.items()}
    model = searcher.model
    key = ModelKey(f"{model.name} at given boxes", f"{model.fingerprint}@boxes", model.embedding_dim)
    source = open_source(list(boxes)).key()  # names the pictures
    gallery = Gallery.create_or_open(default_location(f"{what}-{source}", key.fingerprint), key)
    known = gallery.images()
    todo = [path for path, digest in wanted.items() if _name(path) not in known or known[_name(path)].fingerprint != digest]
    waiting: list[FramePeople] = []
    for start in range(0, len(todo), BATCH):
        part = todo[start : start + BATCH]
        loaded = [images.load(path) for path in part]
        for path, picture, rows in zip(part, loaded, searcher.embed(loaded, [boxes[path] for path in part]), strict=True):
            found = Detections(boxes[path], np.ones(len(rows), np.float32), rows)
            height, width = picture.shape[:2]
            waiting.append(FramePeople(_name(path), 0, None, height, width, wanted[path], None, None, None, True, found))
        if len(waiting) >= COMMIT or start + BATCH >= len(todo):
            gallery.add(waiting)
            waiting = []
    return _by_path(gallery, list(boxes))


def _digest(path: Path, boxes: Array) -> str:
    """Changes with the file and with the boxes; 64 hex digits."""
    state = path.stat()
    return hashlib.sha256(f"{state.st_size} {state.st_mtime_ns} {boxes.tolist()}".encode()).hexdigest()


def _by_path(gallery: Gallery, paths: Sequence[Path]) -> dict[Path, Detections]:
    people = gallery.people()
    names, starts = np.unique(people.images.astype(str), return_index=True)
    ends = [*starts[1:], len(people)][: len(names)]  # of nobody at all there is no end either
    spans = {str(name): slice(int(start), int(end)) for name, start, end in zip(names, starts, ends, strict=True)}
    nobody = slice(0, 0)
    result = {}
    for path in paths:
        span = spans.get(_name(path), nobody)
        result[path] = Detections(people.boxes[span], people.scores[span], people.embeddings[span])
    return result


def _name(path: Path) -> str:
    """As a gallery names a file."""
    return os.path.abspath(path)


def _scene(picture: Picture, found: Detections) -> Scene:
    identities = np.where(picture.identities == NOBODY, UNLABELLED, picture.identities)
    ignored = in_regions(found.boxes, picture.ignore_polygons) if picture.ignore_polygons else None
    return Scene(str(picture.path), picture.camera, picture.boxes, identities, found, ignored)


def _query(query: QueryPerson, features: Features, entries: dict[Path, GalleryEntry], min_score: float) -> EvaluationQuery:
    mine = features.queries.get(query.path)
    if mine is None or not (mine.boxes == query.box).all(axis=1).any():
        raise DataError(f"{query.path.name}, box {query.box.tolist()}, is a query of one gallery size only; take all lists of one data set")
    row = mine.embeddings[(mine.boxes == query.box).all(axis=1).argmax()]
    context = _context(query, row, features.found.get(query.path), min_score)
    listed = None if query.candidates is None else tuple(_entry(one, entries) for one in query.candidates)
    return EvaluationQuery(str(query.path), query.camera, query.identity, row, context, listed)


def _context(query: QueryPerson, row: Array, found: Detections | None, min_score: float) -> Context:
    """The query first, then the people found in its picture, but not the query again."""
    if found is None:
        return Context(row[None], np.ones(1, np.float32))
    others = found.take((found.scores >= min_score) & (iou(found.boxes, query.box[None])[:, 0] <= SAME_PERSON_IOU))
    return Context(np.concatenate([row[None], others.embeddings]), np.concatenate([np.ones(1, np.float32), others.scores]))


def _entry(candidate: Candidate, entries: dict[Path, GalleryEntry]) -> GalleryEntry:
    if candidate.box_xywh is not None:
        return GalleryEntry(str(candidate.path), candidate.box_xywh)
    if candidate.path not in entries:
        entries[candidate.path] = GalleryEntry(str(candidate.path), None)
    return entries[candidate.path]

"""The evaluation file: JSON in, `EvaluationData` out; an error names the field.

* `images[]`: `name`, `camera` (optional), `boxes` [x1, y1, x2, y2] and `ids` of the true people (5555 = unlabelled),
  `detections` [x1, y1, x2, y2, score] and their `embeddings`.
* `queries[]`: `image`, `camera` (optional), `box`, `id`, `embedding`; for CBGM `context_detections` and `context_embeddings`, the query
  first; for CUHK-SYSU `cuhk_gallery[]`: `image`, `box_xywh` (the query person in it, or null).

Boxes are pixels. Only the direction of an embedding counts; its length (1, or the score in some networks) is ignored.
Other fields are ignored.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, model_validator

from personsearch import checks
from personsearch.boxes import Array
from personsearch.datasets.people import UNLABELLED
from personsearch.errors import DataError
from personsearch.evaluation.arrays import EvaluationData, EvaluationQuery, GalleryEntry, Scene
from personsearch.options import parse
from personsearch.ranking import Context
from personsearch.results import Detections

Coordinate = Annotated[float, Field(allow_inf_nan=False), Field(ge=-1e7, le=1e7)]  # pixels; float32 has whole pixels up to 16.7 million
Box = tuple[Coordinate, Coordinate, Coordinate, Coordinate]
Score = Annotated[float, Field(ge=0, le=1)]
Detection = tuple[Coordinate, Coordinate, Coordinate, Coordinate, Score]
Identity = Annotated[int, Field(ge=0, le=2**62)]
Embedding = Annotated[list[FiniteFloat], Field(min_length=1)]
UNLABELLED_IN_FILES = 5555  # CUHK-SYSU's and PRW's number for people without identity; `UNLABELLED` everywhere else
FAR = 1e100  # numbers of an embedding above it are scaled before they are squared
_SAME_COSINE = 0.999  # smallest cosine of one embedding written twice; two people are never so close


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True)


class _Image(_Strict):
    name: str
    camera: int | None = None
    boxes: list[Box]
    ids: list[Identity]
    detections: list[Detection]
    embeddings: list[Embedding]

    @model_validator(mode="after")
    def _check(self) -> Self:
        _same_length(boxes=self.boxes, ids=self.ids)
        _same_length(detections=self.detections, embeddings=self.embeddings)
        _check_corners("boxes", self.boxes)
        return self


class _GalleryEntry(_Strict):
    image: str
    box_xywh: Box | None


class _Query(_Strict):
    image: str
    camera: int | None = None
    box: Box
    identity: Identity = Field(alias="id")
    embedding: Embedding
    context_detections: list[Detection] | None = None
    context_embeddings: list[Embedding] | None = None
    cuhk_gallery: list[_GalleryEntry] | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        _check_corners("box", [self.box])
        if self.identity == UNLABELLED_IN_FILES:
            raise ValueError(f"id {UNLABELLED_IN_FILES} means unlabelled; a query needs a person with an identity")
        if (self.context_detections is None) != (self.context_embeddings is None):
            raise ValueError("context_detections and context_embeddings go together; write both or neither")
        if self.context_detections is not None and self.context_embeddings is not None:
            _same_length(context_detections=self.context_detections, context_embeddings=self.context_embeddings)
            first, dim = self.context_embeddings[:1], len(self.embedding)
            if not first or len(first[0]) != dim or _unit(first, dim)[0] @ _unit([self.embedding], dim)[0] < _SAME_COSINE:
                raise ValueError("context_embeddings must begin with the query's own embedding")
        return self


class _File(_Strict):
    images: list[_Image]
    queries: list[_Query]

    @model_validator(mode="after")
    def _check(self) -> Self:
        first: dict[str, int] = {}
        for number, image in enumerate(self.images):
            if first.setdefault(image.name, number) != number:
                raise ValueError(f"images[{number}] has the name of images[{first[image.name]}], {image.name!r}; names must differ")
        return self


COCO = (b'"annotations"', b'"bbox"')  # fields that this schema does not have


def read(path: str | Path) -> EvaluationData:
    """The scenes and queries of an evaluation file.

    Raises:
        DataError: the file cannot be read, is not JSON, or does not follow the schema.
    """
    checks.no_pipe(checks.path("path", path, DataError), DataError)
    try:
        text = Path(path).read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a name with a null character
        raise DataError(f"{str(path)!r:.200} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    try:
        file = parse(_File, text, path, error=DataError)
    except DataError as error:
        if all(word in text for word in COCO):
            raise DataError(
                f"{path} is a COCO-style file of pictures and boxes, without detections and embeddings; measure a model on it with "
                f"--dataset coco --root {path} (in Python: evaluate_dataset(searcher, 'coco', path))"
            ) from error
        raise
    dim = _common_dim(file, path)
    return EvaluationData(tuple(_scene(image, dim) for image in file.images), tuple(_query(query, dim) for query in file.queries))


def _common_dim(file: _File, path: str | Path) -> int:
    """The length of all embeddings.

    Raises:
        DataError: the lengths differ.
    """
    lengths = [(f"images[{i}].embeddings[{j}]", len(row)) for i, image in enumerate(file.images) for j, row in enumerate(image.embeddings)]
    for i, query in enumerate(file.queries):
        lengths.append((f"queries[{i}].embedding", len(query.embedding)))
        lengths += [(f"queries[{i}].context_embeddings[{j}]", len(row)) for j, row in enumerate(query.context_embeddings or [])]
    for field, length in lengths:
        if length != lengths[0][1]:
            raise DataError(f"{path}: {field} has {length} numbers, {lengths[0][0]} has {lengths[0][1]}; use one network for all")
    return lengths[0][1] if lengths else 0


def _scene(image: _Image, dim: int) -> Scene:
    rows = np.array(image.detections, np.float32).reshape(-1, 5)
    detections = Detections(rows[:, :4], rows[:, 4], _unit(image.embeddings, dim))
    ids = np.array(image.ids, np.int64)
    ids[ids == UNLABELLED_IN_FILES] = UNLABELLED
    return Scene(image.name, image.camera, np.array(image.boxes, np.float32).reshape(-1, 4), ids, detections)


def _query(query: _Query, dim: int) -> EvaluationQuery:
    context = gallery = None
    if query.context_detections is not None and query.context_embeddings is not None:
        scores = np.array(query.context_detections, np.float32)[:, 4]
        context = Context(_unit(query.context_embeddings, dim), scores)
    if query.cuhk_gallery is not None:
        gallery = tuple(GalleryEntry(entry.image, entry.box_xywh) for entry in query.cuhk_gallery)
    return EvaluationQuery(query.image, query.camera, query.identity, _unit([query.embedding], dim)[0], context, gallery)


def _unit(rows: list[list[float]], dim: int) -> Array:
    """(N, dim) float32 rows of length 1, N may be 0; rows of zeros, which a score of 0 can cause, stay zeros."""
    array = np.array(rows, np.float64).reshape(len(rows), dim)
    largest = np.abs(array).max(axis=1, initial=0, keepdims=True)
    array = array / np.where(largest > FAR, largest, 1.0)  # squares stay finite
    length = np.linalg.norm(array, axis=1, keepdims=True)
    unit: Array = np.divide(array, length, out=np.zeros_like(array), where=length > 0)
    return unit.astype(np.float32)


def _same_length(**lists: Sequence[Any]) -> None:
    (one, first), (other, second) = lists.items()
    if len(first) != len(second):
        raise ValueError(f"{len(first)} {one} need as many {other}, got {len(second)}")


def _check_corners(name: str, boxes: list[Box]) -> None:
    for number, (x1, y1, x2, y2) in enumerate(boxes):
        if x2 <= x1 or y2 <= y1:
            raise ValueError(f"{name}[{number}] is empty: ({x1:g}, {y1:g}, {x2:g}, {y2:g}); boxes are x1, y1, x2, y2, not width and height")

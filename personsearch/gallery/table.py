"""The columns of a gallery's table, and the conversion between detections and rows.

One row per frame (`row` = -1) says what was indexed, also for frames without people; one row per person (`row` = 0, 1, ...
by score) holds the embedding. A frame and its people share `indexed_ns`, so of two writes of the same frame
the newest counts, as a whole.
"""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from personsearch.boxes import Array
from personsearch.errors import GalleryError, ShapeError
from personsearch.results import Detections

if TYPE_CHECKING:
    import pyarrow as pa

FORMAT = 1  # version of the columns below
Storage = Literal["float32", "float16"]  # number format of the embeddings on disk; in memory they are float32
STORAGES: tuple[Storage, ...] = get_args(Storage)
METADATA = b"personsearch.gallery"  # key of the schema's metadata that marks a table as a gallery and names its model


@dataclass(frozen=True)
class ModelKey:
    """The model whose embeddings a gallery holds."""

    name: str  # for people to read
    fingerprint: str  # digest of everything that an embedding depends on
    embedding_dim: int  # D

    def __str__(self) -> str:
        return f"{self.name} ({self.fingerprint[:12]}, {self.embedding_dim} numbers per person)"


@dataclass(frozen=True)
class FramePeople:
    """One indexed frame (a picture, or a frame of a video) and the people in it."""

    image: str  # path of the picture or video
    frame: int  # frame number in a video, 0 in a picture
    time: float | None  # seconds into a video, None in a picture
    height: int  # pixels
    width: int  # pixels
    fingerprint: str  # digest of the file's content
    size: int | None  # bytes; None for a picture in memory
    modified_ns: int | None  # modification time of the file when it was read; None for a picture in memory
    root: str | None  # the source that the file came from
    last: bool  # whether the file has no further frame to index; True in a picture
    detections: Detections


@dataclass(frozen=True)
class ImageRecord:
    """Facts about one indexed picture or video."""

    image: str
    fingerprint: str
    size: int | None
    modified_ns: int | None
    root: str | None
    frames: frozenset[int]  # numbers of the indexed frames
    complete: bool  # False if indexing a video was interrupted
    indexed_ns: int  # when its first frame was committed, nanoseconds since 1970


@dataclass(frozen=True)
class People:
    """People of a gallery, sorted by (image, frame, row); N may be 0. Read-only: the arrays are shared."""

    images: Array  # (N,) str objects
    frames: Array  # (N,) int32, 0 in pictures
    rows: Array  # (N,) int32, 0 = the frame's best score
    times: Array  # (N,) float64 seconds, nan in pictures
    boxes: Array  # (N, 4) float32, xyxy pixels of the original image
    scores: Array  # (N,) float32, 0..1
    embeddings: Array  # (N, D) float32, unit L2 norm (within 5e-4 if stored in float16)

    def __len__(self) -> int:
        return len(self.images)

    @cached_property
    def scenes(self) -> Array:
        """(N,) int: number of each person's scene (image and frame), ascending."""
        starts = (self.images[1:] != self.images[:-1]) | (self.frames[1:] != self.frames[:-1])
        return np.concatenate([np.zeros(min(len(self), 1), np.intp), np.cumsum(starts)])


FEATURES = ["time", "box", "score", "embedding"]  # columns that `_features` reads


def schema(key: ModelKey, created_ns: int, storage: Storage) -> "pa.Schema":
    """The columns of a gallery of this model, with the key in the metadata."""
    import pyarrow as pa

    fields = {
        "image": pa.string(),
        "frame": pa.int32(),
        "row": pa.int32(),  # -1: the frame itself
        "indexed_ns": pa.int64(),
        "height": pa.int32(),
        "width": pa.int32(),
        "time": pa.float64(),  # null in pictures
        # Facts about the file, null in people's rows.
        "fingerprint": pa.string(),
        "size": pa.int64(),
        "modified_ns": pa.int64(),
        "root": pa.string(),
        "done": pa.bool_(),
        # The person, null in frames' rows.
        "box": pa.list_(pa.float32(), 4),
        "score": pa.float32(),
        "embedding": pa.list_(pa.float16() if storage == "float16" else pa.float32(), key.embedding_dim),
    }
    return pa.schema(fields, metadata={METADATA: json.dumps({"format": FORMAT, "created_ns": created_ns, **asdict(key)})})


def read_key(table_schema: "pa.Schema", location: str) -> tuple[ModelKey, int]:
    """The model of a table, and when the table was created (nanoseconds).

    Raises:
        GalleryError: The table is not a gallery, or has another format.
    """
    text = (table_schema.metadata or {}).get(METADATA)
    if text is None:
        raise GalleryError(f"{location} is a Lance table, but not a personsearch gallery; give the gallery a folder of its own")
    facts = json.loads(text)
    if facts["format"] != FORMAT:
        raise GalleryError(f"gallery {location} has format {facts['format']}, this version reads {FORMAT}; delete it and index again")
    return ModelKey(facts["name"], facts["fingerprint"], facts["embedding_dim"]), facts["created_ns"]


def storage_of(table_schema: "pa.Schema") -> Storage:
    """Number format of the embeddings in a gallery's table."""
    return "float16" if table_schema.field("embedding").type.value_type.bit_width == 16 else "float32"


def to_rows(batch: Sequence[FramePeople], table_schema: "pa.Schema", indexed_ns: int) -> "pa.Table":
    """The table rows of a batch of frames: each frame's own row, then its people.

    Raises:
        ShapeError: The embeddings are not (N, D) with the gallery's D.
        GalleryError: A frame is in the batch twice.
    """
    import pyarrow as pa

    dim = table_schema.field("embedding").type.list_size
    _check(batch, dim)
    counts = [len(item.detections) for item in batch]
    owner = np.repeat(np.arange(len(batch)), np.add(counts, 1))  # row -> number of its frame in the batch
    rows = np.concatenate([np.arange(-1, count, dtype=np.int32) for count in counts])
    is_frame = pa.array(rows < 0)

    def per_frame(name: str, attribute: str, *, on_people: bool) -> Any:
        values = pa.array([getattr(item, attribute) for item in batch], table_schema.field(name).type)
        return values.take(pa.array(owner) if on_people else pa.array(owner, mask=rows >= 0))

    def per_person(values: list[Array], width: int, dtype: str = "float32") -> Any:
        full = np.zeros((len(rows), width), dtype)
        full[rows >= 0] = np.concatenate(values)
        return pa.FixedSizeListArray.from_arrays(pa.array(full.ravel()), width, mask=is_frame)

    scores = np.zeros(len(rows), np.float32)
    scores[rows >= 0] = np.concatenate([item.detections.scores for item in batch])
    columns = {name: per_frame(name, name, on_people=True) for name in ("image", "frame", "height", "width", "time")}
    columns |= {name: per_frame(name, name, on_people=False) for name in ("fingerprint", "size", "modified_ns", "root")}
    columns |= {
        "done": per_frame("done", "last", on_people=False),
        "row": pa.array(rows),
        "indexed_ns": pa.array(np.full(len(rows), indexed_ns, np.int64)),
        "box": per_person([item.detections.boxes for item in batch], 4),
        "score": pa.array(scores, mask=rows < 0),
        "embedding": per_person([item.detections.embeddings for item in batch], dim, storage_of(table_schema)),
    }
    return pa.table(columns, schema=table_schema)


def _check(batch: Sequence[FramePeople], dim: int) -> None:
    frames: set[tuple[str, int]] = set()
    for item in batch:
        got = item.detections.embeddings.shape
        if got[1] != dim:
            raise ShapeError(f"{item.image}: embeddings have shape {got}, the gallery stores {dim} numbers per person")
        if (item.image, item.frame) in frames:
            raise GalleryError(f"{item.image} frame {item.frame} is in the batch twice; pass each frame once")
        frames.add((item.image, item.frame))


class Snapshot:
    """One version of a gallery's table; each part is read when it is first used.

    Args:
        table: Open Lance dataset; it keeps its version.
        created_ns: Creation time, which distinguishes the table from a later one at the same location.
    """

    def __init__(self, table: Any, created_ns: int) -> None:
        self.table = table
        self.created_ns = created_ns
        self.version: int = table.version

    @cached_property
    def names(self) -> Array:
        """(G,) str objects: names of all indexed images, sorted."""
        return self._order[0]

    @cached_property
    def person_keys(self) -> tuple[Array, Array, Array]:
        """Per person, (N,) each: number of the image in `names`, frame, row; sorted by all three."""
        return self._order[1]

    @cached_property
    def _order(self) -> tuple[Array, tuple[Array, Array, Array], Array]:
        """Names, person keys, and the gallery row (number among the person keys) of each table row, -1 for other rows."""
        keys = self.table.to_table(columns=["image", "frame", "row", "indexed_ns"])
        frames, rows, indexed = (keys[name].to_numpy() for name in ("frame", "row", "indexed_ns"))
        images = keys["image"].combine_chunks().dictionary_encode()
        unsorted = np.array(images.dictionary.to_pylist(), dtype=object)
        by_name = np.argsort(unsorted)
        codes = np.argsort(by_name)[images.indices.to_numpy()]

        order = np.lexsort((rows, -indexed, frames, codes))
        order = order[_newest(codes[order], frames[order], indexed[order])]
        order = order[rows[order] >= 0]
        gallery_rows = np.full(len(rows), -1, np.int64)
        gallery_rows[order] = np.arange(len(order))
        return unsorted[by_name], (codes[order], frames[order], rows[order]), gallery_rows

    @cached_property
    def people(self) -> People:
        """All people, read in one pass over the table with one copy of the embeddings."""
        names, (codes, frames, rows), gallery_rows = self._order
        count, dim = len(codes), self.table.schema.field("embedding").type.list_size
        times, scores = np.empty(count), np.empty(count, np.float32)
        boxes, embeddings = np.empty((count, 4), np.float32), np.empty((count, dim), np.float32)
        columns: tuple[Array, ...] = (times, boxes, scores, embeddings)
        start = 0
        for batch in self.table.to_batches(columns=["row", *FEATURES]):
            is_person = batch["row"].to_numpy() >= 0
            targets = gallery_rows[start : start + len(is_person)][is_person]
            newest = targets >= 0
            targets, start = targets[newest], start + len(is_person)
            for column, values in zip(columns, _features(batch, is_person), strict=True):
                column[targets] = values[newest]
        people = People(names[codes], frames, rows, times, boxes, scores, embeddings)
        for column in vars(people).values():
            column.flags.writeable = False  # the same arrays are returned to every caller
        return people

    @cached_property
    def scenes(self) -> Array:
        """(N,) int: number of each person's scene, ascending; as `People.scenes`, without reading the people."""
        codes, frames, _ = self.person_keys
        return np.cumsum((np.diff(codes, prepend=codes[:1]) != 0) | (np.diff(frames, prepend=frames[:1]) != 0))

    def gallery_rows(self, row_ids: Array) -> Array:
        """(K,) int: gallery rows of people by the table's row ids (K,); -1 for replaced people and for frames."""
        ids, order = self._row_ids
        return np.asarray(self._order[2][order[np.searchsorted(ids, row_ids)]])

    def people_at(self, gallery_rows: Array) -> People:
        """The people in some gallery rows (K,), ascending, read from the table."""
        names, (codes, frames, rows), _ = self._order
        features = self.table.take(self._table_rows[gallery_rows], columns=FEATURES)
        columns = _features({name: features[name].combine_chunks() for name in FEATURES}, np.ones(len(gallery_rows), bool))
        return People(names[codes[gallery_rows]], frames[gallery_rows], rows[gallery_rows], *columns)

    @cached_property
    def _row_ids(self) -> tuple[Array, Array]:
        """The table's row ids, ascending, and the table row (in the order of a scan) of each."""
        ids = self.table.to_table(columns=[], with_row_id=True)["_rowid"].to_numpy()
        order = np.argsort(ids)
        return ids[order], order

    @cached_property
    def _table_rows(self) -> Array:
        """(N,) int: table row of each person."""
        gallery_rows = self._order[2]
        rows = np.flatnonzero(gallery_rows >= 0)
        return rows[np.argsort(gallery_rows[rows])]

    @cached_property
    def images(self) -> Mapping[str, ImageRecord]:
        """Facts about each image by name, sorted."""
        columns = ["image", "frame", "indexed_ns", "fingerprint", "size", "modified_ns", "root", "done"]
        frames = self.table.to_table(columns=columns, filter="row = -1").sort_by("indexed_ns")
        by_image: dict[str, list[tuple[Any, ...]]] = defaultdict(list)
        for image, *facts in zip(*(frames[name].to_pylist() for name in columns), strict=True):
            by_image[image].append(tuple(facts))
        return {image: _record(image, by_image[image]) for image in sorted(by_image)}


def _features(batch: Any, is_person: Array) -> list[Array]:
    """Times, boxes, scores and embeddings of a batch's people; `is_person` marks their rows."""
    times, scores = (batch[name].to_numpy(zero_copy_only=False)[is_person] for name in ("time", "score"))
    # flatten() drops the frames' nulls and respects a slice's offset, which `values` does not.
    boxes, embeddings = (batch[name].flatten().to_numpy().reshape(-1, batch[name].type.list_size) for name in ("box", "embedding"))
    return [times.astype(float), boxes, scores, embeddings.astype(np.float32)]


def _newest(codes: Array, frames: Array, indexed: Array) -> Array:
    """(rows,) bool: which rows belong to the newest write of their frame; rows are grouped by frame, newest first."""
    starts = np.ones(len(codes), bool)
    starts[1:] = (np.diff(codes) != 0) | (np.diff(frames) != 0)
    newest: Array = indexed[starts][np.cumsum(starts) - 1]
    return np.asarray(indexed == newest)


def _record(image: str, facts: list[tuple[Any, ...]]) -> ImageRecord:
    """The record of one image, from its frames' (frame, indexed_ns, fingerprint, size, modified_ns, root, done), oldest first."""
    _, _, fingerprint, size, modified_ns, root, _ = facts[-1]
    same = [fact for fact in facts if fact[2] == fingerprint]  # frames of an older content of the file do not count
    frames, complete = frozenset(fact[0] for fact in same), any(fact[6] for fact in same)
    return ImageRecord(image, fingerprint, size, modified_ns, root, frames, complete, indexed_ns=same[0][1])

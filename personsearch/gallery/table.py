"""The columns of a gallery's table, and the conversion between detections and rows.

One row per frame (`row` = -1) says what was indexed, also for frames without people; one row per person (`row` = 0, 1, ...
by score) holds the embedding. A frame and its people share `indexed_ns`, so of two writes of the same frame
the newest counts, as a whole.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from personsearch.boxes import Array
from personsearch.errors import GalleryError, ShapeError
from personsearch.gallery.checksum import CHECKSUM, checksums
from personsearch.results import Detections

if TYPE_CHECKING:
    import pyarrow as pa

FORMAT = 1  # version of the columns below
Storage = Literal["float32", "float16"]  # number format of the embeddings on disk; in memory they are float32
STORAGES: tuple[Storage, ...] = get_args(Storage)
SCENE = "scene"  # the optional column of GFN's scene embeddings
METADATA = b"personsearch.gallery"  # key of the schema's metadata that marks a table as a gallery and names its model


@dataclass(frozen=True)
class ModelKey:
    """The model whose embeddings a gallery holds."""

    name: str  # for people to read
    fingerprint: str  # digest of everything that an embedding depends on
    embedding_dim: int  # D
    scenes: bool = False  # whether a new gallery stores an embedding of each whole scene too (GFN's)

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
    changed_ns: int | None = None  # change of the file or of its facts, such as its date


@dataclass(frozen=True)
class FileFacts:
    """What a gallery knows about a file besides its content."""

    image: str  # path
    size: int | None
    modified_ns: int | None
    changed_ns: int | None
    root: str | None


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
    changed_ns: int | None = None  # change of the file or of its facts; None in galleries made before it was stored


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

    def take(self, index: Array) -> "People":
        """The people at `index`: a boolean keep-mask (N,), or integer rows in the new order."""
        return People(*(getattr(self, column.name)[index] for column in fields(self)))

    @cached_property
    def scenes(self) -> Array:
        """(N,) int: number of each person's scene (image and frame), ascending."""
        starts = (self.images[1:] != self.images[:-1]) | (self.frames[1:] != self.frames[:-1])
        return np.concatenate([np.zeros(min(len(self), 1), np.intp), np.cumsum(starts)])


def schema(key: ModelKey, created_ns: int, storage: Storage, every: int | None = None) -> "pa.Schema":
    """The columns of a gallery of this model, with the key and the step between the frames of videos in the metadata."""
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
        # Galleries made before do not have these.
        "changed_ns": pa.int64(),
        CHECKSUM: pa.int64(),
    }
    if key.scenes:
        fields[SCENE] = fields["embedding"]  # in frames' rows, null in people's
    facts = {"format": FORMAT, "created_ns": created_ns, **asdict(key), **({} if every is None else {"every": every})}
    return pa.schema(fields, metadata={METADATA: json.dumps(facts)})


def read_key(table_schema: "pa.Schema", location: str) -> tuple[ModelKey, int]:
    """The model of a table, and when the table was created (nanoseconds).

    Raises:
        GalleryError: The table is not a gallery, or has another format.
    """
    facts = _facts(table_schema, location)
    try:
        return ModelKey(facts["name"], facts["fingerprint"], facts["embedding_dim"], facts.get("scenes", False)), facts["created_ns"]
    except KeyError as error:
        raise GalleryError(f"gallery {location} is damaged: it does not name its model; delete it and index again") from error


def read_every(table_schema: "pa.Schema", location: str) -> int | None:
    """The step between the frames of videos that the gallery was indexed with; None in galleries made before it was stored."""
    every = _facts(table_schema, location).get("every")
    return every if isinstance(every, int) and every > 0 else None


def with_every(table_schema: "pa.Schema", location: str, every: int) -> dict[str, str]:
    """The metadata of a gallery with another step between the frames of videos."""
    return {METADATA.decode(): json.dumps({**_facts(table_schema, location), "every": every})}


def _facts(table_schema: "pa.Schema", location: str) -> dict[str, Any]:
    text = (table_schema.metadata or {}).get(METADATA)
    if text is None:
        raise GalleryError(f"{location} is a Lance table, but not a personsearch gallery; give the gallery a folder of its own")
    try:
        facts: dict[str, Any] = json.loads(text)
        number = facts["format"]
    except (ValueError, TypeError, KeyError) as error:
        raise GalleryError(f"gallery {location} is damaged: its description cannot be read ({error}); delete it and index again") from error
    if number != FORMAT:
        raise GalleryError(f"gallery {location} has format {number}, this version reads {FORMAT}; delete it and index again")
    return facts


def storage_of(table_schema: "pa.Schema") -> Storage:
    """Number format of the embeddings in a gallery's table."""
    return "float16" if table_schema.field("embedding").type.value_type.bit_width == 16 else "float32"


def to_rows(batch: Sequence[FramePeople], table_schema: "pa.Schema", indexed_ns: int) -> "pa.Table":
    """The table rows of a batch of frames: each frame's own row, then its people.

    Raises:
        ShapeError: The embeddings are not (N, D) with the gallery's D, or a scene's embedding is missing.
        GalleryError: A frame is in the batch twice.
    """
    import pyarrow as pa

    dim = table_schema.field("embedding").type.list_size
    _check(batch, dim, scenes=SCENE in table_schema.names)
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
    facts = ["fingerprint", "size", "modified_ns", "root", *(["changed_ns"] if "changed_ns" in table_schema.names else [])]
    columns |= {name: per_frame(name, name, on_people=False) for name in facts}
    columns |= {
        "done": per_frame("done", "last", on_people=False),
        "row": pa.array(rows),
        "indexed_ns": pa.array(np.full(len(rows), indexed_ns, np.int64)),
        "box": per_person([item.detections.boxes for item in batch], 4),
        "score": pa.array(scores, mask=rows < 0),
        "embedding": per_person([item.detections.embeddings for item in batch], dim, storage_of(table_schema)),
    }
    if SCENE in table_schema.names:
        full = np.zeros((len(rows), dim), storage_of(table_schema))
        full[rows < 0] = [item.detections.scene for item in batch]
        columns[SCENE] = pa.FixedSizeListArray.from_arrays(pa.array(full.ravel()), dim, mask=pa.array(rows >= 0))
    columns[CHECKSUM] = _checksum_column(batch, columns["embedding"], rows)
    return pa.table({name: columns[name] for name in table_schema.names}, schema=table_schema)


def _checksum_column(batch: Sequence[FramePeople], embeddings: "pa.Array", rows: Array) -> "pa.Array":
    import pyarrow as pa

    counts = [len(item.detections) for item in batch]
    sums = np.zeros(len(rows), np.int64)
    sums[rows >= 0] = checksums(
        np.repeat(np.array([item.image for item in batch], dtype=object), counts),
        np.repeat([item.frame for item in batch], counts),
        rows[rows >= 0],
        np.concatenate([item.detections.boxes for item in batch]),
        np.concatenate([item.detections.scores for item in batch]),
        embeddings.flatten().to_numpy().reshape(-1, embeddings.type.list_size).astype(np.float32),  # as rounded by the storage
    )
    return pa.array(sums, mask=rows < 0)


def _check(batch: Sequence[FramePeople], dim: int, *, scenes: bool) -> None:
    frames: set[tuple[str, int]] = set()
    for item in batch:
        got = item.detections.embeddings.shape
        if got[1] != dim:
            raise ShapeError(f"{item.image}: embeddings have shape {got}, the gallery stores {dim} numbers per person")
        scene = item.detections.scene
        if scenes and (scene is None or scene.shape != (dim,)):
            size = "none" if scene is None else f"shape {scene.shape}"
            raise ShapeError(f"{item.image}: the gallery stores {dim} numbers of each whole scene, got {size}; take a model with GFN")
        if (item.image, item.frame) in frames:
            raise GalleryError(f"{item.image} frame {item.frame} is in the batch twice; pass each frame once")
        frames.add((item.image, item.frame))

"""One version of a gallery's table, read in parts."""

import time
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from personsearch.boxes import Array
from personsearch.errors import GalleryError
from personsearch.gallery.checksum import CHECKSUM, checksums, moved
from personsearch.gallery.records import ImageRecords, Replaced
from personsearch.gallery.records import read as read_records
from personsearch.gallery.table import FileFacts, People

if TYPE_CHECKING:
    import pyarrow as pa

KEYS = ["image", "frame", "row", "indexed_ns"]  # columns that name a row
_REPLACED_AT_ONCE = 1000  # replaced frames whose people are counted without reading everybody's keys
FEATURES = ["time", "box", "score", "embedding"]  # columns that `_features` reads


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
        self.scene_cache: Array | None = None  # of `scenes.scene_embeddings`
        self.spells: dict[Any, Any] = {}  # videos whose people were linked over time, for `tracks`

    @cached_property
    def records(self) -> ImageRecords:
        """Facts about each image by name, sorted; read from the frames' rows alone."""
        return read_records(self.table)

    @property
    def person_keys(self) -> tuple[Array, Array, Array]:
        """Per person, (N,) each: number of the image in the sorted names, frame, row; sorted by all three."""
        return self._order[1]

    @cached_property
    def person_count(self) -> int:
        """Number of people; reads the frames' rows, and of people only those whose frame was written again."""
        replaced = {(item.image, item.frame): item.indexed_ns for item in self.records.replaced}
        if "_order" in vars(self) or len(replaced) > _REPLACED_AT_ONCE:
            return len(self.person_keys[0])
        older = 0
        if replaced:
            keys = self._keys_of(list({image for image, _ in replaced}))
            for image, frame, row, indexed_ns in zip(*(keys[name].to_pylist() for name in KEYS), strict=True):
                older += row >= 0 and indexed_ns < replaced.get((image, frame), 0)
        return int(self.table.count_rows() - self.records.frame_count - older)

    def people_of(self, images: Sequence[str]) -> "pa.Table":
        """Image, frame, row and time of writing of the people of some images, read without the others."""
        keys = self._keys_of(images)
        return keys.take(_newest_people(keys)[3])

    def _keys_of(self, images: Sequence[str]) -> "pa.Table":
        return self.table.to_table(columns=KEYS, filter=_is_of(images))

    @cached_property
    def _order(self) -> tuple[Array, tuple[Array, Array, Array], Array]:
        """Names, person keys, and the gallery row (number among the person keys) of each table row, -1 for other rows."""
        keys = self.table.to_table(columns=KEYS)
        names, codes, frames, order = _newest_people(keys)
        rows = keys["row"].to_numpy()
        gallery_rows = np.full(len(rows), -1, np.int64)
        gallery_rows[order] = np.arange(len(order))
        return names, (codes[order], frames[order], rows[order]), gallery_rows

    @cached_property
    def people(self) -> People:
        """All people, read in one pass over the table with one copy of the embeddings."""
        names, (codes, frames, rows), gallery_rows = self._order
        count, dim = len(codes), self.table.schema.field("embedding").type.list_size
        times, scores = np.empty(count), np.empty(count, np.float32)
        boxes, embeddings = np.empty((count, 4), np.float32), np.empty((count, dim), np.float32)
        columns: tuple[Array, ...] = (times, boxes, scores, embeddings)
        sums, has_sums = np.zeros(count, np.int64), CHECKSUM in self.table.schema.names
        start = 0
        for batch in self.table.to_batches(columns=["row", *FEATURES, *([CHECKSUM] if has_sums else [])]):
            is_person = batch["row"].to_numpy() >= 0
            targets = gallery_rows[start : start + len(is_person)][is_person]
            newest = targets >= 0
            targets, start = targets[newest], start + len(is_person)
            for column, values in zip(columns, _features(batch, is_person), strict=True):
                column[targets] = values[newest]
            if has_sums:
                sums[targets] = _sums(batch[CHECKSUM])[is_person][newest]
        people = People(names[codes], frames, rows, times, boxes, scores, embeddings)
        if has_sums:
            self._check_sums(people, sums)
        for column in vars(people).values():
            column.flags.writeable = False  # the same arrays are returned to every caller
        return people

    @cached_property
    def newer_frames(self) -> dict[tuple[str, int], int]:
        """Time of writing of each (image, frame) in the files that the vector index does not cover, whose older rows it may still have."""
        files = uncovered(self.table)
        if not files:
            return {}
        frames = self.table.scanner(columns=KEYS, filter="row = -1", fragments=files).to_table().sort_by("indexed_ns")
        images, numbers, _, times = (frames[name].to_pylist() for name in KEYS)
        return {(image, number): time for image, number, time in zip(images, numbers, times, strict=True)}

    def people_in(self, rows: "pa.Table") -> People:
        """The people in some rows of the table, with the columns `person_columns`; of two writes of a frame the newest counts."""
        names, codes, frames, order = _newest_people(rows)
        rows = rows.take(order)
        columns = _features({name: rows[name].combine_chunks() for name in FEATURES}, np.ones(len(order), bool))
        people = People(names[codes[order]], frames[order], rows["row"].to_numpy(), *columns)
        if CHECKSUM in rows.column_names:
            self._check_sums(people, _sums(rows[CHECKSUM]))
        return people

    def people_from(self, images: Sequence[str]) -> People:
        """All people of some images; reads the names of all images, and of the people only these."""
        return self.people_in(self.table.to_table(columns=self.person_columns, filter=_is_of(images)))

    def without_replaced(self, rows: "pa.Table", replaced: Sequence[Replaced] | None = None) -> "pa.Table":
        """Some rows of the table without those of frames that were written again.

        Args:
            rows: Rows with the columns image, frame and indexed_ns.
            replaced: The frames that were written again; None: reads them.
        """
        newest = {(frame.image, frame.frame): frame.indexed_ns for frame in (self.records.replaced if replaced is None else replaced)}
        return newest_rows(rows, newest)

    def whole_scenes(self, people: People) -> People:
        """All people of the scenes of some people."""
        everyone = self.people_from(list(dict.fromkeys(people.images.tolist())))
        scenes = set(zip(people.images.tolist(), people.frames.tolist(), strict=True))
        is_member = [scene in scenes for scene in zip(everyone.images.tolist(), everyone.frames.tolist(), strict=True)]
        return People(*(column[np.array(is_member, bool)] for column in vars(everyone).values()))

    @property
    def person_columns(self) -> list[str]:
        """Columns that `people_in` needs."""
        return [*KEYS, *FEATURES, *([CHECKSUM] if CHECKSUM in self.table.schema.names else [])]

    def _check_sums(self, people: People, sums: Array) -> None:
        """Check what was read against the checksums that were written with it.

        Raises:
            GalleryError: The disk gave other values than were written.
        """
        wrong = checksums(people.images, people.frames, people.rows, people.boxes, people.scores, people.embeddings) != sums
        if wrong.any():
            raise GalleryError(
                f"gallery {self.table.uri} is damaged: the stored values of {int(wrong.sum())} of {len(people)} people have changed on "
                "the disk; delete it and index again"
            )

    def moved_rows(self, facts: Mapping[str, FileFacts], indexed_ns: int) -> "pa.Table":
        """Copies of the newest rows of some images, with other names and facts.

        Args:
            facts: New name and facts by the name in the gallery.
            indexed_ns: Time of the copies.
        """
        import pyarrow as pa
        import pyarrow.compute as pc

        rows = self.table.to_table(filter=pc.field("image").isin(list(facts)))
        codes = rows["image"].combine_chunks().dictionary_encode().indices.to_numpy()
        frames, indexed = (rows[name].to_numpy() for name in ("frame", "indexed_ns"))
        order = np.lexsort((-indexed, frames, codes))
        rows = rows.take(np.sort(order[_newest(codes[order], frames[order], indexed[order])]))
        is_person = rows["row"].to_numpy() >= 0
        images = rows["image"].to_pylist()
        new = [facts[image] for image in images]

        def replaced(name: str, values: Any) -> None:
            nonlocal rows
            field = rows.schema.field(name)
            rows = rows.set_column(rows.schema.get_field_index(name), field, pa.array(values, field.type))

        if CHECKSUM in rows.schema.names:
            sums = moved(_sums(rows[CHECKSUM]), images, [item.image for item in new])
            replaced(CHECKSUM, [int(value) if person else None for value, person in zip(sums, is_person, strict=True)])
        replaced("image", [item.image for item in new])
        replaced("indexed_ns", np.full(len(new), indexed_ns, np.int64))
        for name in {"size", "modified_ns", "changed_ns", "root"} & set(rows.schema.names):
            replaced(name, [None if person else getattr(item, name) for item, person in zip(new, is_person, strict=True)])
        return rows


def uncovered(table: Any) -> list[Any]:
    """Files of a table that its vector index does not cover."""
    parts = [part for index in table.describe_indices() if index.field_names == ["embedding"] for part in index.segments]
    covered = {fragment for part in parts for fragment in part.fragment_ids}
    return [fragment for fragment in table.get_fragments() if fragment.fragment_id not in covered]


def newest_rows(rows: "pa.Table", newest: Mapping[tuple[str, int], int]) -> "pa.Table":
    """Some rows of the table without those that are older than the newest write of their (image, frame)."""
    if not newest:
        return rows
    keys = zip(*(rows[name].to_pylist() for name in ("image", "frame", "indexed_ns")), strict=True)
    return rows.filter(np.array([newest.get((image, frame), 0) <= indexed_ns for image, frame, indexed_ns in keys], bool))


def _is_of(images: Sequence[str]) -> Any:
    """Arrow's condition for the rows of some images."""
    import pyarrow as pa
    import pyarrow.compute as pc

    return pc.field("image").isin(pa.array(list(images), pa.string()))


def next_time(table: Any) -> int:
    """Nanoseconds since 1970, and later than all rows of the table even if the clock was set back."""
    import pyarrow.compute as pc

    newest = pc.max(table.to_table(columns=["indexed_ns"])["indexed_ns"]).as_py()
    return max(time.time_ns(), 0 if newest is None else newest + 1)


def _features(batch: Any, is_person: Array) -> list[Array]:
    """Times, boxes, scores and embeddings of a batch's people; `is_person` marks their rows."""
    times, scores = (batch[name].to_numpy(zero_copy_only=False)[is_person] for name in ("time", "score"))
    # flatten() drops the frames' nulls and respects a slice's offset, which `values` does not.
    boxes, embeddings = (batch[name].flatten().to_numpy().reshape(-1, batch[name].type.list_size) for name in ("box", "embedding"))
    return [times.astype(float), boxes, scores, embeddings.astype(np.float32)]


def _sums(column: Any) -> Array:
    """Checksums as int64, 0 where there is none."""
    return np.asarray(column.fill_null(0).to_numpy(zero_copy_only=False))


def _newest_people(keys: "pa.Table") -> tuple[Array, Array, Array, Array]:
    """Of rows with the columns `KEYS`: the sorted names, each row's number among them and frame, and the order of the newest people.

    The order has the positions of the people whose frame was not written again, sorted by image, frame and row.
    """
    frames, rows, indexed = (keys[name].to_numpy() for name in ("frame", "row", "indexed_ns"))
    images = keys["image"].combine_chunks().dictionary_encode()
    unsorted = np.array(images.dictionary.to_pylist(), dtype=object)
    by_name = np.argsort(unsorted)
    codes = np.argsort(by_name)[images.indices.to_numpy()]
    order = np.lexsort((rows, -indexed, frames, codes))
    order = order[_newest(codes[order], frames[order], indexed[order])]
    return unsorted[by_name], codes, frames, order[rows[order] >= 0]


def _newest(codes: Array, frames: Array, indexed: Array) -> Array:
    """(rows,) bool: which rows belong to the newest write of their frame; rows are grouped by frame, newest first."""
    starts = np.ones(len(codes), bool)
    starts[1:] = (np.diff(codes) != 0) | (np.diff(frames) != 0)
    newest: Array = indexed[starts][np.cumsum(starts) - 1]
    return np.asarray(indexed == newest)

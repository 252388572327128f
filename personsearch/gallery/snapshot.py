"""One version of a gallery's table, read in parts."""

import time
from collections import defaultdict
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from personsearch.boxes import Array
from personsearch.errors import GalleryError
from personsearch.gallery.checksum import CHECKSUM, checksums, moved
from personsearch.gallery.table import FileFacts, ImageRecord, People

if TYPE_CHECKING:
    import pyarrow as pa

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
        has_sums = CHECKSUM in self.table.schema.names
        features = self.table.take(self._table_rows[gallery_rows], columns=[*FEATURES, *([CHECKSUM] if has_sums else [])])
        columns = _features({name: features[name].combine_chunks() for name in FEATURES}, np.ones(len(gallery_rows), bool))
        people = People(names[codes[gallery_rows]], frames[gallery_rows], rows[gallery_rows], *columns)
        if has_sums:
            self._check_sums(people, _sums(features[CHECKSUM]))
        return people

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
        columns += ["changed_ns"] if "changed_ns" in self.table.schema.names else []
        frames = self.table.to_table(columns=columns, filter="row = -1").sort_by("indexed_ns")
        by_image: dict[str, list[tuple[Any, ...]]] = defaultdict(list)
        for image, *facts in zip(*(frames[name].to_pylist() for name in columns), strict=True):
            by_image[image].append(tuple(facts))
        return {image: _record(image, by_image[image]) for image in sorted(by_image)}


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


def _newest(codes: Array, frames: Array, indexed: Array) -> Array:
    """(rows,) bool: which rows belong to the newest write of their frame; rows are grouped by frame, newest first."""
    starts = np.ones(len(codes), bool)
    starts[1:] = (np.diff(codes) != 0) | (np.diff(frames) != 0)
    newest: Array = indexed[starts][np.cumsum(starts) - 1]
    return np.asarray(indexed == newest)


def _record(image: str, facts: list[tuple[Any, ...]]) -> ImageRecord:
    """The record of one image, from the facts of its frames in the order of the columns above, oldest first."""
    _, _, fingerprint, size, modified_ns, root, _, *changed_ns = facts[-1]
    same = [fact for fact in facts if fact[2] == fingerprint]  # frames of an older content of the file do not count
    frames, complete = frozenset(fact[0] for fact in same), any(fact[6] for fact in same)
    return ImageRecord(image, fingerprint, size, modified_ns, root, frames, complete, same[0][1], *changed_ns)

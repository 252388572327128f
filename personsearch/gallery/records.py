"""What a gallery knows about its pictures and videos, as Arrow columns: a record becomes a Python object only where it is looked at."""

import os
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from personsearch.boxes import Array
from personsearch.gallery.table import ImageRecord

if TYPE_CHECKING:
    import pyarrow as pa

NEVER = -1  # a size or time that is not known; no file has it
_FACTS = ["image", "frame", "indexed_ns", "fingerprint", "size", "modified_ns", "root", "done"]


@dataclass(frozen=True)
class Replaced:
    """A frame that was written again; the rows of the older writes are still in the table."""

    image: str
    frame: int
    indexed_ns: int  # of the newest write


class ImageRecords(Mapping[str, ImageRecord]):
    """The records of a gallery's images by name, sorted.

    Args:
        frames: Rows of all frames (`row` = -1), with the columns of `read`.
    """

    def __init__(self, frames: "pa.Table") -> None:
        import pyarrow.compute as pc

        self.frame_count = frames.num_rows  # rows of frames in the table, those of replaced frames too
        images = frames["image"].combine_chunks().dictionary_encode()
        by_name = pc.array_sort_indices(images.dictionary)
        self._names = images.dictionary.take(by_name)  # (G,) sorted, by code points as Python sorts
        codes = np.argsort(by_name.to_numpy())[images.indices.to_numpy()]
        numbers, indexed = frames["frame"].to_numpy(), frames["indexed_ns"].to_numpy()
        order = np.lexsort((indexed, numbers, codes))
        is_last = np.ones(len(order), bool)
        is_last[:-1] = (np.diff(codes[order]) != 0) | (np.diff(numbers[order]) != 0)
        again = np.flatnonzero(~is_last) + 1
        again = order[again[is_last[again]]]
        self.replaced = [Replaced(self._names[codes[i]].as_py(), int(numbers[i]), int(indexed[i])) for i in again.tolist()]
        self._collect(frames, order[is_last], codes, indexed)

    def _collect(self, frames: "pa.Table", newest: Array, codes: Array, indexed: Array) -> None:
        """Take each image's facts from its newest frame, and its frames from those of the same content."""
        import pyarrow as pa

        fingerprints = frames["fingerprint"].combine_chunks().dictionary_encode().indices
        content = fingerprints.fill_null(NEVER).to_numpy(zero_copy_only=False)
        order = newest[np.lexsort((indexed[newest], codes[newest]))]
        is_last = np.append(np.diff(codes[order]) != 0, True)[: len(order)]
        last = order[is_last]  # (G,) row of each image's newest frame
        same = order[content[order] == content[last][codes[order]]] if len(order) else order
        starts = np.flatnonzero(np.diff(codes[same], prepend=-1))
        self._starts = np.append(starts, len(same))
        self._frames = frames["frame"].to_numpy()[same]
        done = frames["done"].fill_null(False).to_numpy()[same]
        self._complete = np.logical_or.reduceat(done, starts) if len(starts) else np.zeros(0, bool)
        self._indexed = indexed[same[starts]]
        self._facts = frames.select([name for name in frames.column_names if name not in ("image", "frame", "done")]).take(pa.array(last))
        self._facts = self._facts.combine_chunks()

    def __len__(self) -> int:
        return len(self._names)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __contains__(self, image: object) -> bool:
        return isinstance(image, str) and self._position(image) is not None

    def __getitem__(self, image: str) -> ImageRecord:
        position = self._position(image)
        if position is None:
            raise KeyError(image)
        return self._at([position])[0]

    @cached_property
    def names(self) -> Array:
        """(G,) str objects: names of all images, sorted."""
        return np.array(self._names.to_pylist(), dtype=object)

    def _position(self, image: str) -> int | None:
        at = self._first(image)
        return at if at < len(self._names) and self._names[at].as_py() == image else None

    def _first(self, text: str) -> int:
        """Position of the first name that is not before a text."""
        return bisect_left(range(len(self._names)), text, key=lambda number: self._names[number].as_py())

    def _at(self, positions: Sequence[int]) -> list[ImageRecord]:
        """The records at some positions."""
        import pyarrow as pa

        index = pa.array(positions, pa.int64())
        facts = self._facts.take(index)
        columns = [facts[name].to_pylist() for name in ("fingerprint", "size", "modified_ns", "root")]
        changed = facts["changed_ns"].to_pylist() if "changed_ns" in facts.column_names else [None] * len(positions)
        records = zip(positions, self._names.take(index).to_pylist(), *columns, changed, strict=True)
        return [
            ImageRecord(
                image,
                fingerprint,
                size,
                modified_ns,
                root,
                frozenset(self._frames[self._starts[at] : self._starts[at + 1]].tolist()),
                bool(self._complete[at]),
                int(self._indexed[at]),
                changed_ns,
            )
            for at, image, fingerprint, size, modified_ns, root, changed_ns in records
        ]

    def positions(self, images: Sequence[str]) -> Array:
        """(K,) int: numbers of images in `names`; -1 for those that the gallery does not have."""
        import pyarrow as pa
        import pyarrow.compute as pc

        if not len(self._names) or not len(images):
            return np.full(len(images), -1)
        try:
            wanted = pa.array(images, pa.string())
        except UnicodeEncodeError:
            wanted = pa.array([image if _is_text(image) else None for image in images], pa.string())
        return np.asarray(pc.index_in(wanted, self._names, skip_nulls=True).fill_null(-1).to_numpy(zero_copy_only=False))

    def all(self) -> dict[str, ImageRecord]:
        """All records by name, sorted."""
        return {record.image: record for record in self._at(range(len(self._names)))}

    def at(self, positions: Sequence[int]) -> list[ImageRecord]:
        """The records at some positions in `names`."""
        return self._at(positions)

    def sources(self, positions: Array) -> list[tuple[str, str | None]]:
        """Name and root of the images at some positions in `names`."""
        import pyarrow as pa

        index = pa.array(positions, pa.int64())
        return list(zip(self._names.take(index).to_pylist(), self._facts["root"].take(index).to_pylist(), strict=True))

    def is_from(self, roots: Iterable[str]) -> Array:
        """(G,) bool: whether each image came from one of some folders, patterns and files."""
        import pyarrow as pa
        import pyarrow.compute as pc

        return np.asarray(pc.is_in(self._facts["root"], pa.array(filter(_is_text, roots), pa.string()), skip_nulls=True).to_numpy())

    def has_content(self, fingerprints: Sequence[str]) -> Array:
        """(G,) bool: whether each image has one of some fingerprints."""
        import pyarrow as pa
        import pyarrow.compute as pc

        return np.asarray(pc.is_in(self._facts["fingerprint"], pa.array(fingerprints, pa.string()), skip_nulls=True).to_numpy())

    def below(self, path: str) -> Array:
        """(G,) bool: whether each image is a file, or lies in a folder."""
        start = os.path.join(path, "")
        result = np.zeros(len(self), bool)
        result[self._first(start) : self._first(start[:-1] + chr(ord(start[-1]) + 1))] = True
        if (position := self._position(path)) is not None:
            result[position] = True
        return result

    def column(self, name: str) -> Array:
        """(G,) int64: a size or time of each image; `NEVER` where it is not known."""
        if name not in self._facts.column_names:
            return np.full(len(self._names), NEVER, np.int64)
        return np.asarray(self._facts[name].fill_null(NEVER).to_numpy())

    @property
    def indexed_ns(self) -> Array:
        """(G,) int64: when each image's first frame was committed."""
        return self._indexed

    @property
    def complete(self) -> Array:
        """(G,) bool: whether all frames were indexed."""
        return self._complete

    @property
    def has_videos(self) -> bool:
        """Whether frames of videos were indexed."""
        return not self.has_step(0).all()

    def has_step(self, every: int) -> Array:
        """(G,) bool: whether each image is a still, or a video that was indexed with this step."""
        import pyarrow.compute as pc

        prints = self._facts["fingerprint"]
        is_still = pc.invert(pc.match_substring(prints, "-every"))
        return np.asarray(pc.or_(is_still, pc.ends_with(prints, f"-every{every}")).fill_null(True).to_numpy())


def _is_text(name: str) -> bool:
    """Whether a name is text, which all names in a table are."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def read(table: Any) -> ImageRecords:
    """The records of a table's images."""
    columns = [*_FACTS, *(["changed_ns"] if "changed_ns" in table.schema.names else [])]
    # Reading whole columns takes less than picking their values, as they are small beside the embeddings.
    return ImageRecords(table.to_table(columns=columns, filter="row = -1", late_materialization=False))

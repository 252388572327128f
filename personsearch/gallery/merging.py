"""Merge the small files of a gallery's table, so that thousands of small additions cost the same each."""

from datetime import timedelta
from typing import Any

from personsearch.gallery import removal

# A file is merged with others of its size once there are `FEW_FILES` of them, so a row is written anew at most a few times per size,
# and a table of any size has at most 3 x FEW_FILES files that are not full.
SIZES = (2**10, 2**14)  # and that of a full file
FEW_FILES = 16
# A reader on an object store has no lock: the version that it reads must not go meanwhile.
KEEP_FOR = timedelta(hours=1)


def is_crowded(table: Any) -> bool:
    """Whether `merge` would merge files."""
    return _crowded_size(table) is not None


def merge(table: Any, location: str, *, is_locked: bool) -> None:
    """Merge files of similar size if there are many of them, and delete old versions.

    Args:
        table: Table at its newest version.
        location: Absolute path or URI of the gallery.
        is_locked: Whether no other process can be reading or writing.
    """
    while (size := _crowded_size(table)) is not None:
        before = len(table.get_fragments())
        table.optimize.compact_files(target_rows_per_fragment=size)
        if len(table.get_fragments()) >= before:  # full files lie between them
            break
    removal.clean(table, location, is_locked=is_locked, older_than=timedelta(0) if is_locked else KEEP_FOR)


def _crowded_size(table: Any) -> int | None:
    """The smallest size with too many files below it and above the size before."""
    rows = [fragment.metadata.physical_rows for fragment in table.get_fragments()]
    full = removal.rows_a_file(sum(rows))
    lower = 0
    for size in (*(size for size in SIZES if size < full), full):
        if sum(lower <= count < size for count in rows) >= FEW_FILES:
            return size
        lower = size
    return None

"""Remove rows from a gallery's table so that no file on the disk contains them."""

import os
from collections.abc import Container, Sequence
from dataclasses import dataclass
from datetime import timedelta
from difflib import get_close_matches
from numbers import Integral
from typing import Any

from personsearch import checks
from personsearch.errors import GalleryError
from personsearch.gallery import vector_index
from personsearch.gallery.location import make_files_private, remove_partial_files
from personsearch.gallery.snapshot import Snapshot

# Least and most rows of a full file. A removal writes the files anew that had the removed rows: 9 to 300 MB each with 256 numbers a
# person, and up to twice as much if the file was merged from others.
ROWS_A_FILE = (2**13, 2**18)
MANY_FILES = 256  # full files of a table from which its files become larger: each costs a search about a millisecond


@dataclass(frozen=True)
class Removal:
    """Rows to delete."""

    predicate: str  # of Lance's SQL
    people: int  # number of people among the rows
    scene: str | None = None  # of Lance's SQL: the rows of scenes that stay, but whose embeddings go; None: no such scene


def of_images(snapshot: Snapshot, images: Sequence[str | os.PathLike[str]], location: str, *, missing_ok: bool) -> Removal:
    """All rows of some images, by their names in the gallery or their paths.

    Raises:
        GalleryError: An image is not in the gallery and `missing_ok` is False.
    """
    for image in images:
        checks.path("image", image, GalleryError)
    names = [_known_name(image, snapshot.records) for image in images]
    for name in names:
        if name not in snapshot.records and not missing_ok:
            raise GalleryError(f"{name} is not in gallery {location}; {_suggestion(name, list(snapshot.records))}")
    return Removal(f"image IN ({', '.join(map(quote, names))})", snapshot.people_of(names).num_rows)


def of_person(snapshot: Snapshot, image: str | os.PathLike[str], row: int, frame: int, location: str) -> Removal:
    """The row of one person of a frame.

    Raises:
        GalleryError: The gallery has no such person.
    """
    import pyarrow.compute as pc

    checks.path("image", image, GalleryError)
    row, frame = _number("row", row), _number("frame", frame)
    name = _known_name(image, snapshot.records)
    people = snapshot.people_of([name])
    person = people.filter((pc.field("frame") == frame) & (pc.field("row") == row))
    if not person.num_rows:
        raise GalleryError(f"gallery {location} has no person {row} in frame {frame} of {name}; people() lists them all")
    newest = person["indexed_ns"][0].as_py()
    # Older writes of the frame may have the person under another number.
    of_frame = f"image = {quote(name)} AND frame = {frame}"
    return Removal(f"{of_frame} AND (row = {row} OR indexed_ns < {newest})", 1, scene=f"{of_frame} AND row = -1")


def older_rows(images: Sequence[str], indexed_ns: int) -> str:
    """Lance's SQL for the rows of some images that were written before a time."""
    return f"image IN ({', '.join(map(quote, images))}) AND indexed_ns < {indexed_ns}"


def rows_a_file(rows: int) -> int:
    """Rows of a full file in a table of some rows: a power of two."""
    least, most = ROWS_A_FILE
    return min(max(least, 1 << (rows // MANY_FILES).bit_length()), most)


def rewrite(table: Any, location: str, *, is_locked: bool) -> None:
    """Rewrite the files with deleted rows, and delete all versions but the newest.

    Args:
        table: Table at its newest version.
        location: Absolute path or URI of the gallery.
        is_locked: Whether no other process can be writing, so that files that no version names are remains.
    """
    from lance.optimize import Compaction, CompactionOptions

    options = CompactionOptions(target_rows_per_fragment=rows_a_file(table.count_rows()), materialize_deletions_threshold=0.0)
    plan = Compaction.plan(table, options)
    parts = [task.execute(table) for task in plan.tasks if any(one.deletion_file is not None for one in task.fragments)]
    if parts:
        Compaction.commit(table, parts, options)
    _finish(table, location, is_locked=is_locked)


def merge_all(table: Any, location: str, *, is_locked: bool) -> None:
    """As `rewrite`, and merge all small files."""
    table.optimize.compact_files(target_rows_per_fragment=rows_a_file(table.count_rows()), materialize_deletions_threshold=0.0)
    _finish(table, location, is_locked=is_locked)


def _finish(table: Any, location: str, *, is_locked: bool) -> None:
    vector_index.drop_if_stale(table)
    clean(table, location, is_locked=is_locked, older_than=timedelta(0))


def clean(table: Any, location: str, *, is_locked: bool, older_than: timedelta) -> None:
    """Delete old versions, and the remains of interrupted writes.

    Args:
        table: Table at its newest version.
        location: Absolute path or URI of the gallery.
        is_locked: Whether no other process can be writing.
        older_than: Age from which a version is deleted.
    """
    if len(table.versions()) > 1:
        # A deletion that left nothing to merge is the newest version and names its predicate, and so the image.
        table.update_config({"personsearch.cleaned": "true"})
    table.cleanup_old_versions(older_than, delete_unverified=is_locked)
    if is_locked:
        remove_partial_files(location)
    make_files_private(location)


def _number(name: str, value: Any) -> int:
    if not isinstance(value, Integral) or isinstance(value, bool):
        raise GalleryError(f"{name} must be a whole number, got {value!r:.80}")
    return int(value)


def quote(text: str) -> str:
    """A string literal of Lance's SQL, in which quotes are doubled and backslashes have no special meaning."""
    return "'" + text.replace("'", "''") + "'"


def _known_name(image: str | os.PathLike[str], known: Container[str]) -> str:
    """The gallery's name for an image: the text as passed, or its absolute path."""
    name = os.fspath(image)
    absolute = os.path.abspath(name) if "\0" not in name else name
    return absolute if name not in known and absolute in known else name


def _suggestion(image: str, known: list[str]) -> str:
    similar = get_close_matches(image, known, n=3)
    return f"similar names: {', '.join(similar)}" if similar else f"images() lists its {len(known)} images"

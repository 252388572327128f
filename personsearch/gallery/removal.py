"""Remove rows from a gallery's table so that no file on the disk contains them."""

import os
from collections.abc import Container, Sequence
from dataclasses import dataclass
from datetime import timedelta
from difflib import get_close_matches
from numbers import Integral
from typing import Any

import numpy as np

from personsearch import checks
from personsearch.errors import GalleryError
from personsearch.gallery import vector_index
from personsearch.gallery.location import make_files_private, remove_partial_files
from personsearch.gallery.snapshot import Snapshot


@dataclass(frozen=True)
class Removal:
    """Rows to delete."""

    predicate: str  # of Lance's SQL
    people: int  # number of people among the rows


def of_images(snapshot: Snapshot, images: Sequence[str | os.PathLike[str]], location: str, *, missing_ok: bool) -> Removal:
    """All rows of some images, by their names in the gallery or their paths.

    Raises:
        GalleryError: An image is not in the gallery and `missing_ok` is False.
    """
    for image in images:
        checks.path("image", image, GalleryError)
    known = {name: code for code, name in enumerate(snapshot.names)}
    names = [_known_name(image, known) for image in images]
    for name in names:
        if name not in known and not missing_ok:
            raise GalleryError(f"{name} is not in gallery {location}; {_suggestion(name, list(known))}")
    quoted = ", ".join(quote(name) for name in names)
    people = np.isin(snapshot.person_keys[0], [known[name] for name in names if name in known])
    return Removal(f"image IN ({quoted})", int(people.sum()))


def of_person(snapshot: Snapshot, image: str | os.PathLike[str], row: int, frame: int, location: str) -> Removal:
    """The row of one person of a frame.

    Raises:
        GalleryError: The gallery has no such person.
    """
    checks.path("image", image, GalleryError)
    row, frame = _number("row", row), _number("frame", frame)
    codes, frames, rows = snapshot.person_keys
    name = _known_name(image, set(snapshot.names.tolist()))
    if not ((snapshot.names[codes] == name) & (frames == frame) & (rows == row)).any():
        raise GalleryError(f"gallery {location} has no person {row} in frame {frame} of {name}; people() lists them all")
    return Removal(f"image = {quote(name)} AND frame = {int(frame)} AND row = {int(row)}", 1)


def older_rows(images: Sequence[str], indexed_ns: int) -> str:
    """Lance's SQL for the rows of some images that were written before a time."""
    return f"image IN ({', '.join(map(quote, images))}) AND indexed_ns < {indexed_ns}"


def rewrite(table: Any, location: str, *, is_locked: bool) -> None:
    """Rewrite small files and files with deleted rows, and delete all versions but the newest.

    Args:
        table: Table at its newest version.
        location: Absolute path or URI of the gallery.
        is_locked: Whether no other process can be writing, so that files that no version names are remains.
    """
    table.optimize.compact_files(materialize_deletions_threshold=0.0)
    vector_index.drop_if_stale(table)
    if len(table.versions()) > 1:
        # A deletion that left nothing to merge is the newest version and names its predicate, and so the image.
        table.update_config({"personsearch.cleaned": "true"})
    table.cleanup_old_versions(timedelta(0), delete_unverified=is_locked)
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

"""Search a part of a gallery: by folder, picture, time in a video, score and height."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from personsearch import checks
from personsearch.boxes import Array
from personsearch.errors import QueryError
from personsearch.gallery.removal import quote
from personsearch.gallery.table import People
from personsearch.home import expand_user

if TYPE_CHECKING:
    from personsearch.gallery.gallery import Gallery
    from personsearch.gallery.snapshot import Snapshot

AnyPath: TypeAlias = str | os.PathLike[str]
NOTHING = "false"  # Lance's SQL for no row
MOST_READ = 50_000  # people of a gallery too large for memory that are read and compared exactly


@dataclass(frozen=True, kw_only=True)
class Where:
    """The part of a gallery to search; a person must meet every condition that is set.

    Names may hold any characters. Times are those of videos and animations: with `start` or `end`, pictures are left out.

    Args:
        folder: Folder, or a list of folders, that the pictures and videos are in, at any depth.
        image: Picture or video, or a list of them: the name in `hit.image`, or a path to the same file.
        start: Seconds into the video from which a person counts.
        end: Seconds into the video up to which a person counts.
        min_score: Lowest detection score, 0 to 1.
        min_height: Lowest height of a person's box, in pixels.

    Raises:
        QueryError: A value has the wrong type or range, or `end` is before `start`.
    """

    folder: AnyPath | Sequence[AnyPath] | None = None
    image: AnyPath | Sequence[AnyPath] | None = None
    start: float | None = None
    end: float | None = None
    min_score: float | None = None
    min_height: float | None = None

    def __post_init__(self) -> None:
        for name in ("folder", "image"):
            object.__setattr__(self, name, _paths(name, getattr(self, name)))
        for name in ("start", "end", "min_score", "min_height"):
            value = getattr(self, name)
            if value is not None:
                number = checks.number(f"where's {name}", value, QueryError)
                if not 0 <= number < np.inf or (name == "min_score" and number > 1):
                    allowed = "within 0..1" if name == "min_score" else "0 or more"
                    raise QueryError(f"where's {name} must be {allowed}, got {number:g}")
                object.__setattr__(self, name, number)
        if self.start is not None and self.end is not None and self.end < self.start:
            raise QueryError(f"where's end, {self.end:g} s, is before its start, {self.start:g} s")

    def keeps(self, people: People) -> Array:
        """(N,) bool: which people meet the conditions."""
        keep = np.ones(len(people), bool)
        if self.folder is not None or self.image is not None:
            names = people.images[np.flatnonzero(np.diff(people.scenes, prepend=-1))].tolist()
            keep &= np.fromiter(map(self._names, names), bool, len(names))[people.scenes]
        if self.start is not None or self.end is not None:
            start, end = self.start or 0.0, np.inf if self.end is None else self.end
            keep &= (people.times >= start) & (people.times <= end)
        if self.min_score is not None:
            keep &= people.scores >= np.float32(self.min_score)
        if self.min_height is not None:
            keep &= people.boxes[:, 3] - people.boxes[:, 1] >= np.float32(self.min_height)
        return keep

    def sql(self) -> str:
        """The conditions in Lance's SQL, which reads names as they are."""
        parts = []
        if self.folder is not None:
            parts.append(_any(f"starts_with(image, {quote(prefix)})" for prefix in _prefixes(self.folder) if _storable(prefix)))
        if self.image is not None:
            parts.append(_any(f"image = {quote(name)}" for name in _names(self.image) if _storable(name)))
        if self.start is not None or self.end is not None:
            parts.append(f"time >= {float(self.start or 0.0)!r}")
        if self.end is not None:
            parts.append(f"time <= {float(self.end)!r}")
        if self.min_score is not None:
            parts.append(f"score >= {float(np.float32(self.min_score))!r}")  # as it is stored
        if self.min_height is not None:
            parts.append(f"array_element(box, 4) - array_element(box, 2) >= {float(np.float32(self.min_height))!r}")
        return " AND ".join(["row >= 0", *parts])

    def _names(self, image: str) -> bool:
        """Whether an image's name meets the conditions on folder and image."""
        inside = self.folder is None or image.startswith(tuple(_prefixes(self.folder)))
        return inside and (self.image is None or image in _names(self.image))


def where_options(value: Any) -> Where | None:
    """The conditions that `where=` names, or None.

    Raises:
        QueryError: The value is not a `Where`.
    """
    if value is None or isinstance(value, Where):
        return value
    raise QueryError(f"where must be Where(folder=, image=, start=, end=, min_score=, min_height=) or None, got {value!r:.80}")


def people_where(gallery: "Gallery", where: Where) -> People | None:
    """The people of a gallery too large for memory that meet the conditions; None if they are more than `MOST_READ`."""
    return gallery._read(lambda snapshot: _read(snapshot, where))


def part_of(gallery: "Gallery", where: Where | None) -> People:
    """The people of a gallery that meet the conditions, with their embeddings in memory.

    Raises:
        QueryError: They are too many for memory.
    """
    if gallery.fits_in_memory:
        people = gallery.people()
        return people if where is None else people.take(np.flatnonzero(where.keeps(people)))
    part = None if where is None else people_where(gallery, where)
    if part is None:
        raise QueryError(f"gallery {gallery.location} has too many people for its memory_limit; name a part of them with where=")
    return part


def _read(snapshot: "Snapshot", where: Where) -> People | None:
    rows = snapshot.table.to_table(columns=["image", "frame", "indexed_ns"], filter=where.sql(), with_row_id=True, limit=2 * MOST_READ)
    if rows.num_rows >= 2 * MOST_READ:
        return None
    rows = snapshot.without_replaced(rows)
    if rows.num_rows > MOST_READ:
        return None
    return snapshot.people_in(snapshot.table._take_rows(rows["_rowid"].to_pylist(), columns=snapshot.person_columns))


def _paths(name: str, value: Any) -> tuple[str, ...] | None:
    if value is None:
        return None
    values = value if isinstance(value, list | tuple | set | frozenset) else [value]
    if not values:
        raise QueryError(f"where's {name} is an empty list; leave it out to search everything")
    paths = tuple(checks.path(f"where's {name}", one, QueryError) for one in values)
    if "" in paths:
        raise QueryError(f"where's {name} is empty; leave it out to search everything")
    return paths


def _names(paths: Any) -> set[str]:
    """The names that a gallery may have for some files: the texts as passed, and absolute paths."""
    names = set(paths)
    return names | {os.path.abspath(expand_user(path)) for path in paths if "://" not in path and "\0" not in path}


def _prefixes(folders: Any) -> set[str]:
    """Starts of the names of everything in some folders."""
    return {name.rstrip("/" + os.sep) + ("/" if "://" in name else os.sep) for name in _names(folders)}


def _storable(name: str) -> bool:
    """Whether a table can hold the name; half of a surrogate pair and NUL it cannot."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in name


def _any(conditions: Any) -> str:
    joined = " OR ".join(sorted(conditions))
    return f"({joined})" if joined else NOTHING

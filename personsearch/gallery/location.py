"""The place where a gallery's table lies: opening it, locking it, and what its errors mean.

A folder on this machine is locked while a gallery reads, writes or cleans up, so that cleaning up, which deletes
every file that no version names, cannot take the file that another process is just writing. Object stores
and systems without `flock` have no such lock; there the files of interrupted writes wait for Lance's own limit of a week.
Programs that write to a local table by Lance alone do not take the lock: let none run while a gallery removes or compacts.
"""

import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from personsearch.errors import GalleryError, GalleryPermissionError, PersonSearchError
from personsearch.home import home

LANCE_FOLDERS = ("data", "_versions", "_transactions", "_deletions", "_indices", "_refs")
_FORBIDDEN = ("permission denied", "read-only file system", "operation not permitted", "access is denied", "accessdenied")


def location(uri: str | os.PathLike[str]) -> str:
    """The place as Lance takes it: an absolute path, or a URI of an object store as it is."""
    text = os.fspath(uri)
    if text.startswith("file://"):
        text = url2pathname(urlsplit(text).path)
    return text if "://" in text else os.path.abspath(os.path.expanduser(text))


def find_table(place: str) -> Any:
    """The Lance table at a place, at its newest version; None if there is nothing, a file, or a folder of other things.

    Raises:
        GalleryError: the table is damaged.
    """
    import lance

    with lance_errors(place):
        if Path(place).is_file():
            return None
        try:
            return lance.dataset(place)
        except ValueError as error:  # Lance has no error class of its own for this
            if "was not found" in str(error):
                return None
            raise


def check_free(place: str) -> None:
    """Raise GalleryError if the place is a file, or a local folder with files in it: deleting the gallery would take them along."""
    folder = Path(place)
    if folder.is_file():
        raise GalleryError(f"{place} is a file; a gallery needs a folder of its own")
    if "://" in place or not folder.exists():
        return
    with lance_errors(place):
        others = sorted(entry.name for entry in folder.iterdir() if entry.name not in LANCE_FOLDERS)
    if others:
        raise GalleryError(f"{place} holds other files ({', '.join(others[:3])}); give the gallery a folder of its own")


@contextmanager
def lance_errors(place: str) -> Iterator[None]:
    """Turn what Lance and the file system raise into gallery errors."""
    try:
        yield
    except (OSError, ValueError, RuntimeError) as error:
        if isinstance(error, PersonSearchError):
            raise
        if any(words in str(error).lower() for words in _FORBIDDEN):
            raise GalleryPermissionError(
                f"no permission for the gallery {place}: {error}; give yourself the right to write there, or keep the gallery elsewhere"
            ) from error
        raise GalleryError(
            f"gallery {place} cannot be used: {error}; if it is damaged, delete it and index again, or choose another place"
        ) from error


@contextmanager
def locked(place: str, *, alone: bool) -> Iterator[bool]:
    """Hold a local gallery's lock: `alone`, or together with others who are not alone.

    Waits for as long as it takes. Yields whether there is a lock: False on object stores, where `flock` is missing,
    and where there is no folder yet.
    """
    try:
        import fcntl

        handle = os.open(place, os.O_RDONLY)  # the folder itself: no lock file to leave behind, and readers need no right to write
    except (ImportError, OSError):
        yield False
        return
    try:
        yield _flock(fcntl, handle, alone)
    finally:
        os.close(handle)


def _flock(fcntl: Any, handle: int, alone: bool) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
    except OSError:  # network file systems without locks
        return False
    return True


def remove_partial_files(place: str) -> None:
    """Remove what killed writers left half-written in a local gallery; only under its lock, alone.

    Lance cleans up `data` itself, but not the other folders, where a manifest can name a removed image.
    """
    with lance_errors(place):
        for folder in LANCE_FOLDERS:
            for path in Path(place, folder).glob(".tmp*"):
                path.unlink()


def gallery_place(source_key: str, model_key: str) -> Path:
    """Where the gallery of a source is kept, one for each source and model."""
    digest = hashlib.sha256(f"{source_key}\n{model_key}".encode()).hexdigest()[:16]
    slug = re.sub(r"[^A-Za-z0-9]+", "-", Path(source_key).name).strip("-")[:40] or "pictures"
    return home() / "galleries" / f"{slug}-{digest}.lance"

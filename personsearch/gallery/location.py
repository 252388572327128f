"""Where a gallery's table is: finding it, opening it, locking it, and turning its errors into gallery errors.

A folder on this machine is locked while a gallery reads, writes or cleans up. Cleaning up deletes every file that no
version names; without the lock it could delete a file that another process is just writing. Object stores and systems
without `flock` have no such lock; there a change is tried again if it meets another one, and the files of interrupted writes
wait for Lance's own limit of a week.
Programs that write to a local table through Lance alone do not take the lock: run none while a gallery removes or compacts.
"""

import hashlib
import os
import random
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit
from urllib.request import url2pathname

from personsearch import checks
from personsearch.errors import GalleryConflictError, GalleryError, GalleryPermissionError, PersonSearchError
from personsearch.home import expand_user, home, make_folder

VERSIONS = "_versions"
LANCE_FOLDERS = ("data", VERSIONS, "_transactions", "_deletions", "_indices", "_refs")
OTHERS = 0o077  # rights of the group and of all others
# Classes of what Lance and Arrow raise for damaged files
_RAISED = (OSError, ValueError, RuntimeError, LookupError, TypeError, ArithmeticError, AttributeError, MemoryError)
# What Lance says if another program has changed an object store's table; "not found" is a version or file that it has cleaned up.
_CONFLICTS = ("commit conflict", "concurrent", "preempted", "not found", "does not exist", "please retry", "contention")
ATTEMPTS = 12
FIRST_WAIT, LONGEST_WAIT = 0.05, 4.0  # seconds before the second attempt, and at most
T = TypeVar("T")
_FORBIDDEN = ("permission denied", "read-only file system", "operation not permitted", "access is denied", "accessdenied")


def resolve(location: str | os.PathLike[str]) -> str:
    """The location in the form that Lance takes: an absolute path, or an object store's URI unchanged."""
    text = checks.path("location", location, GalleryError)
    if "\0" in text or not text:
        raise GalleryError(f"the location of a gallery must be a path or URI, got {text!r:.80}")
    if text.startswith("file://"):
        text = url2pathname(urlsplit(text).path)
    return text if "://" in text else os.path.abspath(expand_user(text))


def default_location(source_key: str, model_key: str) -> Path:
    """Folder of the gallery of a source and a model, in `PERSONSEARCH_HOME`."""
    digest = hashlib.sha256(f"{source_key}\n{model_key}".encode()).hexdigest()[:16]
    slug = re.sub(r"[^A-Za-z0-9]+", "-", Path(source_key).name).strip("-")[:40] or "pictures"
    return home() / "galleries" / f"{slug}-{digest}.lance"


def find_table(location: str, storage_options: Mapping[str, str] | None = None) -> Any:
    """The Lance table at a location, at its newest version; None if there is nothing, a file, or a folder of other things.

    Args:
        location: Absolute path or URI.
        storage_options: Options of an object store, such as its region and credentials; the environment has the others.

    Raises:
        GalleryError: The table is damaged.
    """
    with lance_errors(location):
        if "://" not in location and not _may_hold_table(location):
            return None
        import lance

        try:
            return lance.dataset(location, storage_options=storage_options)
        except ValueError as error:  # Lance has no error class of its own for this
            if "was not found" in str(error):
                return None
            raise


def _may_hold_table(folder: str) -> bool:
    """Whether a local path can be a table; Lance refuses names with control characters, which folders of pictures may have."""
    try:
        os.stat(os.path.join(folder, VERSIONS))
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:  # Lance says what is wrong
        return True
    return True


def check_free(location: str) -> None:
    """Check that a new gallery can be made here; deleting it later must not delete other files.

    Raises:
        GalleryError: The location is a file, or a local folder that contains other files.
    """
    folder = Path(location)
    if folder.is_file():
        raise GalleryError(f"{location} is a file; a gallery needs a folder of its own")
    if "://" in location or not folder.exists():
        return
    with lance_errors(location):
        others = sorted(entry.name for entry in folder.iterdir() if entry.name not in LANCE_FOLDERS)
    if others:
        raise GalleryError(f"{location} contains other files ({', '.join(others[:3])}); give the gallery a folder of its own")


@contextmanager
def guarded(location: str, *, exclusive: bool) -> Iterator[bool]:
    """Hold the gallery's lock (see `locked`), and raise gallery errors for what Lance and the file system raise."""
    with locked(location, exclusive=exclusive) as is_locked, lance_errors(location):
        yield is_locked


def retried(work: Callable[[int], T], location: str) -> T:
    """The result of some work on a table, tried again if another program has changed the table meanwhile.

    That happens on object stores only, which have no lock.

    Args:
        work: Work, which takes the number of the attempt, from 0, and opens the table anew.
        location: Absolute path or URI of the gallery.

    Raises:
        GalleryConflictError: Every attempt met another change.
    """
    for attempt in range(ATTEMPTS):
        try:
            with lance_errors(location):
                return work(attempt)
        except GalleryConflictError:
            if attempt == ATTEMPTS - 1:
                raise
            time.sleep(random.uniform(0.5, 1) * min(FIRST_WAIT * 2**attempt, LONGEST_WAIT))
    raise AssertionError  # not reached


@contextmanager
def lance_errors(location: str) -> Iterator[None]:
    """Turn what Lance and the file system raise into gallery errors."""
    try:
        yield
    except BaseException as error:  # a panic of Lance's Rust is not an Exception
        if isinstance(error, PersonSearchError) or not (isinstance(error, _RAISED) or type(error).__name__ == "PanicException"):
            raise
        if "://" in location and any(words in str(error).lower() for words in _CONFLICTS):
            raise GalleryConflictError(
                f"gallery {location} was changed by another program at the same moment: {_reason(error)}; try again"
            ) from error
        if any(words in str(error).lower() for words in _FORBIDDEN):
            raise GalleryPermissionError(
                f"no permission for the gallery {location}: {_reason(error)}; give yourself the right to write, or choose another folder"
            ) from error
        raise GalleryError(
            f"gallery {location} cannot be used: {_reason(error)}; if it is damaged, delete it and index again, or choose another folder"
        ) from error


def _reason(error: BaseException) -> str:
    """The message without the places in Lance's source code, which are folders of the machine that built it."""
    return re.sub(r",?\s*\S*/\S+\.rs:\d+(:\d+)?", "", str(error))


@contextmanager
def locked(location: str, *, exclusive: bool) -> Iterator[bool]:
    """Hold a local gallery's lock, waiting for as long as it takes.

    Args:
        location: Absolute path or URI of the gallery.
        exclusive: Whether to hold the lock alone, or together with other holders that are not exclusive.

    Yields:
        Whether the lock is held: False on object stores, where `flock` is missing, and where the folder does not exist yet.
    """
    try:
        import fcntl

        handle = os.open(location, os.O_RDONLY)  # the folder itself: no lock file remains, and readers need no right to write
    except (ImportError, OSError):
        yield False
        return
    try:
        yield _flock(fcntl, handle, exclusive)
    finally:
        os.close(handle)


def _flock(fcntl: Any, handle: int, exclusive: bool) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH)
    except OSError:  # network file systems without locks
        return False
    return True


def make_private_folder(location: str) -> None:
    """Make a local gallery's folder so that other users can neither read nor enter it."""
    if "://" in location:
        return
    with lance_errors(location):
        make_folder(Path(location).parent)
        Path(location).mkdir(mode=0o700, exist_ok=True)


def make_files_private(location: str, files: Iterable[str] | None = None) -> None:
    """Take the files of a private local gallery from other users too, in case they are copied elsewhere.

    A folder that its owner has opened to others stays as it is.

    Args:
        location: Absolute path or URI of the gallery.
        files: Paths below the location; None: all files and folders.
    """
    if "://" in location or os.name != "posix":
        return
    try:
        if os.stat(location).st_mode & OTHERS:
            return
        for path in _paths_below(location) if files is None else [os.path.join(location, file) for file in files]:
            mode = os.stat(path).st_mode
            if mode & OTHERS:
                os.chmod(path, mode & ~OTHERS)
    except OSError:  # another process deletes old files meanwhile, or the owner is another user
        return


def _paths_below(location: str) -> Iterator[str]:
    for folder, names, files in os.walk(location):
        yield from (os.path.join(folder, name) for name in (*names, *files))


def remove_partial_files(location: str) -> None:
    """Remove files that killed writers left half-written in a local gallery; the exclusive lock must be held.

    Lance cleans up `data` itself, but not the other folders, where a manifest can name a removed image.
    """
    with lance_errors(location):
        for folder in LANCE_FOLDERS:
            for path in Path(location, folder).glob(".tmp*"):
                path.unlink()

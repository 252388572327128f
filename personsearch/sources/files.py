"""Find pictures and videos on the disk: in a folder, or by a glob pattern."""

import fnmatch
import logging
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from personsearch.errors import ImageError, SourceError
from personsearch.images import refuse_address
from personsearch.sources.items import Item, Source
from personsearch.sources.kinds import PICTURE_EXTENSIONS, VIDEO_EXTENSIONS, is_listed
from personsearch.sources.listing import Listing

logger = logging.getLogger(__name__)


def open_path(text: str) -> Source:
    """The source at a path: a folder, a file, or a glob pattern.

    Raises:
        SourceError: The path is an address, does not exist, or contains neither pictures nor videos.
    """
    if not text:
        raise SourceError("the path is empty; pass a folder, a glob pattern, a picture or a video")
    try:
        refuse_address(text)
    except ImageError as error:
        raise SourceError(str(error)) from error
    root = os.path.abspath(text)
    walk = _Walk()
    if os.path.isdir(root):
        paths = list(walk.files(root))
        if root in walk.problems:
            raise SourceError(f"{root}: cannot be listed ({walk.problems[root]}); check its permissions")
    elif os.path.exists(root):
        return Source((file_item(root, root),), (root,), root)
    else:
        paths = _matching(root, walk)
    if not paths and not walk.problems:
        extensions = " ".join(PICTURE_EXTENSIONS + VIDEO_EXTENSIONS)
        raise SourceError(f"{root} contains no pictures or videos ({extensions}, or by content); hidden files are skipped")
    return Source(Listing.of_files(sorted(set(paths)), root), (root,), root, walk.problems)


def file_item(path: str, root: str | None = None) -> Item:
    """The item of a file; a missing file is reported when it is read."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return Item(path, root=root)
    return Item(path, status.st_size, status.st_mtime_ns, status.st_ctime_ns, root)


def common_folder(paths: Iterable[str]) -> str:
    """The folder that contains all of the files, folders and patterns; "" if none does (drives of Windows)."""
    folders = []
    for path in paths:
        while not os.path.isdir(path) and os.path.dirname(path) != path:
            path = os.path.dirname(path)
        folders.append(path)
    try:
        return os.path.commonpath(folders)
    except ValueError:
        return ""


@dataclass
class _Walk:
    """Lists folders, linked ones too, each once: a link to a folder that was listed already is skipped, so links cannot loop.

    Hidden files and folders are skipped.
    """

    problems: dict[str, str] = field(default_factory=dict)  # folder that cannot be listed -> reason
    listed: set[tuple[int, int]] = field(default_factory=set)  # device and inode

    def folders(self, root: str) -> Iterator[tuple[str, list[str]]]:
        """The folder and all below it, with the names of their files; linked folders come after the others."""
        waiting, linked = [root], list[str]()
        while waiting or linked:
            folder = waiting.pop() if waiting else linked.pop(0)
            entries = self.entries(folder)
            if entries is None or not self._is_new(folder):
                continue
            below, names = list["os.DirEntry[str]"](), list[str]()
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if _is_folder(entry):
                    below.append(entry)
                else:
                    names.append(entry.name)
            waiting += [entry.path for entry in reversed(below) if not entry.is_symlink()]
            linked += [entry.path for entry in below if entry.is_symlink()]
            yield folder, names

    def files(self, root: str) -> Iterator[str]:
        """The pictures and videos of the folder and of all below it."""
        for folder, names in self.folders(root):
            start = os.path.join(folder, "")  # joining each name took a fifth of the time
            yield from (path for path in map(start.__add__, names) if is_listed(path))

    def entries(self, folder: str) -> "list[os.DirEntry[str]] | None":
        """Entries of one folder by name; None if it cannot be listed, which is noted."""
        try:
            with os.scandir(folder) as entries:
                return sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            self._note(folder, error)
            return None

    def _is_new(self, folder: str) -> bool:
        try:
            status = os.stat(folder)
        except OSError as error:
            self._note(folder, error)
            return False
        key = (status.st_dev, status.st_ino)
        new = key not in self.listed or not status.st_ino  # some network systems have no inodes
        self.listed.add(key)
        return new

    def _note(self, folder: str, error: OSError) -> None:
        self.problems[folder] = error.strerror or str(error)
        logger.warning("skipped %s: cannot be listed (%s)", folder, self.problems[folder])


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _matching(pattern: str, walk: _Walk) -> list[str]:
    """Files that match; the part of the pattern that exists is taken literally, brackets and all."""
    parts = list(Path(pattern).parts)
    base = Path(parts.pop(0))
    while os.path.exists(base / parts[0]):  # Path.exists raises where a folder may not be entered
        base /= parts.pop(0)
    if not re.search(r"[*?\[]", "".join(parts)):
        raise SourceError(f"{pattern} does not exist; pass a folder, a glob pattern, a picture, a video, or a list of pictures")
    if any("**" in part and part != "**" for part in parts):
        raise SourceError(f"{pattern} is not a valid glob pattern; write ** as a folder of its own, as in photos/**/*.jpg")
    if parts[-1] == "**":
        parts.append("*")
    folders = [str(base)]
    for part in parts[:-1]:
        folders = [path for folder in folders for path in _subfolders(folder, part, walk)]
    paths = [
        entry.path
        for folder in dict.fromkeys(folders)
        for entry in walk.entries(folder) or []
        if _fits(entry.name, parts[-1]) and not _is_folder(entry)
    ]
    return [path for path in paths if is_listed(path)]


def _subfolders(folder: str, part: str, walk: _Walk) -> list[str]:
    if part == "**":
        below = _Walk(walk.problems)
        return [path for path, _ in below.folders(folder)]
    return [entry.path for entry in walk.entries(folder) or [] if _is_folder(entry) and _fits(entry.name, part)]


def _fits(name: str, part: str) -> bool:
    """Whether a name matches one part of a pattern; hidden names only if the part starts with a dot too."""
    return (part.startswith(".") or not name.startswith(".")) and fnmatch.fnmatch(name, part)

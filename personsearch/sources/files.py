"""Find pictures and videos on the disk: in a folder, or by a glob pattern."""

import logging
import os
import re
from pathlib import Path

from personsearch.errors import SourceError
from personsearch.sources.items import Item, Source
from personsearch.sources.videos import VIDEO_EXTENSIONS, is_video

logger = logging.getLogger(__name__)

PICTURE_EXTENSIONS = (".bmp", ".gif", ".jfif", ".jpe", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
# Photos of formats that cannot be read: included so that they are reported as unreadable instead of silently skipped.
OTHER_EXTENSIONS = (".avif", ".heic", ".heif")


def open_path(text: str) -> Source:
    """The source at a path: a folder, a file, or a glob pattern.

    Raises:
        SourceError: The path does not exist, or contains neither pictures nor videos.
    """
    if not text:
        raise SourceError("the path is empty; pass a folder, a glob pattern, a picture or a video")
    root = os.path.abspath(text)
    if os.path.isdir(root):
        paths = _in_folder(root)
    elif os.path.exists(root):
        return Source(root, (file_item(root),))
    else:
        paths = _matching(root)
    if not paths:
        extensions = " ".join(PICTURE_EXTENSIONS + VIDEO_EXTENSIONS)
        raise SourceError(f"{root} contains no pictures or videos ({extensions}); hidden files and linked folders are skipped")
    return Source(root, tuple(file_item(path) for path in sorted(paths)))


def file_item(path: str) -> Item:
    """The item of a file; a missing file is reported when it is read."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return Item(path, is_video(path))
    return Item(path, is_video(path), status.st_size, status.st_mtime_ns)


def _in_folder(root: str) -> list[str]:
    def unreadable(error: OSError) -> None:
        if error.filename == root:
            raise SourceError(f"{root}: cannot be listed ({error.strerror}); check its permissions") from error
        logger.warning("skipped %s: cannot be listed (%s)", error.filename, error.strerror)

    paths: list[str] = []
    for folder, subfolders, names in os.walk(root, onerror=unreadable):
        subfolders[:] = [name for name in subfolders if not name.startswith(".")]
        paths += [os.path.join(folder, name) for name in names if not name.startswith(".") and _has_known_extension(name)]
    return paths


def _matching(pattern: str) -> list[str]:
    """Files that match; the part of the pattern that exists is taken literally, brackets and all."""
    parts = list(Path(pattern).parts)
    base = Path(parts.pop(0))
    while os.path.exists(base / parts[0]):  # Path.exists raises where a folder may not be entered
        base /= parts.pop(0)
    if not re.search(r"[*?\[]", "".join(parts)):
        raise SourceError(f"{pattern} does not exist; pass a folder, a glob pattern, a picture, a video, or a list of pictures")
    if any("**" in part and part != "**" for part in parts):  # Python 3.13 reads such a part as one star
        raise SourceError(f"{pattern} is not a valid glob pattern; write ** as a folder of its own, as in photos/**/*.jpg")
    matches = base.glob(os.path.join(*parts, "*") if parts[-1] == "**" else os.path.join(*parts))

    def is_hidden(path: Path) -> bool:
        return any(part.startswith(".") and part not in parts for part in path.relative_to(base).parts)

    return [str(path) for path in set(matches) if _has_known_extension(path.name) and not is_hidden(path) and not path.is_dir()]


def _has_known_extension(name: str) -> bool:
    return name.lower().endswith(PICTURE_EXTENSIONS + OTHER_EXTENSIONS + VIDEO_EXTENSIONS)

"""What can be indexed: a folder, a glob pattern, a video, pictures in a list or in memory, as items read one by one."""

import hashlib
import logging
import os
import re
from collections.abc import Iterable, Iterator, Set
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from personsearch.boxes import Array
from personsearch.errors import ImageError, SourceError
from personsearch.images import check_file, load

if TYPE_CHECKING:
    from cv2 import VideoCapture

logger = logging.getLogger(__name__)

PICTURE_EXTENSIONS = (".bmp", ".gif", ".jfif", ".jpe", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
# Photos too, but of kinds that cannot be read: taken to be reported as unreadable, not passed over in silence.
OTHER_EXTENSIONS = (".avif", ".heic", ".heif")
VIDEO_EXTENSIONS = (".3gp", ".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm", ".wmv")
IN_MEMORY = re.compile(r"image-\d{6,}-(?:[0-9a-f]{8}|unreadable)")
# Seeking lands near a time, not on it: start this many seconds before.
SEEK_BEFORE = 0.5
# Two readings of one timestamp differ by rounding only; frames are at least 1 ms apart.
SAME_TIME = 0.0005


@dataclass(frozen=True)
class Frame:
    """One decoded picture."""

    image: str  # the item's name
    frame: int  # number in a video, counted from 0; 0 in a picture
    time: float | None  # seconds into a video, None in a picture
    pixels: Array  # (H, W, 3) uint8 RGB


@dataclass(frozen=True)
class Item:
    """One picture or video of a source, not yet read."""

    image: str  # absolute path as the system spells it; "image-000012-1a2b3c4d" (place in the list, content) in memory
    is_video: bool
    size: int | None = None  # bytes; None in memory or when the file is gone
    modified_ns: int | None = None
    content: Any = field(default=None, repr=False, compare=False)  # bytes, PIL picture or array; None: a file

    def fingerprint(self) -> str:
        """Digest of the content, 64 hex digits: of a file or video its bytes, of an array its values and shape.

        Raises:
            ImageError: it cannot be read.
        """
        if self.content is not None:
            return _digest(self.content)
        check_file(self.image)
        try:
            with open(self.image, "rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise ImageError(f"{self.image}: cannot be read ({error.strerror}); check its permissions") from error

    def frames(self, every: int = 1, skip: Set[int] = frozenset()) -> Iterator[Frame]:
        """The picture as frame 0, or a video's frames 0, every, 2 * every, ...; those in `skip` are not decoded.

        A video that is cut off or damaged further on ends where it can no longer be read: what came before counts.

        Raises:
            ImageError: no picture, or no video of which a frame can be read; while iterating.
        """
        if self.is_video:
            yield from _video_frames(self.image, every, skip)
        elif 0 not in skip:
            yield Frame(self.image, 0, None, load(self.image if self.content is None else self.content))


@dataclass(frozen=True)
class Source:
    """The items of what the user passed."""

    root: str | None  # folder, pattern or file, absolute: what is gone from it leaves the gallery; None for what was listed
    items: tuple[Item, ...]  # by path in a folder or pattern; in order of a list

    def key(self) -> str:
        """Names the source, the same in every run: its root, or a digest of its items' names (with content if in memory)."""
        if self.root is not None:
            return self.root
        names = "\n".join(item.image for item in self.items)
        return f"list-{hashlib.sha256(names.encode(errors='surrogateescape')).hexdigest()[:16]}"


def open_source(source: Any) -> Source:
    """Find the pictures and videos of a source; nothing is decoded yet, and what cannot be read shows in `Item.frames`.

    Args:
        source: a folder (with its subfolders; hidden files, hidden folders and linked folders are left out), a glob
            pattern ("photos/*.jpg", with ** too; a path that exists wins), one picture or video, bytes, a PIL picture,
            an array (H, W, 3) or (N, H, W, 3), or a list of files, bytes, PIL pictures and arrays.

    Raises:
        SourceError: no such path, nothing in it, an empty list, or something else altogether.
    """
    from PIL import Image

    if isinstance(source, str | os.PathLike):
        return _open_path(os.fsdecode(source))
    if isinstance(source, bytes | Image.Image) or (isinstance(source, np.ndarray) and source.ndim != 4):
        source = [source]
    if not isinstance(source, Iterable):
        raise SourceError(f"a source is a folder, glob pattern, picture, video, array, or a list of these; got {type(source).__name__}")
    items = tuple(_listed(position, one) for position, one in enumerate(source))
    if not items:
        raise SourceError("the list of pictures is empty; pass at least one path or array")
    return Source(None, items)


def read_frame(image: str, frame: int, time: float | None = None) -> Array:
    """The pixels of a picture or of one frame of a video again, (H, W, 3) uint8 RGB.

    Args:
        image: as in `Frame.image`.
        frame: its number.
        time: its time; with it a long video is entered near there (a frame number would lead astray when the frame
            rate changes), without it the video is read from its start.

    Raises:
        ImageError: gone, unreadable, without that frame, or passed in memory and so not kept.
    """
    if IN_MEMORY.fullmatch(image):
        raise ImageError(f"{image} was passed as an array, bytes or PIL picture; its pixels are not kept")
    if not _is_video(image):
        return load(image)
    pixels = None if time is None else _pixels_at(image, time)
    if pixels is not None:
        return pixels
    found = next(_video_frames(image, max(frame, 1), {0} if frame else frozenset()), None)
    if found is None:
        raise ImageError(f"{image}: has no frame {frame}; it has changed since it was indexed, index it again")
    return found.pixels


def _open_path(text: str) -> Source:
    if not text:
        raise SourceError("the path is empty; pass a folder, a glob pattern, a picture or a video")
    root = os.path.abspath(text)
    if os.path.isdir(root):
        paths = _in_folder(root)
    elif os.path.exists(root):
        return Source(root, (_file(root),))
    else:
        paths = _matching(root)
    if not paths:
        kinds = " ".join(PICTURE_EXTENSIONS + VIDEO_EXTENSIONS)
        raise SourceError(f"{root} holds no picture or video; looked for {kinds}, hidden files and linked folders left out")
    return Source(root, tuple(_file(path) for path in sorted(paths)))


def _in_folder(root: str) -> list[str]:
    def unreadable(error: OSError) -> None:
        if error.filename == root:
            raise SourceError(f"{root}: cannot be listed ({error.strerror}); check its permissions") from error
        logger.warning("left out: %s: cannot be listed (%s)", error.filename, error.strerror)

    paths: list[str] = []
    for folder, subfolders, names in os.walk(root, onerror=unreadable):
        subfolders[:] = [name for name in subfolders if not name.startswith(".")]
        paths += [os.path.join(folder, name) for name in names if not name.startswith(".") and _is_wanted(name)]
    return paths


def _matching(pattern: str) -> list[str]:
    """Files that match; the part of the pattern that exists is taken literally, brackets and all."""
    parts = list(Path(pattern).parts)
    base = Path(parts.pop(0))
    while os.path.exists(base / parts[0]):  # Path.exists raises where a folder may not be entered
        base /= parts.pop(0)
    if not re.search(r"[*?\[]", "".join(parts)):
        raise SourceError(f"{pattern} does not exist; pass a folder, a glob pattern, a picture, a video, or a list of pictures")
    if any("**" in part and part != "**" for part in parts):  # Python 3.13 takes them for one star
        raise SourceError(f"{pattern} is no glob pattern; ** stands alone, as in photos/**/*.jpg")
    matches = base.glob(os.path.join(*parts, "*") if parts[-1] == "**" else os.path.join(*parts))

    def is_hidden(path: Path) -> bool:
        return any(part.startswith(".") and part not in parts for part in path.relative_to(base).parts)

    return [str(path) for path in set(matches) if _is_wanted(path.name) and not is_hidden(path) and not path.is_dir()]


def _is_video(name: str) -> bool:
    return name.lower().endswith(VIDEO_EXTENSIONS)


def _is_wanted(name: str) -> bool:
    return name.lower().endswith(PICTURE_EXTENSIONS + OTHER_EXTENSIONS + VIDEO_EXTENSIONS)


def _file(path: str) -> Item:
    try:
        status = os.stat(path)
    except (OSError, ValueError):  # reported when it is read
        return Item(path, _is_video(path))
    return Item(path, _is_video(path), status.st_size, status.st_mtime_ns)


def _listed(position: int, one: Any) -> Item:
    from PIL import Image

    if isinstance(one, str | os.PathLike):
        return _file(os.path.abspath(os.fsdecode(one)))
    if not isinstance(one, bytes | np.ndarray | Image.Image):
        raise SourceError(f"item {position} of the list is a {type(one).__name__}; pass paths, bytes, PIL pictures or arrays")
    try:
        digest = _digest(one)[:8]
    except ImageError:  # a PIL picture that breaks off; reported when it is read
        digest = "unreadable"
    return Item(f"image-{position:06}-{digest}", False, content=one)


def _digest(content: Any) -> str:
    if isinstance(content, bytes):
        return hashlib.sha256(content).hexdigest()
    array = content if isinstance(content, np.ndarray) else load(content)
    digest = hashlib.sha256(f"{array.dtype} {array.shape}".encode())
    digest.update(array.tobytes())
    return digest.hexdigest()


@contextmanager
def _opened(path: str) -> "Iterator[VideoCapture]":
    import cv2

    check_file(path)
    capture = cv2.VideoCapture(path, cv2.CAP_FFMPEG)  # the other back ends take a name with digits for a series of pictures
    try:
        if not capture.isOpened():
            raise ImageError(f"{path}: cannot be read as a video; re-encode it as H.264 mp4")
        yield capture
    finally:
        capture.release()


def _video_frames(path: str, every: int, skip: Set[int]) -> Iterator[Frame]:
    import cv2

    with _opened(path) as capture:
        rate = capture.get(cv2.CAP_PROP_FPS)
        number = -1
        while capture.grab():
            number += 1
            if number % every or number in skip:
                continue
            readable, pixels = capture.retrieve()
            if readable:
                seconds = _seconds(capture) or (number / rate if rate > 0 else None)  # some containers have no timestamps
                yield Frame(path, number, seconds, cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB))
        if number < 0:
            raise ImageError(f"{path}: no frame of this video can be read; re-encode it as H.264 mp4")


def _pixels_at(path: str, time: float) -> Array | None:
    """The frame of exactly this time; None if seeking does not find it."""
    import cv2

    with _opened(path) as capture:
        capture.set(cv2.CAP_PROP_POS_MSEC, max(time - SEEK_BEFORE, 0) * 1000)
        while capture.grab() and (at := _seconds(capture)) < time + SAME_TIME:
            if at > time - SAME_TIME:
                readable, pixels = capture.retrieve()
                return cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB) if readable else None
    return None


def _seconds(capture: "VideoCapture") -> float:
    import cv2

    milliseconds: float = capture.get(cv2.CAP_PROP_POS_MSEC)
    return max(milliseconds, 0.0) / 1000

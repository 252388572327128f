"""Open a source, and read one of its frames again."""

import os
from collections.abc import Iterable
from typing import Any

import numpy as np

from personsearch.boxes import Array
from personsearch.errors import ImageError, SourceError
from personsearch.images import load
from personsearch.sources.files import file_item, open_path
from personsearch.sources.items import Item, Source
from personsearch.sources.memory import is_memory_name, memory_name
from personsearch.sources.videos import is_video, pixels_at, video_frames


def open_source(source: Any) -> Source:
    """Find the pictures and videos of a source, without decoding them. Unreadable ones raise in `Item.frames`.

    Args:
        source: A folder (searched with its subfolders; hidden files, hidden folders and linked folders are skipped), a glob
            pattern ("photos/*.jpg", also with **; an existing path wins), one picture or video, bytes, a PIL picture,
            an array (H, W, 3) or (N, H, W, 3), or a list of files, bytes, PIL pictures and arrays.

    Raises:
        SourceError: The path does not exist, contains nothing to index, the list is empty, or the type is not supported.
    """
    from PIL import Image

    if isinstance(source, str | os.PathLike):
        return open_path(os.fsdecode(source))
    if isinstance(source, bytes | Image.Image) or (isinstance(source, np.ndarray) and source.ndim != 4):
        source = [source]
    if not isinstance(source, Iterable):
        raise SourceError(f"a source is a folder, glob pattern, picture, video, array, or a list of these; got {type(source).__name__}")
    items = tuple(_list_item(position, entry) for position, entry in enumerate(source))
    if not items:
        raise SourceError("the list of pictures is empty; pass at least one path or array")
    return Source(None, items)


def read_frame(image: str, frame: int, time: float | None = None) -> Array:
    """The pixels of a picture or of one video frame, read again, (H, W, 3) uint8 RGB.

    Args:
        image: Name of the picture or video, as in `Frame.image`.
        frame: Number of the frame.
        time: Seconds of the frame. With it, reading starts near that time (a frame number is not enough to seek when the
            frame rate changes); without it, reading starts at the beginning.

    Raises:
        ImageError: The file is missing or unreadable, has no such frame, or was passed in memory and so not stored.
    """
    if is_memory_name(image):
        raise ImageError(f"{image} was passed as an array, bytes or PIL picture; its pixels are not stored")
    if not is_video(image):
        return load(image)
    pixels = None if time is None else pixels_at(image, time)
    if pixels is not None:
        return pixels
    first = next(video_frames(image, max(frame, 1), {0} if frame else frozenset()), None)
    if first is None:
        raise ImageError(f"{image}: has no frame {frame}; the file has changed since it was indexed, index it again")
    return first.pixels


def _list_item(position: int, entry: Any) -> Item:
    from PIL import Image

    if isinstance(entry, str | os.PathLike):
        return file_item(os.path.abspath(os.fsdecode(entry)))
    if not isinstance(entry, bytes | np.ndarray | Image.Image):
        raise SourceError(f"item {position} of the list is a {type(entry).__name__}; pass paths, bytes, PIL pictures or arrays")
    return Item(memory_name(position, entry), False, content=entry)

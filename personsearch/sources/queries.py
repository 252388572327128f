"""The picture of a query: from a file or memory, or one frame of a video."""

import os
from typing import Any

from personsearch import images
from personsearch.boxes import Array
from personsearch.errors import ImageError, QueryError
from personsearch.images import refuse_address
from personsearch.sources.files import file_item
from personsearch.sources.frame import Frame
from personsearch.sources.items import Item
from personsearch.sources.memory import is_memory_name, picture_of_name
from personsearch.sources.opening import read_frame
from personsearch.sources.query import Query
from personsearch.sources.videos import SAME_TIME, frame_shown_at


def read_query(query: Query) -> Array:
    """The scene or crop of a query, RGB uint8 (H, W, 3).

    Raises:
        ImageError: The picture or video cannot be read, or has no such frame; a video is used without a time.
        QueryError: The query names a time or a frame, and its image is not a path; or it is a hit whose picture was not a file.
    """
    if query.time is None and query.frame is None:
        return _picture(query.image)
    if not isinstance(query.image, str | os.PathLike):
        raise QueryError(f"time and frame belong to the path of a video, got {type(query.image).__name__}; pass the frame's pixels alone")
    path = os.fsdecode(query.image)
    if query.frame is not None:
        return read_frame(path, query.frame, query.time)
    return read_at(path, query.time or 0.0).pixels


def read_at(path: str, time: float) -> Frame:
    """The frame of a video that is shown at a time: the last one that begins then or before.

    Raises:
        ImageError: The file cannot be read as a video, or ends before this time.
    """
    refuse_address(path)
    item = file_item(os.path.abspath(path))
    if not item.is_video:
        images.check_file(path)
        raise ImageError(f"{path}: is a picture, which has no frame at {time:g} s; leave the time out")
    found = frame_shown_at(item.image, time) if item.kind == "video" else None
    return found or _read_until(item, time)


def _read_until(item: Item, time: float) -> Frame:
    """The frame at a time, read from the start: for animations, and videos in which seeking fails."""
    shown = step = None
    for frame in item.frames():
        if shown is not None and shown.time is not None and frame.time is not None:
            step = frame.time - shown.time
        if frame.time is not None and frame.time > time + SAME_TIME:
            return shown or frame
        shown = frame
    if shown is None or shown.time is None or time > shown.time + (step or 0.0) + SAME_TIME:
        last = "has no times" if shown is None or shown.time is None else f"its last frame is at {shown.time:.2f} s"
        raise ImageError(f"{item.image}: has no frame at {time:g} s, {last}; pass an earlier time")
    return shown


def _picture(image: Any) -> Array:
    is_path = isinstance(image, str | os.PathLike)
    name = os.fsdecode(image) if is_path else ""
    if is_memory_name(name) and not os.path.exists(name):
        pixels = picture_of_name(name)
        if pixels is not None:
            return pixels
        raise QueryError(f"{name} was passed in memory, and its pixels are not stored; pass them with the box: Query(pixels, box=hit.box)")
    try:
        return images.load(image)
    except ImageError as error:
        if is_path and os.path.isfile(name) and file_item(name).is_video:
            raise ImageError(
                f"{name}: is a video, not a picture; name the moment too: Query({os.path.basename(name)!r:.80}, time=12.4), on the command "
                "line --time 12.4"
            ) from error
        raise

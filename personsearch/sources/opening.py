"""Open a source, and read one of its frames again."""

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sized
from typing import Any

import numpy as np

from personsearch.boxes import Array
from personsearch.errors import ImageError, SourceError
from personsearch.images import load, refuse_address
from personsearch.sources.files import common_folder, file_item, open_path
from personsearch.sources.items import Item, Source
from personsearch.sources.memory import is_memory_name, is_picture, memory_name, picture_content, picture_of_name
from personsearch.sources.stores import is_store, open_store, stored_item
from personsearch.sources.videos import pixels_at


def open_source(source: Any, storage_options: Mapping[str, str] | None = None) -> Source:
    """Find the pictures and videos of a source, without decoding them. Unreadable ones raise in `Item.frames`.

    Args:
        source: A folder (searched with its subfolders, linked ones too; hidden files and folders are skipped), a glob pattern
            ("photos/*.jpg", also with **; an existing path wins), one picture or video, bytes, a file object, a PIL picture,
            an array (H, W, 3) or (N, H, W, 3), or a list of these. A generator of the same is read as it comes. An address in
            an object store (s3://bucket/photos, gs://, az://) is listed as a folder is.
        storage_options: Region, endpoint and credentials of the object store; the environment has the others.

    Raises:
        SourceError: The path does not exist, contains nothing to index, the list is empty, or the type is not supported.
    """
    if isinstance(source, str | os.PathLike):
        path = os.fsdecode(source)
        return open_store(path, storage_options) if is_store(path) else open_path(path)
    if is_picture(source) and not (isinstance(source, np.ndarray) and source.ndim == 4):
        source = [source]
    if not isinstance(source, Iterable) or isinstance(source, Mapping):
        raise SourceError(f"a source is a folder, glob pattern, picture, video, array, or a list of these; got {type(source).__name__}")
    if isinstance(source, Sized):
        return _open_list(list(source))
    return Source(_stream(source), is_stream=True)


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
        pixels = picture_of_name(image)
        if pixels is not None:
            return pixels
        raise ImageError(
            f"{image} was passed as an array, bytes or PIL picture; its pixels are not stored: keep the array or PIL picture while you use "
            "its hits, or cut the boxes out of it yourself"
        )
    item = stored_item(image) if is_store(image) else Item(image)
    if not item.is_video and not is_store(image):
        return load(image)
    pixels = None if time is None or item.kind == "animation" or is_store(image) else pixels_at(image, time)
    if pixels is not None:
        return pixels
    first = next((one for one in item.frames(max(frame, 1), {0} if frame else frozenset()) if one.frame == frame), None)
    if first is None:
        raise ImageError(f"{image}: has no frame {frame}; the file has changed since it was indexed, index it again")
    return first.pixels


def _open_list(entries: list[Any]) -> Source:
    if not entries:
        raise SourceError("the list of pictures is empty; pass at least one path or array")
    parts = [_entry(position, entry) for position, entry in enumerate(entries)]
    if len(parts) == 1 and parts[0].items and parts[0].place is not None and os.path.exists(parts[0].place):
        return open_path(parts[0].place)  # a list of one folder or file is that folder or file
    items = {item.image: item for part in reversed(parts) for item in part.items}
    ordered = dict.fromkeys(item.image for part in parts for item in part.items)
    problems = {folder: reason for part in parts for folder, reason in part.problems.items()}
    if not items:
        raise SourceError("the list contains no pictures or videos: " + "; ".join(f"{path}: {why}" for path, why in problems.items()))
    is_on_disk = all(part.place is not None for part in parts)
    folder = common_folder(part.place or "" for part in parts)
    folders = (folder, os.path.dirname(folder), _main_folder(items)) if is_on_disk else ()
    place = f"{folder} list" if is_on_disk else None
    roots = tuple(dict.fromkeys(root for part in parts for root in part.roots))
    return Source(tuple(items[image] for image in ordered), roots, place, problems, list_folders=tuple(dict.fromkeys(folders)))


def _main_folder(images: Iterable[str]) -> str:
    """The folder of most files, which one file of another folder does not change."""
    folders = Counter(os.path.dirname(image) for image in images)
    return max(folders, key=lambda folder: (folders[folder], folder))


def _entry(position: int, entry: Any) -> Source:
    """One entry of a list as a source; what is missing, or cannot be looked at, is a problem of the list."""
    if not isinstance(entry, str | os.PathLike):
        return Source((_memory_item(position, entry, copied=False),))
    text = os.fsdecode(entry)
    try:
        refuse_address(text)
    except ImageError as error:
        return Source((), (), os.getcwd(), {f"item {position} of the list": str(error)})
    path = os.path.abspath(text)
    if os.path.isfile(path) or not (os.path.isdir(path) or any(sign in text for sign in "*?[")):
        return Source((file_item(path),), (), path)
    try:
        return open_path(text)
    except SourceError as error:
        return Source((), (), path, {path: str(error).removeprefix(f"{path}: ").removeprefix(f"{path} ")})


def _stream(source: Iterable[Any]) -> Iterator[Item]:
    for position, entry in enumerate(source):
        if isinstance(entry, str | os.PathLike):
            yield from _entry(position, entry).items
        else:
            yield _memory_item(position, entry, copied=True)


def _memory_item(position: int, entry: Any, *, copied: bool) -> Item:
    if not is_picture(entry):
        raise SourceError(f"item {position} of the list is a {type(entry).__name__}; pass paths, bytes, PIL pictures or arrays")
    content = picture_content(entry, copied=copied)
    return Item(memory_name(position, content), content=content)

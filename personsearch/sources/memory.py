"""Pictures in memory: a name and a digest for bytes, PIL pictures and arrays."""

import hashlib
import re
from contextlib import suppress
from typing import Any
from weakref import WeakValueDictionary

import numpy as np

from personsearch.boxes import Array
from personsearch.errors import ImageError
from personsearch.images import file_bytes, load

# Arrays and PIL pictures by name, as long as the caller holds them; so hits in them have pixels, and they cost no memory.
_PICTURES: "WeakValueDictionary[str, Any]" = WeakValueDictionary()

_NAME = re.compile(r"image-\d{6,}-(?:[0-9a-f]{8}|unreadable)")


def is_picture(entry: Any) -> bool:
    """Whether this is one picture in memory: an array, a PIL picture, bytes, or a file object."""
    from PIL import Image

    return isinstance(entry, bytes | bytearray | memoryview | np.ndarray | Image.Image) or hasattr(entry, "read")


def picture_content(entry: Any, *, copied: bool) -> Any:
    """The picture's bytes if it is bytes or a file object; else the array or PIL picture.

    Args:
        entry: What `is_picture` accepts. A file object that cannot be read is empty bytes, which are reported when they are read.
        copied: Whether to copy an array, because a camera may write its next frame into it.
    """
    if isinstance(entry, np.ndarray):
        return entry.copy() if copied else entry
    try:
        content = file_bytes(entry)
    except ImageError:
        return b""
    return entry if content is None else content


def memory_name(position: int, content: Any) -> str:
    """Name of a picture without a file: its number in the list and the start of its digest."""
    try:
        digest = content_digest(content)[:8]
    except ImageError:  # a PIL picture that breaks off; reported when it is read
        digest = "unreadable"
    name = f"image-{position:06}-{digest}"
    with suppress(TypeError):  # bytes cannot be referred to weakly
        _PICTURES[name] = content
    return name


def memory_digest(content: Any) -> str:
    """The end of `memory_name` for a picture in memory, "-" and the start of its digest.

    Raises:
        ImageError: The PIL picture cannot be read.
    """
    return f"-{content_digest(bytes(content) if isinstance(content, bytearray | memoryview) else content)[:8]}"


def picture_of_name(name: str) -> Array | None:
    """The pixels (H, W, 3) of a picture that was passed in memory; None if the caller has dropped or changed it."""
    content = _PICTURES.get(name)
    try:
        return None if content is None or content_digest(content)[:8] != name[-8:] else load(content)
    except ImageError:  # a PIL picture that was closed
        return None


def is_memory_name(image: str) -> bool:
    """Whether a name comes from `memory_name`."""
    return _NAME.fullmatch(image) is not None


def content_digest(content: Any) -> str:
    """Digest of bytes, or of an array's or PIL picture's values and shape, 64 hex digits.

    Raises:
        ImageError: The PIL picture cannot be read.
    """
    if isinstance(content, bytes):
        return hashlib.sha256(content).hexdigest()
    array = content if isinstance(content, np.ndarray) else load(content)
    digest = hashlib.sha256(f"{array.dtype} {array.shape}".encode())
    digest.update(array.tobytes())
    return digest.hexdigest()

"""Pictures in memory: a name and a digest for bytes, PIL pictures and arrays."""

import hashlib
import re
from typing import Any

import numpy as np

from personsearch.errors import ImageError
from personsearch.images import file_bytes, load

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
    return f"image-{position:06}-{digest}"


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

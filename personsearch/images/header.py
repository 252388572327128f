"""Size of a picture by the start of its file, without decoding it."""

import io
import struct
import warnings
from typing import Any

from personsearch.images.paths import check_file
from personsearch.images.pixels import DAMAGED

HEAD_BYTES = 2**16  # enough for the preview and EXIF data that most cameras put before the size
# Markers of JPEG that start a frame, which states the size: SOF0 to SOF15, without DHT, JPG and DAC between them
FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
# Markers at which the search ends: they have no length, or the pixels begin before any size
ENDS = frozenset({0x00, 0x01, *range(0xD0, 0xDB)})
PADDING = 0xFF


def picture_size(content: Any) -> tuple[int, int]:
    """Width and height, pixels, as a file's own head states them, before its orientation; 0 and 0 for what is not a picture.

    Args:
        content: Path, bytes of a file, or a PIL picture.
    """
    from PIL import Image

    if isinstance(content, Image.Image):
        return content.size
    try:
        if isinstance(content, str):
            check_file(content)  # opening a pipe would wait for ever
        with open(content, "rb") if isinstance(content, str) else io.BytesIO(content) as file:
            size = jpeg_size(file.read(HEAD_BYTES))
            if size is not None:
                return size
            file.seek(0)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # that a picture is large; reading it says so again
                with Image.open(file) as picture:
                    return picture.size
    except (*DAMAGED, Image.DecompressionBombError):
        return 0, 0


def jpeg_size(head: bytes) -> tuple[int, int] | None:
    """Width and height, pixels, in the first bytes of a JPEG; None if they do not hold them, or are those of another format."""
    if not head.startswith(b"\xff\xd8\xff"):
        return None
    at = 2
    while at + 9 <= len(head) and head[at] == 0xFF:
        marker = head[at + 1]
        if marker in FRAMES:
            height, width = struct.unpack_from(">HH", head, at + 5)
            return (width, height) if height else None  # 0: a later segment has it
        if marker in ENDS:
            return None
        at += 1 if marker == PADDING else 2 + int.from_bytes(head[at + 2 : at + 4])
    return None

"""Read a picture's file; addresses and other texts that are not paths are refused."""

import os
import re
import stat

from personsearch.errors import ImageError
from personsearch.images.limits import SMALLER, max_pixels

# Bytes of a file for each pixel allowed: above four channels of 16 bits.
MAX_BYTES_PER_PIXEL = 8
FEWEST_MAX_BYTES = 256 * 2**20
_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")
_BASE64 = re.compile(r"[A-Za-z0-9+/_\s-]+=*\s*")


def refuse_address(text: str, *, stores: bool = False) -> None:
    """Refuse an address, or the content of a picture as text, that was passed as a path; the message does not repeat the content.

    Args:
        text: What was passed as a path.
        stores: Whether an address of an object store is allowed, where a gallery can be.

    Raises:
        ImageError: The text is an address such as https://... or rtsp://..., a data: address, or base64.
    """
    scheme = _ADDRESS.match(text)
    if text[:5].lower() == "data:":
        raise ImageError("a data: address is not a path; pass its bytes: base64.b64decode(text.partition(',')[2])")
    if scheme is not None and scheme[1].lower() in ("rtsp", "rtsps", "rtmp", "rtmps", "rtp", "udp", "srt", "mms"):
        raise ImageError(f"{_short(text)} is a live stream, not a path; pass a generator of its frames (docs/videos.md)")
    if scheme is not None and scheme[1].lower() in ("http", "https", "ftp", "ftps"):
        raise ImageError(f"{_short(text)} is an address, not a path; download it first (curl -O ...) and pass the file")
    if scheme is not None and not stores:
        raise ImageError(f"{_short(text)} is an address of a kind that is not read; pass a path of this machine")
    if len(text) > 1024 and _BASE64.fullmatch(text):
        raise ImageError("the text is not a path but looks like base64; pass its bytes: base64.b64decode(text)")


def _short(text: str) -> str:
    """The start of an address, without a password and what follows a question mark."""
    plain = re.sub(r"//[^/@]*@", "//", text.partition("?")[0])
    return plain if len(plain) <= 100 else f"{plain[:97]}..."


def check_file(path: str) -> os.stat_result:
    """The status of a file.

    Raises:
        ImageError: The file is missing, a folder, or not a regular file, or its name is not valid text.
    """
    refuse_address(path)
    try:
        path.encode()
        status = os.stat(path)
    except UnicodeEncodeError as error:
        raise ImageError(f"{path!a}: its name is not valid UTF-8; rename it") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ImageError(f"{path}: cannot be read ({reason}); check the path") from error
    if stat.S_ISDIR(status.st_mode):
        raise ImageError(f"{path}: is a folder, not a picture; pass a file in it, or index the folder")
    if not stat.S_ISREG(status.st_mode):
        raise ImageError(f"{path}: is not a regular file (but a pipe or device); pass a picture")
    return status


def read_file(path: str) -> bytes:
    """The bytes of a picture's file.

    Raises:
        ImageError: The file is missing, too large, not a regular file, or cannot be read.
    """
    status = check_file(path)
    if status.st_size > max(MAX_BYTES_PER_PIXEL * max_pixels(), FEWEST_MAX_BYTES):
        raise ImageError(f"{path}: has {status.st_size} bytes, too many for a picture of {max_pixels()} pixels; {SMALLER}")
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise ImageError(f"{path}: cannot be read ({error.strerror}); check its permissions") from error
    except MemoryError as error:
        raise ImageError(f"{path}: needs more memory than is free ({status.st_size} bytes); save it in a smaller size") from error

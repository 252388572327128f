"""Load pictures: a path, bytes, a file object, a PIL picture or an array becomes an upright RGB uint8 array."""

import io
import os
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO, TypeAlias

import numpy as np
from numpy.typing import NDArray

from personsearch.boxes import Array
from personsearch.errors import ImageError, MissingExtraError
from personsearch.images import limits
from personsearch.images.limits import check_size, max_pixels, max_seconds, too_slow
from personsearch.images.paths import read_file
from personsearch.images.pixels import DAMAGED, fast_jpeg, pixels_of

if TYPE_CHECKING:
    from PIL import Image
    from PIL.ImageFile import ImageFile

ImageInput: TypeAlias = "str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO | Image.Image | NDArray[np.uint8]"

# The allowed formats of Pillow; others run programs (EPS) or are not photos. HEIF is read by pi-heif.
FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "GIF", "TIFF", "BMP", "PPM")
# 16 scans of the largest picture: a photo has up to 12, and a JPEG of 400 scans would take a thread for half a minute.
MAX_SCANNED_PIXELS = 16
HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")

_clock = threading.local()  # `end`: processor time of this thread at which the present picture has taken too long


def load(image: ImageInput) -> Array:
    """The picture upright (by its EXIF tag), as RGB uint8 (H, W, 3), C-contiguous and writable.

    An animation gives its first frame, grey becomes three equal channels, 16 bits are scaled to 8, and transparent
    parts become white so that hidden colours have no effect. Colour profiles are not applied (the papers' networks
    were trained without them).

    Args:
        image: A path, the bytes of a file (also `bytearray` or `memoryview`), a file object opened for reading bytes, a PIL
            picture, or a uint8 array (H, W, 3), (H, W, 1) or (H, W). An array that already has the right form is returned
            without a copy.

    Raises:
        ImageError: The file is missing, not a picture, damaged or cut off, smaller than `MIN_SIDE` or larger than
            `max_pixels()`, its decoding would take too long or too much memory, or the array has another shape or dtype.
    """
    if isinstance(image, str | os.PathLike):
        return load_bytes(read_file(os.fsdecode(image)), os.fsdecode(image))
    content = file_bytes(image)
    if content is not None:
        return load_bytes(content, f"picture of {len(content)} bytes")
    if isinstance(image, np.ndarray):
        return _from_array(image)
    from PIL import Image

    if not isinstance(image, Image.Image):
        raise ImageError(f"an image is a path, bytes, a file object, a PIL picture or a uint8 array (H, W, 3); got {type(image).__name__}")
    name = f"PIL picture {getattr(image, 'filename', '')}".rstrip()
    check_size(*image.size, name)
    with decoding(name):
        return pixels_of(image, name)


def file_bytes(content: Any) -> bytes | None:
    """The bytes of `bytes`, `bytearray`, `memoryview` or a file object, read from its start; None for anything else.

    Raises:
        ImageError: The file object is closed, cannot be read, or was opened as text.
    """
    if isinstance(content, bytes | bytearray | memoryview):
        return bytes(content)
    if not hasattr(content, "read"):
        return None
    try:
        if content.seekable():
            content.seek(0)
        data = content.read()
    except (AttributeError, OSError, ValueError) as error:
        raise ImageError(f"the file object cannot be read ({error}); open it again with open(path, 'rb')") from error
    if not isinstance(data, bytes):
        raise ImageError("the file object was opened as text; open it with open(path, 'rb')")
    return data


def load_bytes(data: bytes, name: str) -> Array:
    """The picture in a file's bytes, as `load` gives it; errors call it `name`."""
    with opened_picture(data, name) as picture, decoding(name):
        pixels = fast_jpeg(picture, data)
        return pixels_of(picture, name) if pixels is None else pixels


@contextmanager
def opened_picture(content: str | bytes, name: str) -> "Iterator[ImageFile]":
    """A file, or the bytes of one, as a PIL picture that is not decoded yet.

    Raises:
        ImageError: It is not a picture in one of `FORMATS`, or too small or large.
    """
    data = read_file(content) if isinstance(content, str) else content
    if not data:
        raise ImageError(f"{name}: is empty (0 bytes); copy it again or remove it")
    with decoding(name):
        picture = _identified(_without_texts(data), name)
    with picture:
        check_size(*picture.size, name)
        _check_scans(picture, data, name)
        yield picture


def _identified(data: bytes, name: str) -> "ImageFile":
    """The picture by its first bytes, as `Image.open` finds it; `max_pixels` replaces Pillow's own limit and warning."""
    from PIL import Image, UnidentifiedImageError

    Image.init()
    for kind in FORMATS:
        if kind not in Image.OPEN:  # this Pillow was built without it
            continue
        factory, accept = Image.OPEN[kind]
        if accept is None or accept(data[:16]) is True:
            try:
                return factory(_TimedFile(data), "")
            except (SyntaxError, IndexError, TypeError, struct.error):  # as in Image.open: another format may fit
                continue
    if data[4:8] == b"ftyp" and data[8:12] in HEIF_BRANDS:
        from pi_heif import HeifImageFile

        heif: ImageFile = HeifImageFile(_TimedFile(data), "")
        return heif
    if data[4:8] == b"ftyp" or data[8:12] == b"AVI " or data.startswith(b"\x1aE\xdf\xa3"):
        raise ImageError(f"{name}: is a video, not a picture; index it, or take a frame of it: Query(path, time=12.4)")
    raise UnidentifiedImageError


def _without_texts(data: bytes) -> bytes:
    """A PNG without its text, which Pillow limits to 1 MB although it has no effect on the pixels; short XMP can hold the orientation."""
    if not data.startswith(b"\x89PNG\r\n\x1a\n"):
        return data
    parts, start, at = [], 0, 8
    while at + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        end = at + 12 + length
        is_xmp = kind == b"iTXt" and length < 2**19 and data.startswith(b"XML:com.adobe.xmp\0\0", at + 8)
        if kind in (b"tEXt", b"zTXt", b"iTXt") and not is_xmp:
            parts.append(data[start:at])
            start = end
        at = end
    return b"".join([*parts, data[start:]]) if parts else data


def _check_scans(picture: "Image.Image", data: bytes, name: str) -> None:
    """Refuse a progressive JPEG that is decoded again and again, scan by scan."""
    if picture.format not in ("JPEG", "MPO") or not picture.info.get("progressive"):
        return
    scans = data.count(b"\xff\xda")
    if scans * picture.width * picture.height > MAX_SCANNED_PIXELS * max(max_pixels(), limits.MAX_PIXELS):
        raise ImageError(f"{name}: is a JPEG of {scans} scans, which would take too long; save it again as a JPEG")


class _TimedFile(io.BytesIO):
    """The bytes of a picture; reading them ends decoding that takes too long."""

    def read(self, size: int | None = -1, /) -> bytes:
        end = getattr(_clock, "end", None)
        if end is not None and time.thread_time() > end:
            raise _TooSlowError(too_slow(max_seconds()))
        return super().read(size)


class _TooSlowError(Exception):
    """Not one of the errors that Pillow takes for damage and passes over."""


@contextmanager
def decoding(name: str) -> Iterator[None]:
    """Turn the errors of Pillow and pi-heif, a lack of memory and of time, into an ImageError that names the picture."""
    from PIL import Image, UnidentifiedImageError

    before = getattr(_clock, "end", None)
    _clock.end = time.thread_time() + max_seconds()
    try:
        yield
    except (ImageError, MissingExtraError):
        raise
    except _TooSlowError as error:
        raise ImageError(f"{name}: {error}") from None
    except UnidentifiedImageError as error:
        kinds = ", ".join((*FORMATS, "HEIC"))
        raise ImageError(f"{name}: is not a picture in a known format, or its start is damaged; save it as one of {kinds}") from error
    except ImportError as error:
        raise ImageError(f"{name}: is a HEIC photo, and pi-heif is not installed; run: pip install pi-heif") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageError(f"{name}: has too many pixels ({error}); save it in a smaller size") from error
    except MemoryError as error:
        raise ImageError(f"{name}: needs more memory than is free; save it in a smaller size, or index with fewer workers") from error
    except DAMAGED as error:
        raise ImageError(f"{name}: cannot be decoded ({error}); it is damaged or cut off, copy it again or remove it") from error
    finally:
        _clock.end = before


def _from_array(array: Array) -> Array:
    if array.dtype != np.uint8:
        scale = "(array * 255).round()" if array.dtype.kind == "f" and array.size and array.max() <= 1 else "array.clip(0, 255)"
        raise ImageError(f"an array must be uint8 RGB, 0..255; got {array.dtype}; convert it with {scale}.astype('uint8')")
    grey = array.ndim == 2 or (array.ndim == 3 and array.shape[2] == 1)
    if not grey and (array.ndim != 3 or array.shape[2] != 3):
        raise ImageError(f"an array must have shape (H, W, 3) or (H, W); got {array.shape}; {_shape_advice(array)}")
    check_size(array.shape[1], array.shape[0], f"array of shape {array.shape}")
    rgb = np.repeat(array.reshape(*array.shape[:2], 1), 3, axis=2) if grey else array
    return np.require(rgb, requirements=["C", "W"])


def _shape_advice(array: Array) -> str:
    """What to do with an array of a wrong shape."""
    if array.ndim == 4:
        return "pass several pictures as list(array)"
    if array.ndim == 3 and array.shape[0] in (1, 3, 4):
        return "move the channels to the end with array.transpose(1, 2, 0)"
    if array.ndim == 3 and array.shape[2] == 4:
        return "drop alpha with array[:, :, :3]"
    return "pass red, green and blue of each pixel"

"""Load pictures: a path, bytes, a PIL picture or an array becomes an upright RGB uint8 array."""

import io
import os
import stat
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from personsearch.boxes import Array
from personsearch.errors import ImageError

if TYPE_CHECKING:
    from PIL import Image

ImageInput: TypeAlias = "str | os.PathLike[str] | bytes | Image.Image | NDArray[np.uint8]"

# Smaller pictures are tracking pixels and icons, and the first layers of the networks halve a side three times.
MIN_SIDE = 8
# Pillow's limit for decompression bombs: above it Pillow warns, above twice that it refuses.
# A picture of this size takes 270 MB as RGB, in every decoding thread.
MAX_PIXELS = 89_478_485
# The allowed formats of Pillow; others run programs (EPS) or are not photos.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "PPM")
BATCH = 8  # images decoded, and passed through a network, at once
JPEG_END = b"\xff\xd9"
EXIF_ORIENTATION = 0x112
# EXIF orientation -> OpenCV's flip code (1 left-right, 0 up-down, -1 both); 5 to 8 are transposed first
FLIPS = {2: 1, 3: -1, 4: 0, 5: None, 6: 1, 7: -1, 8: 0}
# Errors that Pillow raises on damaged bytes, besides its own classes
DAMAGED = (OSError, SyntaxError, ValueError, TypeError, IndexError, EOFError, struct.error)


def load(image: ImageInput) -> Array:
    """The picture upright (by its EXIF tag), as RGB uint8 (H, W, 3), C-contiguous and writable.

    An animation gives its first frame, grey becomes three equal channels, 16 bits are scaled to 8, and transparent
    parts become white so that hidden colours have no effect. Colour profiles are not applied (the papers' networks
    were trained without them).

    Args:
        image: A path, the bytes of a file, a PIL picture, or a uint8 array (H, W, 3), (H, W, 1) or (H, W). An array that
            already has the right form is returned without a copy.

    Raises:
        ImageError: The file is missing, not a picture, damaged or cut off, smaller than `MIN_SIDE` or larger than
            `MAX_PIXELS`, or the array has another shape or dtype.
    """
    if isinstance(image, str | os.PathLike):
        return load_bytes(_read(os.fsdecode(image)), os.fsdecode(image))
    if isinstance(image, bytes):
        return load_bytes(image, f"picture of {len(image)} bytes")
    if isinstance(image, np.ndarray):
        return _from_array(image)
    from PIL import Image

    if not isinstance(image, Image.Image):
        raise ImageError(f"an image is a path, bytes, a PIL picture or a uint8 array (H, W, 3); got {type(image).__name__}")
    name = f"PIL picture {getattr(image, 'filename', '')}".rstrip()
    _check_size(*image.size, name)
    with _decoding(name):
        return _from_pil(image, name)


def load_in_batches(items: Sequence[ImageInput], size: int = BATCH) -> Iterator[list[Array]]:
    """Decoded images, at most `size` in memory at a time, in the order of the items.

    Raises:
        ImageError: an image cannot be read; the batches before it have been given.
    """
    for start in range(0, len(items), size):
        yield [load(item) for item in items[start : start + size]]


def load_bytes(data: bytes, name: str) -> Array:
    """The picture in a file's bytes, as `load` gives it; errors call it `name`."""
    from PIL import Image

    if not data:
        raise ImageError(f"{name}: is empty (0 bytes); copy it again or remove it")
    with _decoding(name), Image.open(io.BytesIO(data), formats=FORMATS) as picture:
        _check_size(*picture.size, name)
        pixels = _fast_jpeg(picture, data)
        return _from_pil(picture, name) if pixels is None else pixels


def check_file(path: str) -> os.stat_result:
    """The status of a file.

    Raises:
        ImageError: The file is missing, a folder, or not a regular file, or its name is not valid text.
    """
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


def _read(path: str) -> bytes:
    check_file(path)
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise ImageError(f"{path}: cannot be read ({error.strerror}); check its permissions") from error


@contextmanager
def _decoding(name: str) -> Iterator[None]:
    """Turn Pillow's errors into an ImageError that names the picture."""
    from PIL import Image, UnidentifiedImageError

    try:
        yield
    except ImageError:
        raise
    except UnidentifiedImageError as error:
        kinds = ", ".join(FORMATS)
        raise ImageError(f"{name}: is not a picture in a known format, or its start is damaged; save it as one of {kinds}") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageError(f"{name}: has more than {MAX_PIXELS} pixels ({error}); save it in a smaller size") from error
    except DAMAGED as error:
        raise ImageError(f"{name}: cannot be decoded ({error}); it is damaged or cut off, copy it again or remove it") from error


def _check_size(width: int, height: int, name: str) -> None:
    if min(width, height) < MIN_SIDE:
        raise ImageError(f"{name}: is {width} x {height} pixels, too small to show a person; both sides need at least {MIN_SIDE}")
    if width * height > MAX_PIXELS:
        raise ImageError(f"{name}: is {width} x {height}, more than {MAX_PIXELS} pixels; save it in a smaller size")


def _fast_jpeg(picture: "Image.Image", data: bytes) -> Array | None:
    """Decode an ordinary, complete JPEG with OpenCV, in half of Pillow's time with the same result; None if Pillow must do it.

    OpenCV 4 fills in missing parts without an error, so the end marker must exist.
    """
    if picture.format not in ("JPEG", "MPO") or picture.mode not in ("RGB", "L") or not data.endswith(JPEG_END):
        return None
    import cv2

    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    if pixels is None or pixels.shape[:2] != (picture.height, picture.width):
        return None
    return _upright(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), _orientation(picture))


def _from_pil(picture: "Image.Image", name: str) -> Array:
    picture.load()  # turns a TIFF upright and drops its tag
    orientation = _orientation(picture)
    if picture.mode.startswith("I;16"):  # Pillow's conversion would clip at 255; for 16-bit colour it keeps the high byte too
        grey = (np.asarray(picture) >> 8).astype(np.uint8)
        return _upright(np.repeat(grey[:, :, None], 3, axis=2), orientation)
    if picture.mode in ("I", "F"):
        raise ImageError(f"{name}: has 32-bit pixels, whose value of white is unknown; save it with 8 or 16 bits per channel")
    return _upright(np.array(_without_alpha(_as_stored(picture)).convert("RGB")), orientation)


def _as_stored(picture: "Image.Image") -> "Image.Image":
    """Undo Pillow's inversion of CMYK JPEGs not written by Adobe; only Adobe stores them inverted."""
    from PIL import ImageChops

    if picture.mode == "CMYK" and picture.format == "JPEG" and "adobe" not in picture.info:
        return ImageChops.invert(picture)
    return picture


def _without_alpha(picture: "Image.Image") -> "Image.Image":
    """The picture on a white background."""
    from PIL import Image

    if not picture.has_transparency_data:
        return picture
    page = Image.new("RGBA", picture.size, "white")
    page.alpha_composite(picture.convert("RGBA"))
    return page


def _orientation(picture: "Image.Image") -> int:
    """EXIF orientation, 1 = upright; also 1 if the EXIF data is damaged."""
    try:
        orientation = picture.getexif().get(EXIF_ORIENTATION, 1)
    except DAMAGED:
        return 1
    return orientation if orientation in FLIPS else 1


def _upright(pixels: Array, orientation: int) -> Array:
    if orientation == 1:
        return pixels
    import cv2

    turned: Array = cv2.transpose(pixels) if orientation >= 5 else pixels
    flip = FLIPS[orientation]
    return turned if flip is None else cv2.flip(turned, flip)


def _from_array(array: Array) -> Array:
    if array.dtype != np.uint8:
        raise ImageError(f"an array must be uint8 RGB, 0..255; got {array.dtype}; convert it with (array * scale).astype('uint8')")
    grey = array.ndim == 2 or (array.ndim == 3 and array.shape[2] == 1)
    if not grey and (array.ndim != 3 or array.shape[2] != 3):
        raise ImageError(f"an array must have shape (H, W, 3) or (H, W); got {array.shape}; drop alpha with array[:, :, :3]")
    _check_size(array.shape[1], array.shape[0], f"array of shape {array.shape}")
    rgb = np.repeat(array.reshape(*array.shape[:2], 1), 3, axis=2) if grey else array
    return np.require(rgb, requirements=["C", "W"])

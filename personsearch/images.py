"""Pictures in: a path, bytes, a PIL picture or an array becomes an upright RGB uint8 array, or an error that says why not."""

import io
import os
import stat
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from personsearch.boxes import Array
from personsearch.errors import ImageError

if TYPE_CHECKING:
    from PIL import Image

ImageInput: TypeAlias = "str | os.PathLike[str] | bytes | Image.Image | NDArray[np.uint8]"

# Smaller pictures are tracking pixels and icons; the networks' first layers alone halve a side three times.
MIN_SIDE = 8
# Pillow's own limit for a header that lies about its size: above it Pillow warns, above twice that it refuses.
# Such a picture takes 270 MB as RGB, in every decoding thread.
MAX_PIXELS = 89_478_485
# Only these of Pillow's formats: others run programs (EPS) or are not photos.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "PPM")
JPEG_END = b"\xff\xd9"
EXIF_ORIENTATION = 0x112
# EXIF orientation -> OpenCV's flip code (1 left-right, 0 up-down, -1 both), after a transposition from 5 on
FLIPS = {2: 1, 3: -1, 4: 0, 5: None, 6: 1, 7: -1, 8: 0}
# what Pillow raises on damaged bytes, besides its own errors
DAMAGED = (OSError, SyntaxError, ValueError, TypeError, IndexError, EOFError, struct.error)


def load(image: ImageInput) -> Array:
    """The picture as people see it: upright (EXIF), RGB uint8 (H, W, 3), C-contiguous and writable.

    Of an animation the first frame; grey becomes three equal channels; 16 bits are scaled to 8; what is
    transparent shows white, so that hidden colours play no part. Colour profiles are not applied (the papers'
    networks were trained without).

    Args:
        image: a path, the bytes of a file, a PIL picture, or a uint8 array (H, W, 3), (H, W, 1) or (H, W);
            an array that fits already is returned as it is, not copied.

    Raises:
        ImageError: missing, no picture, damaged or cut off, smaller than `MIN_SIDE` or larger than `MAX_PIXELS`,
            or an array of another shape or dtype.
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


def load_bytes(data: bytes, name: str) -> Array:
    """The picture in a file's bytes, as `load` gives it; `name` is what errors call it."""
    from PIL import Image

    if not data:
        raise ImageError(f"{name}: is empty (0 bytes); copy it again or leave it out")
    with _decoding(name), Image.open(io.BytesIO(data), formats=FORMATS) as picture:
        _check_size(*picture.size, name)
        pixels = _fast_jpeg(picture, data)
        return _from_pil(picture, name) if pixels is None else pixels


def check_file(path: str) -> os.stat_result:
    """The file's stat.

    Raises:
        ImageError: missing, a folder, no regular file, or a name that is not text.
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
        raise ImageError(f"{path}: is a folder, not a picture; name a file in it, or index the folder")
    if not stat.S_ISREG(status.st_mode):
        raise ImageError(f"{path}: is not a regular file (a pipe or device); name a picture")
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
    """Turn what Pillow raises into an ImageError that names the picture."""
    from PIL import Image, UnidentifiedImageError

    try:
        yield
    except ImageError:
        raise
    except UnidentifiedImageError as error:
        kinds = ", ".join(FORMATS)
        raise ImageError(f"{name}: is no picture that can be read, or its start is damaged; save it as one of {kinds}") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageError(f"{name}: has more than {MAX_PIXELS} pixels ({error}); save it smaller") from error
    except DAMAGED as error:
        raise ImageError(f"{name}: cannot be decoded ({error}); it is damaged or cut off, copy it again or leave it out") from error


def _check_size(width: int, height: int, name: str) -> None:
    if min(width, height) < MIN_SIDE:
        raise ImageError(f"{name}: is {width} x {height} pixels, too small to show a person; both sides need at least {MIN_SIDE}")
    if width * height > MAX_PIXELS:
        raise ImageError(f"{name}: is {width} x {height}, more than {MAX_PIXELS} pixels; save it smaller")


def _fast_jpeg(picture: "Image.Image", data: bytes) -> Array | None:
    """An ordinary complete JPEG through OpenCV, the same picture in half Pillow's time; None: leave it to Pillow.

    OpenCV 4 fills what is cut off and says nothing, so the end marker must be there.
    """
    if picture.format not in ("JPEG", "MPO") or picture.mode not in ("RGB", "L") or not data.endswith(JPEG_END):
        return None
    import cv2

    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    if pixels is None or pixels.shape[:2] != (picture.height, picture.width):
        return None
    return _upright(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), _orientation(picture))


def _from_pil(picture: "Image.Image", name: str) -> Array:
    picture.load()  # a TIFF turns itself upright here and drops its tag
    orientation = _orientation(picture)
    if picture.mode.startswith("I;16"):  # Pillow's own conversion would clip at 255; its 16-bit colour keeps the high byte too
        grey = (np.asarray(picture) >> 8).astype(np.uint8)
        return _upright(np.repeat(grey[:, :, None], 3, axis=2), orientation)
    if picture.mode in ("I", "F"):
        raise ImageError(f"{name}: has 32-bit pixels, which do not say what is white; save it with 8 or 16 bits a channel")
    return _upright(np.array(_without_alpha(_as_stored(picture)).convert("RGB")), orientation)


def _as_stored(picture: "Image.Image") -> "Image.Image":
    """Undo Pillow's inversion of a CMYK JPEG that Adobe did not write: only Adobe stores them inverted."""
    from PIL import ImageChops

    if picture.mode == "CMYK" and picture.format == "JPEG" and "adobe" not in picture.info:
        return ImageChops.invert(picture)
    return picture


def _without_alpha(picture: "Image.Image") -> "Image.Image":
    """The picture on white, as a page shows it."""
    from PIL import Image

    if not picture.has_transparency_data:
        return picture
    page = Image.new("RGBA", picture.size, "white")
    page.alpha_composite(picture.convert("RGBA"))
    return page


def _orientation(picture: "Image.Image") -> int:
    """EXIF orientation, 1 = upright; damaged EXIF data do not make a picture unreadable."""
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
        raise ImageError(f"an array must be uint8 RGB, 0..255; got {array.dtype}; convert with (array * scale).astype('uint8')")
    grey = array.ndim == 2 or (array.ndim == 3 and array.shape[2] == 1)
    if not grey and (array.ndim != 3 or array.shape[2] != 3):
        raise ImageError(f"an array must have shape (H, W, 3) or (H, W); got {array.shape}; drop alpha with array[:, :, :3]")
    _check_size(array.shape[1], array.shape[0], f"array of shape {array.shape}")
    rgb = np.repeat(array.reshape(*array.shape[:2], 1), 3, axis=2) if grey else array
    return np.require(rgb, requirements=["C", "W"])

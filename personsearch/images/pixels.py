"""Pixels of a decoded picture: upright, RGB, on white."""

import struct
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from personsearch.boxes import Array
from personsearch.errors import ImageError, MissingExtraError

if TYPE_CHECKING:
    from PIL import Image

STRIP_PIXELS = 2**18  # converted at once
# A JPEG of more bytes, for each pixel and besides, is mostly padding: a third of a second for each megabyte, and libjpeg cannot be
# stopped from reading.
MAX_JPEG_BYTES_PER_PIXEL = 6
MAX_OTHER_JPEG_BYTES = 32 * 2**20
# Of libjpeg: they say nothing about the pixels
HARMLESS_WARNINGS = ("Invalid SOS parameters", "unknown JFIF revision", "bad ICC marker", "Unknown Adobe color transform")
EXIF_ORIENTATION = 0x112
# EXIF orientation -> OpenCV's flip code (1 left-right, 0 up-down, -1 both); 5 to 8 are transposed first
FLIPS = {2: 1, 3: -1, 4: 0, 5: None, 6: 1, 7: -1, 8: 0}
# Errors that Pillow raises on damaged bytes, besides its own classes
DAMAGED = (OSError, SyntaxError, ValueError, TypeError, IndexError, EOFError, struct.error)


def opencv() -> ModuleType:
    """The module cv2.

    Raises:
        MissingExtraError: It is not installed, or a library of the system that it needs is missing.
    """
    try:
        import cv2
    except ImportError as error:
        raise MissingExtraError(
            f"OpenCV cannot be loaded ({error}); install the system's library (Debian, Ubuntu: apt install libgl1 libglib2.0-0), or "
            "the OpenCV that needs no display: pip uninstall opencv-python; pip install opencv-python-headless"
        ) from error
    return cv2


def fast_jpeg(picture: "Image.Image", data: bytes) -> Array | None:
    """Decode an ordinary JPEG with libjpeg-turbo, in less than half of Pillow's time with the same result; None if Pillow must do it.

    Raises:
        ValueError: Pixels are missing or damaged, and libjpeg made them up. OpenCV does not say so, and Pillow not always.
    """
    if picture.format not in ("JPEG", "MPO") or picture.mode not in ("RGB", "L", "CMYK"):
        return None
    if len(data) > MAX_JPEG_BYTES_PER_PIXEL * picture.width * picture.height + MAX_OTHER_JPEG_BYTES:
        return None
    pixels = _whole_jpeg(data, "CMYK" if picture.mode == "CMYK" else "RGB")
    if pixels is None or pixels.shape != (picture.height, picture.width, 3):  # Pillow knows which CMYK is inverted
        return None
    return _upright(pixels, _orientation(picture))


def _whole_jpeg(data: bytes, colours: str) -> Array | None:
    """The pixels (H, W, 3 or 4) of a JPEG without damage; None if it is of a kind that libjpeg-turbo does not know."""
    try:
        import simplejpeg
    except ImportError as error:
        raise MissingExtraError(f"JPEGs need simplejpeg, which cannot be loaded ({error}); run: pip install simplejpeg") from error
    try:
        pixels: Array = simplejpeg.decode_jpeg(data, colours)
    except ValueError as error:
        try:
            pixels = simplejpeg.decode_jpeg(data, colours, strict=False)
        except ValueError:
            return None
        if not any(words in str(error) for words in HARMLESS_WARNINGS):
            raise
    return pixels


def pixels_of(picture: "Image.Image", name: str) -> Array:
    """The pixels of a PIL picture at its present frame, as `load` gives them; call it within `decoding`."""
    picture.load()  # turns a TIFF upright and drops its tag
    orientation = _orientation(picture)
    if picture.mode.startswith("I;16"):  # Pillow's conversion would clip at 255; for 16-bit colour it keeps the high byte too
        grey = (np.asarray(picture) >> 8).astype(np.uint8)
        return _upright(np.repeat(grey[:, :, None], 3, axis=2), orientation)
    if picture.mode in ("I", "F"):
        raise ImageError(f"{name}: has 32-bit pixels, whose value of white is unknown; save it with 8 or 16 bits per channel")
    return _upright(_rgb(_as_stored(picture)), orientation)


def _rgb(picture: "Image.Image") -> Array:
    """The pixels on white as RGB, converted in strips: Pillow's copies of a whole large picture would take four times its size."""
    pixels = np.empty((picture.height, picture.width, 3), np.uint8)
    rows = max(1, STRIP_PIXELS // picture.width)
    for top in range(0, picture.height, rows):
        strip = picture.crop((0, top, picture.width, min(top + rows, picture.height)))
        pixels[top : top + strip.height] = np.asarray(_without_alpha(strip).convert("RGB"))
    return pixels


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
    cv2 = opencv()
    turned: Array = cv2.transpose(pixels) if orientation >= 5 else pixels
    flip = FLIPS[orientation]
    flipped: Array = turned if flip is None else cv2.flip(turned, flip)
    return flipped

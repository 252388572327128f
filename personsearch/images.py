"""Load pictures: a path, bytes, a file object, a PIL picture or an array becomes an upright RGB uint8 array."""

import io
import os
import re
import stat
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import TYPE_CHECKING, Any, BinaryIO, TypeAlias

import numpy as np
from numpy.typing import NDArray

from personsearch.boxes import Array
from personsearch.errors import ConfigError, ImageError, MissingExtraError

if TYPE_CHECKING:
    from PIL import Image
    from PIL.ImageFile import ImageFile

ImageInput: TypeAlias = "str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO | Image.Image | NDArray[np.uint8]"

# Smaller pictures are tracking pixels and icons, and the first layers of the networks halve a side three times.
MIN_SIDE = 8
# Pillow's limit for decompression bombs. A picture of this size takes 270 MB as RGB, in every decoding thread.
MAX_PIXELS = 89_478_485
MAX_PIXELS_VARIABLE = "PERSONSEARCH_MAX_PIXELS"
# The allowed formats of Pillow; others run programs (EPS) or are not photos. HEIF is read by pi-heif.
FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "GIF", "TIFF", "BMP", "PPM")
# 16 scans of the largest picture: a photo has up to 12, and a JPEG of 400 scans would take a thread for half a minute.
MAX_SCANNED_PIXELS = 16
# Bytes of a file for each pixel allowed: above four channels of 16 bits.
MAX_BYTES_PER_PIXEL = 8
FEWEST_MAX_BYTES = 256 * 2**20
_SMALLER = f"save it in a smaller size, or allow more with the environment variable {MAX_PIXELS_VARIABLE}"
HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
BATCH = 8  # images decoded, and passed through a network, at once
STRIP_ROWS = 1024  # rows of a picture that are converted at once
JPEG_END = b"\xff\xd9"
EXIF_ORIENTATION = 0x112
# EXIF orientation -> OpenCV's flip code (1 left-right, 0 up-down, -1 both); 5 to 8 are transposed first
FLIPS = {2: 1, 3: -1, 4: 0, 5: None, 6: 1, 7: -1, 8: 0}
_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")
_BASE64 = re.compile(r"[A-Za-z0-9+/_\s-]+=*\s*")
# Errors that Pillow raises on damaged bytes, besides its own classes
DAMAGED = (OSError, SyntaxError, ValueError, TypeError, IndexError, EOFError, struct.error)


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
        return load_bytes(_read(os.fsdecode(image)), os.fsdecode(image))
    content = file_bytes(image)
    if content is not None:
        return load_bytes(content, f"picture of {len(content)} bytes")
    if isinstance(image, np.ndarray):
        return _from_array(image)
    from PIL import Image

    if not isinstance(image, Image.Image):
        raise ImageError(f"an image is a path, bytes, a file object, a PIL picture or a uint8 array (H, W, 3); got {type(image).__name__}")
    name = f"PIL picture {getattr(image, 'filename', '')}".rstrip()
    _check_size(*image.size, name)
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


def max_pixels() -> int:
    """Largest number of pixels of a picture or video frame: `MAX_PIXELS`, or the environment variable PERSONSEARCH_MAX_PIXELS.

    Raises:
        ConfigError: The variable is not a number of pixels.
    """
    text = os.environ.get(MAX_PIXELS_VARIABLE, "").strip()
    if not text:
        return MAX_PIXELS
    digits = text.replace("_", "")
    if not (digits.isascii() and digits.isdigit()) or int(digits) < MIN_SIDE**2:
        raise ConfigError(f"{MAX_PIXELS_VARIABLE} must be a number of pixels, such as 200_000_000, got {text!r:.80}")
    return int(digits)


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


def load_bytes(data: bytes, name: str) -> Array:
    """The picture in a file's bytes, as `load` gives it; errors call it `name`."""
    with opened_picture(data, name) as picture, decoding(name):
        pixels = _fast_jpeg(picture, data)
        return pixels_of(picture, name) if pixels is None else pixels


@contextmanager
def opened_picture(content: str | bytes, name: str) -> "Iterator[ImageFile]":
    """A file, or the bytes of one, as a PIL picture that is not decoded yet.

    Raises:
        ImageError: It is not a picture in one of `FORMATS`, or too small or large.
    """
    data = _read(content) if isinstance(content, str) else content
    if not data:
        raise ImageError(f"{name}: is empty (0 bytes); copy it again or remove it")
    with decoding(name):
        picture = _identified(_without_texts(data), name)
    with picture:
        _check_size(*picture.size, name)
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
                return factory(io.BytesIO(data), "")
            except (SyntaxError, IndexError, TypeError, struct.error):  # as in Image.open: another format may fit
                continue
    if data[4:8] == b"ftyp" and data[8:12] in HEIF_BRANDS:
        from pi_heif import HeifImageFile

        heif: ImageFile = HeifImageFile(io.BytesIO(data), "")
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
    if scans * picture.width * picture.height > MAX_SCANNED_PIXELS * max(max_pixels(), MAX_PIXELS):
        raise ImageError(f"{name}: is a JPEG of {scans} scans, which would take too long; save it again as a JPEG")


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


def _read(path: str) -> bytes:
    status = check_file(path)
    if status.st_size > max(MAX_BYTES_PER_PIXEL * max_pixels(), FEWEST_MAX_BYTES):
        raise ImageError(f"{path}: has {status.st_size} bytes, too many for a picture of {max_pixels()} pixels; {_SMALLER}")
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise ImageError(f"{path}: cannot be read ({error.strerror}); check its permissions") from error
    except MemoryError as error:
        raise ImageError(f"{path}: needs more memory than is free ({status.st_size} bytes); save it in a smaller size") from error


@contextmanager
def decoding(name: str) -> Iterator[None]:
    """Turn the errors of Pillow and pi-heif, and a lack of memory, into an ImageError that names the picture."""
    from PIL import Image, UnidentifiedImageError

    try:
        yield
    except ImageError:
        raise
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


def _check_size(width: int, height: int, name: str) -> None:
    if min(width, height) < MIN_SIDE:
        raise ImageError(f"{name}: is {width} x {height} pixels, too small to show a person; both sides need at least {MIN_SIDE}")
    if width * height > max_pixels():
        raise ImageError(f"{name}: is {width} x {height}, more than {max_pixels()} pixels; {_SMALLER}")


def _fast_jpeg(picture: "Image.Image", data: bytes) -> Array | None:
    """Decode an ordinary, complete JPEG with OpenCV, in half of Pillow's time with the same result; None if Pillow must do it.

    OpenCV 4 fills in missing parts without an error, so the end marker must exist.
    """
    if picture.format not in ("JPEG", "MPO") or picture.mode not in ("RGB", "L") or not data.endswith(JPEG_END):
        return None
    cv2 = opencv()
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error:  # too many pixels for its own limit, or too little memory
        return None
    if pixels is None or pixels.shape[:2] != (picture.height, picture.width):
        return None
    return _upright(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), _orientation(picture))


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
    for top in range(0, picture.height, STRIP_ROWS):
        strip = picture.crop((0, top, picture.width, min(top + STRIP_ROWS, picture.height)))
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


def _from_array(array: Array) -> Array:
    if array.dtype != np.uint8:
        scale = "(array * 255).round()" if array.dtype.kind == "f" and array.size and array.max() <= 1 else "array.clip(0, 255)"
        raise ImageError(f"an array must be uint8 RGB, 0..255; got {array.dtype}; convert it with {scale}.astype('uint8')")
    grey = array.ndim == 2 or (array.ndim == 3 and array.shape[2] == 1)
    if not grey and (array.ndim != 3 or array.shape[2] != 3):
        raise ImageError(f"an array must have shape (H, W, 3) or (H, W); got {array.shape}; {_shape_advice(array)}")
    _check_size(array.shape[1], array.shape[0], f"array of shape {array.shape}")
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

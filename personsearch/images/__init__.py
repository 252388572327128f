"""Pictures: a path, bytes, a file object, a PIL picture or an array becomes an upright RGB uint8 array."""

from personsearch.images.header import picture_size
from personsearch.images.limits import BATCH, MAX_PIXELS, MIN_SIDE, max_pixels, max_seconds, too_slow
from personsearch.images.loading import FORMATS, ImageInput, decoding, file_bytes, load, load_bytes, opened_picture
from personsearch.images.paths import check_file, read_file, refuse_address
from personsearch.images.pixels import DAMAGED, opencv, pixels_of

__all__ = [
    "BATCH",
    "DAMAGED",
    "FORMATS",
    "MAX_PIXELS",
    "MIN_SIDE",
    "ImageInput",
    "check_file",
    "decoding",
    "file_bytes",
    "load",
    "load_bytes",
    "max_pixels",
    "max_seconds",
    "opencv",
    "opened_picture",
    "picture_size",
    "pixels_of",
    "read_file",
    "refuse_address",
    "too_slow",
]

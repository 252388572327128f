"""How large a picture may be, and how long its decoding may take."""

import os
import re

from personsearch.errors import ConfigError, ImageError

# Smaller pictures are tracking pixels and icons, and the first layers of the networks halve a side three times.
MIN_SIDE = 8
# Pillow's limit for decompression bombs. A picture of this size takes 270 MB as RGB, in every decoding thread.
MAX_PIXELS = 89_478_485
MAX_PIXELS_VARIABLE = "PERSONSEARCH_MAX_PIXELS"
# Seconds of processor time. The largest photo takes about 3; damaged or crafted files can take hours.
MAX_SECONDS = 20.0
MAX_SECONDS_VARIABLE = "PERSONSEARCH_MAX_SECONDS"
BATCH = 8  # images decoded, and passed through a network, at once
SMALLER = f"save it in a smaller size, or allow more with the environment variable {MAX_PIXELS_VARIABLE}"


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


def max_seconds() -> float:
    """Processor time that decoding one picture or frame may take: `MAX_SECONDS`, or the environment variable PERSONSEARCH_MAX_SECONDS.

    Raises:
        ConfigError: The variable is not a positive number.
    """
    text = os.environ.get(MAX_SECONDS_VARIABLE, "").strip()
    if not text:
        return MAX_SECONDS
    if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", text) or float(text) <= 0:
        raise ConfigError(f"{MAX_SECONDS_VARIABLE} must be a number of seconds, such as 60, got {text!r:.80}")
    return float(text)


def too_slow(seconds: float) -> str:
    """What to say of a picture that took this many seconds."""
    return f"takes longer than {seconds:g} s to decode; save it again as a JPEG or PNG, or allow more with {MAX_SECONDS_VARIABLE}"


def check_size(width: int, height: int, name: str) -> None:
    """Refuse a picture that is too small or too large.

    Raises:
        ImageError: A side is shorter than `MIN_SIDE`, or there are more than `max_pixels()` pixels.
    """
    if min(width, height) < MIN_SIDE:
        raise ImageError(f"{name}: is {width} x {height} pixels, too small to show a person; both sides need at least {MIN_SIDE}")
    if width * height > max_pixels():
        raise ImageError(f"{name}: is {width} x {height}, more than {max_pixels()} pixels; {SMALLER}")

"""Text in pictures: choose a font that has the letters, shorten names, and format times."""

import unicodedata
from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache
from pathlib import PurePath
from typing import TYPE_CHECKING, TypeAlias

from personsearch.hits import Hit

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont, ImageFont

    Font: TypeAlias = FreeTypeFont | ImageFont

# Fonts to try, in this order, for letters that Pillow's own font lacks (it has little beyond ASCII).
SYSTEM_FONTS = (
    "DejaVuSans.ttf",
    "NotoSans-Regular.ttf",
    "NotoSansCJK-Regular.ttc",
    "Arial Unicode.ttf",
    "arial.ttf",
    "msyh.ttc",
    "wqy-zenhei.ttc",
)
PROBABLY_NOT = "probably somebody else"
NO_GLYPH = "\uffff"  # never in a font, so it draws the font's sign for a missing letter
ELLIPSIS = "..."


def text_and_font(text: str, size: float) -> tuple[str, "Font"]:
    """The text that can be drawn, and a font for it, `size` pixels high.

    Pillow's own font if it has all letters, so that plain text looks the same on every machine; otherwise the first
    system font that has them; otherwise Pillow's font, without accents and with "?" for missing letters.
    """
    text = "".join(" " if unicodedata.category(letter) == "Zs" else letter for letter in printable(text))
    fonts = _fonts(size)
    own = next(fonts)
    if _covers(own, text):
        return text, own
    for font in fonts:
        if _covers(font, text):
            return text, font
    plain = "".join(letter for letter in unicodedata.normalize("NFKD", text) if not unicodedata.combining(letter))
    return "".join(letter if _covers(own, letter) else "?" for letter in plain), own


def printable(text: str) -> str:
    """The text with "?" for line breaks, control characters and undecodable bytes of file names."""
    return "".join(letter if letter.isprintable() or unicodedata.category(letter) == "Zs" else "?" for letter in text)


def file_name(image: str) -> str:
    """The last part of a path, or the whole text if it has no parts."""
    return PurePath(image).name or image


def shorten(text: str, size: float, width: float) -> str:
    """The text, shortened in the middle to at most `width` pixels; both ends of a file name are informative."""
    drawable, font = text_and_font(text, size)
    if font.getlength(drawable) <= width:
        return text
    for letters in range(len(text) - 1, 0, -1):
        short = text[: (letters + 1) // 2] + ELLIPSIS + text[len(text) - letters // 2 :]
        drawable, font = text_and_font(short, size)
        if font.getlength(drawable) <= width:
            return short
    return ELLIPSIS


def clock(seconds: float) -> str:
    """Seconds into a video as m:ss.s, or as h:mm:ss.s from one hour on."""
    tenths = round(seconds * 10)
    minutes, rest = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    last = f"{rest // 10:02d}.{rest % 10}"
    return f"{hours}:{minutes:02d}:{last}" if hours else f"{minutes}:{last}"


def moment(hit: Hit) -> str:
    """When a hit of a video is seen, such as "0:45.2" or "0:31.0 to 1:01.5, best at 0:45.2"; "" for a picture."""
    if hit.time is None:
        return ""
    if hit.start is None or hit.end is None or clock(hit.start) == clock(hit.end):
        return clock(hit.time)
    return f"{clock(hit.start)} to {clock(hit.end)}, best at {clock(hit.time)}"


def doubt(hit: Hit) -> str:
    """Why a hit may be somebody else: below the threshold; "" from the threshold on, or without one."""
    return f"below {hit.threshold:.3f}: {PROBABLY_NOT}" if hit.is_match is False else ""


def size_note(hit: Hit) -> str:
    """That a person has few pixels, such as "small: 41 pixels high"; "" otherwise."""
    return f"small: {int(hit.box[3] - hit.box[1])} pixels high" if hit.is_small else ""


def _fonts(size: float) -> Iterator["Font"]:
    """Pillow's own font, then the system's fonts, each opened when it is reached."""
    yield _own_font(size)
    for name in SYSTEM_FONTS:
        yield from _system_font(name, size)


@lru_cache(maxsize=64)
def _own_font(size: float) -> "Font":
    from PIL import ImageFont

    return ImageFont.load_default(size)


@lru_cache(maxsize=256)
def _system_font(name: str, size: float) -> tuple["Font", ...]:
    """The font, or an empty tuple if the system does not have it."""
    from PIL import ImageFont

    with suppress(OSError):
        return (ImageFont.truetype(name, size),)
    return ()


def _covers(font: "Font", text: str) -> bool:
    return all(_has_glyph(font, letter) for letter in set(text) - {" "})


@lru_cache(maxsize=4096)
def _has_glyph(font: "Font", letter: str) -> bool:
    drawn, missing = font.getmask(letter), font.getmask(NO_GLYPH)
    return (drawn.size, bytes(drawn)) != (missing.size, bytes(missing))

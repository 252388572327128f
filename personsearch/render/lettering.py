"""Text in pictures: a font that has the letters, names that fit, times and numbers as people read them."""

import unicodedata
from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache
from pathlib import PurePath
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont, ImageFont

    Font: TypeAlias = FreeTypeFont | ImageFont

# Tried in this order for letters that Pillow's own font lacks (it has little beyond ASCII).
SYSTEM_FONTS = (
    "DejaVuSans.ttf",
    "NotoSans-Regular.ttf",
    "NotoSansCJK-Regular.ttc",
    "Arial Unicode.ttf",
    "arial.ttf",
    "msyh.ttc",
    "wqy-zenhei.ttc",
)
NO_GLYPH = "\uffff"  # no font has a letter for it, so it draws the font's "missing" sign
ELLIPSIS = "..."


def text_and_font(text: str, size: float) -> tuple[str, "Font"]:
    """The text as it can be drawn, and a font for it, `size` pixels high.

    Pillow's own font where it has all letters, so that plain text looks the same on every machine; else the first
    system font that does; else Pillow's font, with accents dropped and what is still missing as "?".
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
    """The text with "?" for line breaks, control characters and bytes of file names that are no text."""
    return "".join(letter if letter.isprintable() or unicodedata.category(letter) == "Zs" else "?" for letter in text)


def file_name(image: str) -> str:
    """The last part of a path; the whole text where there is none."""
    return PurePath(image).name or image


def shorten(text: str, size: float, width: float) -> str:
    """The text, cut in the middle so that it is at most `width` pixels wide: both ends of a file name tell."""
    drawable, font = text_and_font(text, size)
    if font.getlength(drawable) <= width:
        return text
    for kept in range(len(text) - 1, 0, -1):
        short = text[: (kept + 1) // 2] + ELLIPSIS + text[len(text) - kept // 2 :]
        drawable, font = text_and_font(short, size)
        if font.getlength(drawable) <= width:
            return short
    return ELLIPSIS


def clock(seconds: float) -> str:
    """Seconds into a video as m:ss.s, or h:mm:ss.s from an hour on."""
    tenths = round(seconds * 10)
    minutes, rest = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    last = f"{rest // 10:02d}.{rest % 10}"
    return f"{hours}:{minutes:02d}:{last}" if hours else f"{minutes}:{last}"


def _fonts(size: float) -> Iterator["Font"]:
    """Pillow's own font, then the system's; those are opened only when asked for."""
    yield _own_font(size)
    for name in SYSTEM_FONTS:
        yield from _system_font(name, size)


@lru_cache(maxsize=64)
def _own_font(size: float) -> "Font":
    from PIL import ImageFont

    return ImageFont.load_default(size)


@lru_cache(maxsize=256)
def _system_font(name: str, size: float) -> tuple["Font", ...]:
    """The font, or nothing where the system does not have it."""
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

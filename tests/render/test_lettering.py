"""Text in pictures: times, shortened names, and letters that fonts lack."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from personsearch.render import lettering


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0:00.0"), (59.94, "0:59.9"), (59.96, "1:00.0"), (75.21, "1:15.2"), (3661, "1:01:01.0"), (7199.99, "2:00:00.0")],
)
def test_clock(seconds: float, text: str) -> None:
    assert lettering.clock(seconds) == text


def test_shorten_cuts_the_middle() -> None:
    assert lettering.shorten("a.jpg", 15, 240) == "a.jpg"
    short = lettering.shorten("holiday" * 10 + ".jpg", 15, 100)
    assert re.fullmatch(r"holiday\w*\.\.\.\w*y\.jpg", short)


@given(st.text(max_size=40), st.integers(20, 240))
def test_a_shortened_name_fits(text: str, width: int) -> None:
    drawable, font = lettering.text_and_font(lettering.shorten(text, 15, width), 15)
    assert font.getlength(drawable) <= width


def test_letters_no_font_has_are_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lettering, "SYSTEM_FONTS", ())
    assert lettering.text_and_font("Zoë 写真.jpg", 15)[0] == "Zoe ??.jpg"


def test_a_system_font_writes_letters_that_pillows_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    stranger = lettering._own_font(16)  # represents a font with all letters
    monkeypatch.setattr(lettering, "_system_font", lambda name, size: (stranger,))
    monkeypatch.setattr(lettering, "_has_glyph", lambda font, letter: font is stranger or letter.isascii())
    assert lettering.text_and_font("写真.jpg", 15) == ("写真.jpg", stranger)
    assert lettering.text_and_font("a.jpg", 15)[1] is lettering._own_font(15)

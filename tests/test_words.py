"""Prose is plain: a few phrases that slow a reader down stay rare over all code and pages."""

import re
from collections import Counter

from tests.helpers.pages import ROOT, tracked

PHRASES = ("whom", "nobody", "is no", "are no", "is told", "stands")
PATTERN = re.compile(rf"\b({'|'.join(PHRASES)})\b".replace(" ", r"\s+"), re.IGNORECASE)
FEWER_THAN = 10


def prose_of(text: str) -> str:
    """The text without its code in backticks and with the margins of comments removed, so that a phrase may cross a line."""
    return re.sub(r"\n\s*#? *", "\n", re.sub(r"`[^`\n]*`", "", text))


def phrases(text: str) -> list[str]:
    """The phrases of `PHRASES` in a text, as they are written."""
    return PATTERN.findall(prose_of(text))


def test_the_phrases_are_rare() -> None:
    files = [path for path in tracked(".py", ".md") if path != ROOT / "tests/test_words.py"]
    counts = Counter({str(path.relative_to(ROOT)): len(phrases(path.read_text(encoding="utf-8"))) for path in files})
    assert counts.total() < FEWER_THAN, counts.most_common(20)


def test_phrases_are_seen_in_any_case_and_across_lines() -> None:
    assert phrases("Nobody stands there.") == ["Nobody", "stands"]
    assert len(phrases("# there is\n    # no such file, whom")) == 2
    assert phrases("`nobody` is not a name; this_is_no_name; standstill; understands") == []

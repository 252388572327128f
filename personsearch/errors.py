"""All errors that the package raises on purpose.

The base class is `PersonSearchError`; each subclass is also a builtin exception that callers may already catch.
A message says what is wrong, what the package got, and what to do. Names of files come from other people, so control
characters, which would give orders to a terminal, are written as escapes, and very long words are shortened.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

# Control characters, line separators, marks that turn the direction of writing, and halves of characters (undecodable bytes).
_UNSHOWN = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")

_LONG_WORD = re.compile(r"\S{301,}")  # a path that is not one, but the content of a file, say


def shown(text: object, *, lines: bool = False) -> str:
    r"""Text for a log, a terminal or a message: control characters become escapes such as \x1b.

    Args:
        text: Name of a file, or anything else.
        lines: Whether to keep line ends and tabs, as in a message of several lines.
    """

    def escape(match: "re.Match[str]") -> str:
        letter = match.group()
        return letter if lines and letter in "\n\t" else letter.encode("unicode_escape").decode()

    return _UNSHOWN.sub(escape, str(text))


class PersonSearchError(Exception):
    """Base class of all errors that personsearch raises on purpose."""

    def __str__(self) -> str:
        return _LONG_WORD.sub(lambda word: f"{word[0][:100]}...{word[0][-100:]}", shown(super().__str__(), lines=True))


class ImageError(PersonSearchError, ValueError):
    """A file, bytes or an array cannot be used as a picture."""


class SourceError(PersonSearchError, FileNotFoundError):
    """A folder, glob pattern or list contains no pictures or videos to index."""


class BoxError(PersonSearchError, ValueError):
    """A box is not four finite numbers, is empty, or lies outside its picture."""


class ShapeError(PersonSearchError, ValueError):
    """Arrays that belong together have different lengths or wrong shapes."""


class ImagesError(ImageError):
    """Some pictures of a list cannot be used: `unreadable` has position -> reason, `results` what the others gave."""

    def __init__(self, message: str, unreadable: Mapping[int, str] | None = None, results: Sequence[Any] = ()) -> None:
        super().__init__(message)
        self.unreadable = dict(unreadable or {})
        self.results = list(results)  # None for an unreadable picture


class QueryError(PersonSearchError, ValueError):
    """A query or search option cannot be used (for example CBGM with a bare crop)."""


class QueryWarning(UserWarning):
    """A query without a box does not look like a crop of one person; the search goes on with the whole picture."""


class GalleryError(PersonSearchError, RuntimeError):
    """A gallery cannot be read or written."""


class GalleryModelError(GalleryError):
    """A gallery holds another model's embeddings, which cannot be mixed or compared."""


class GalleryOptionError(GalleryError, ValueError):
    """An option contradicts what a gallery was indexed with."""


class GalleryConflictError(GalleryError):
    """Other programs changed a gallery on an object store during every attempt; trying again later helps."""


class GalleryPermissionError(GalleryError, PermissionError):
    """Permission to write a gallery's folder is missing."""


class ConfigError(PersonSearchError, ValueError):
    """A model's config, the manifest, a recipe or an option has a wrong value."""


class WeightsError(PersonSearchError, ValueError):
    """Weights are missing, damaged, or do not fit the network."""


class ModelNotFoundError(PersonSearchError, LookupError):
    """A model name, folder or Hub repository does not exist."""


class HubError(PersonSearchError, ConnectionError):
    """The Hugging Face Hub cannot be reached, refuses access, or is switched off by HF_HUB_OFFLINE."""


class DeviceError(PersonSearchError, RuntimeError):
    """The requested device or ONNX Runtime provider is not available."""


class CompilerError(PersonSearchError, RuntimeError):
    """This machine cannot compile networks."""


class WorkerError(PersonSearchError, RuntimeError):
    """The workers of a cluster end again and again."""


class DataError(PersonSearchError, ValueError):
    """An evaluation file or a data set does not have the expected files or fields."""


class MissingExtraError(PersonSearchError, ImportError):
    """An optional package is not installed; the message names the extra to install."""


class TrainingError(PersonSearchError, ArithmeticError):
    """A training cannot continue because a loss is not a finite number."""


def excerpt(value: object, length: int = 80) -> str:
    """The beginning of a value's repr, for a message."""
    try:
        return f"{value!r:.{length}}"
    except (ValueError, RecursionError):  # a number of more than 4,300 digits, or deep lists
        return f"a {type(value).__name__}"

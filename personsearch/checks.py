"""Validate options and files that a user passed, and name the bad one in the error."""

import math
import os
import stat
from collections.abc import Sequence
from numbers import Integral, Real
from pathlib import Path
from typing import Any

from personsearch.errors import ConfigError, PersonSearchError, excerpt
from personsearch.errors import shown as shown

Error = type[PersonSearchError]

POINTER = b"version https://git-lfs.github.com/spec/"  # start of the small file that git keeps in place of a large one
WEB_PAGE = (b"<!doctype html", b"<html", b"<head", b"<?xml", b"<body")
START = 512  # bytes that tell what a file is


def count(name: str, value: Any, error: Error = ConfigError) -> int:
    """`value` as a whole number of at least 1. NumPy integers are accepted, True is not.

    Raises:
        PersonSearchError: The value is not such a number; the class is `error`.
    """
    if not isinstance(value, Integral) or isinstance(value, bool):
        raise error(f"{name} must be a whole number, got {excerpt(value)}")
    if value < 1:
        raise error(f"{name} must be at least 1, got {excerpt(value)}")
    return int(value)


def counts(name: str, value: Any, error: Error = ConfigError) -> tuple[int, int]:
    """`value`, a tuple or list, as two whole numbers of at least 1.

    Raises:
        PersonSearchError: The value is not such a pair; the class is `error`.
    """
    if not isinstance(value, tuple | list) or len(value) != 2:
        raise error(f"{name} must be two whole numbers, got {excerpt(value)}")
    return count(f"{name}[0]", value[0], error), count(f"{name}[1]", value[1], error)


def number(name: str, value: Any, error: Error = ConfigError) -> float:
    """`value` as a number of any range. NumPy numbers are accepted, NaN and True are not.

    Raises:
        PersonSearchError: The value is not such a number; the class is `error`.
    """
    if not isinstance(value, Real) or isinstance(value, bool):
        raise error(f"{name} must be a number, got {excerpt(value)}")
    try:
        plain = float(value)
    except OverflowError as mistake:
        raise error(f"{name} must be a number, got a whole number beyond the range of a float") from mistake
    if math.isnan(plain):
        raise error(f"{name} must be a number, got NaN (not a number)")
    return plain


def flag(name: str, value: Any, error: Error = ConfigError) -> bool:
    """`value` as True or False. Text is not accepted, because "no" would count as True.

    Raises:
        PersonSearchError: The value is not True or False; the class is `error`.
    """
    if isinstance(value, bool):
        return value
    import numpy as np  # commands that only print are quick without it

    if not isinstance(value, np.bool_):
        raise error(f"{name} must be True or False, got {excerpt(value)}")
    return bool(value)


def choice(name: str, value: Any, choices: Sequence[str | None], error: Error = ConfigError) -> None:
    """Check that `value` is one of the choices.

    Raises:
        PersonSearchError: The value is not among them; the class is `error`.
    """
    if not isinstance(value, str | None) or value not in choices:
        known = [repr(option) if option is None else f'"{option}"' for option in choices]
        raise error(f"{name} must be {', '.join(known[:-1])} or {known[-1]}, got {excerpt(value)}")


def text(name: str, value: Any, error: Error = ConfigError) -> str:
    """`value` as text. A `Path` is not accepted.

    Raises:
        PersonSearchError: The value is not text; the class is `error`.
    """
    if not isinstance(value, str):
        raise error(f"{name} must be text, got {excerpt(value)}")
    return value


def path(name: str, value: Any, error: Error = ConfigError) -> str:
    """`value`, a path or text, as text.

    Raises:
        PersonSearchError: The value is neither, or a path of bytes; the class is `error`.
    """
    plain = os.fspath(value) if isinstance(value, str | os.PathLike) else value
    if not isinstance(plain, str):
        raise error(f"{name} must be a path or text, got {excerpt(value)}")
    return plain


def no_pipe(path: str | os.PathLike[str], error: Error) -> None:
    """Refuse pipes and devices, whose readers may wait or read without end; a path that cannot be looked at passes.

    Raises:
        PersonSearchError: It is one; the class is `error`.
    """
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):  # ValueError: a name with a null character
        return
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise error(f"{os.fspath(path)} is a pipe or a device, not a file; pass a file")


def wrong_download(path: Path) -> str | None:
    """What a file is instead of a network or checkpoint, and what to do; None if it looks like neither a page nor a pointer.

    Examples:
        "is a web page, perhaps of a login or an error; download the file again"
    """
    with path.open("rb") as file:
        start = file.read(START)
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if not start:
        return "is empty; download it again"
    if text.startswith(POINTER):
        return "is a Git LFS pointer, which names a large file and does not hold it; download it again with: git lfs pull"
    if text.startswith(WEB_PAGE):
        return "is a web page, perhaps of a login or an error; download the file again"
    return None

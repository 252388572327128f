"""Kinds of cases with a known verdict, to test the harness itself."""

import os
import time
from pathlib import Path

from numpy.random import Generator

from personsearch.errors import DataError


class RawError(DataError):
    """An error that neither escapes nor shortens its text, as the base class does."""

    def __str__(self) -> str:
        return str(self.args[0])


def prepare() -> None:
    """Nothing to prepare."""


def right(rng: Generator, folder: Path) -> None:
    """A case that passes."""


def refused(rng: Generator, folder: Path) -> None:
    """An error of ours."""
    raise DataError("no people; add some")


def raises(rng: Generator, folder: Path) -> None:
    """Another error."""
    raise KeyError("name")


def panics(rng: Generator, folder: Path) -> None:
    """What a library in Rust raises; it is not an Exception."""
    raise BaseException("panic")


def long_message(rng: Generator, folder: Path) -> None:
    """The whole input in the message."""
    raise RawError("x" * 100_000)


def escapes(rng: Generator, folder: Path) -> None:
    """A message that moves the terminal's cursor."""
    raise RawError("\x1b[31mred")


def hangs(rng: Generator, folder: Path) -> None:
    """A case that waits."""
    time.sleep(1000)


def computes(rng: Generator, folder: Path) -> None:
    """A case that works for too long."""
    while True:
        pass


def crashes(rng: Generator, folder: Path) -> None:
    """The end of the process."""
    os._exit(9)


KINDS = {one.__name__: one for one in (right, refused, raises, panics, long_message, escapes, hangs, computes, crashes)}

"""Collect all mistakes of a data set, and report them in one message: the first few of each kind, with counts."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from personsearch.datasets.files import upright_size
from personsearch.datasets.people import Picture
from personsearch.errors import DataError

SHOWN, KINDS = 3, 6  # examples of each kind of mistake, and kinds, in a message


class Problems:
    """Mistakes by kind, in the order in which the kinds were found."""

    def __init__(self) -> None:
        self._examples: dict[str, list[str]] = {}
        self._counts: dict[str, int] = {}

    def add(self, kind: str, example: str) -> None:
        """Note one mistake.

        Args:
            kind: Mistake in words, without the place: "without bbox".
            example: Place, and what is there.
        """
        self._counts[kind] = self._counts.get(kind, 0) + 1
        if self._counts[kind] <= SHOWN:
            self._examples.setdefault(kind, []).append(f"{example:.100}")

    def check(self, source: str | Path) -> None:
        """Report the mistakes so far.

        Args:
            source: File of the data set.

        Raises:
            DataError: There are mistakes.
        """
        if self._counts:
            lines = [self._line(kind) for kind in list(self._counts)[:KINDS]]
            if len(self._counts) > KINDS:
                lines.append(f"\n* and {len(self._counts) - KINDS} more kinds of mistakes")
            raise DataError(f"{source} cannot be used as it is:{''.join(lines)}")

    def _line(self, kind: str) -> str:
        more = self._counts[kind] - SHOWN
        return f"\n* {self._counts[kind]} x {kind}: {'; '.join(self._examples[kind])}" + (f"; and {more} more" if more > 0 else "")


def check_files(paths: Sequence[Path], source: str | Path) -> None:
    """Check that all pictures of a data set exist, before a training that would find one missing hours later.

    Raises:
        DataError: Pictures are missing; the message counts them and names the first.
    """
    problems = Problems()
    for path in paths:
        if not os.path.isfile(path):
            problems.add("missing picture", str(path))
    problems.check(source)


def check_picture(picture: Picture, declared: tuple[int, int] | None, problems: Problems) -> None:
    """Compare a picture's header with its annotations; pixels are not decoded.

    Args:
        picture: Picture with boxes.
        declared: (width, height) that the annotations state; None if they do not.
        problems: Mistakes are added here.
    """
    if not os.path.isfile(picture.path):
        problems.add("missing picture", str(picture.path))
        return
    try:
        width, height = upright_size(picture.path)
    except DataError as error:
        problems.add("picture that cannot be read", str(error))
        return
    if declared is not None and declared != (width, height):
        problems.add(
            "picture of another size than the annotations say (boxes would be misplaced)",
            f"{picture.path.name} is {width} x {height} upright, not {declared[0]} x {declared[1]}",
        )
        return
    outside = (picture.boxes[:, :2] >= [width, height]).any(axis=1) | (picture.boxes[:, 2:] <= 0).any(axis=1)
    for box in picture.boxes[np.flatnonzero(outside)]:
        problems.add("box outside its picture", f"{picture.path.name} of {width} x {height} has x1 y1 x2 y2 {box.tolist()}")

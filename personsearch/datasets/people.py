"""What every data set becomes: pictures with people in them, and people to look for."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from personsearch.boxes import Array
from personsearch.errors import DataError

UNLABELLED = -1  # identity of an unnamed person


def no_boxes() -> Array:
    """(0, 4) float32."""
    return np.zeros((0, 4), np.float32)


@dataclass(frozen=True)
class Picture:
    """One picture on disk, not decoded, with all its people."""

    path: Path
    boxes: Array  # (N, 4) float32, xyxy pixels; N may be 0
    identities: Array  # (N,) int64, or -1 for unnamed people
    camera: int | None = None
    ignore: Array = field(default_factory=no_boxes)  # (K, 4) float32 xyxy, where a detection counts neither as right nor as wrong
    ignore_polygons: tuple[Array, ...] = ()  # the same regions as (P, 2) float32 corners each, where they are not boxes

    def __post_init__(self) -> None:
        n = len(self.identities)
        if self.boxes.shape != (n, 4) or self.identities.shape != (n,):
            raise DataError(f"{self.path.name}: {n} identities need boxes ({n}, 4), got {self.boxes.shape}")
        if not np.isfinite(self.boxes).all() or (self.boxes[:, 2:] <= self.boxes[:, :2]).any():
            raise DataError(f"{self.path.name}: every box must be x1 < x2, y1 < y2, finite, got {self.boxes.tolist()!r:.120}")


@dataclass(frozen=True)
class Candidate:
    """A picture in one query's own gallery list."""

    path: Path
    box_xywh: tuple[float, float, float, float] | None  # the query person in it, if there


@dataclass(frozen=True)
class QueryPerson:
    """A person to look for, in a picture."""

    path: Path
    box: Array  # (4,) float32, xyxy pixels
    identity: int
    camera: int | None = None
    candidates: tuple[Candidate, ...] | None = None  # None: the whole gallery


@dataclass(frozen=True)
class SearchSet:
    """The test part of a person search data set."""

    gallery: tuple[Picture, ...]
    queries: tuple[QueryPerson, ...]


def xyxy(boxes: ArrayLike) -> Array:
    """(N, 4) float32 of corners; an empty input of any shape gives (0, 4)."""
    return np.array(boxes, np.float32).reshape(-1, 4)


def xywh_to_xyxy(boxes: ArrayLike) -> Array:
    """(N, 4) float32 corners of (N, 4) left, top, width, height; an empty input of any shape gives (0, 4)."""
    corners = xyxy(boxes)
    corners[:, 2:] += corners[:, :2]
    return corners


def unlabelled(count: int) -> Array:
    """(count,) int64, all -1."""
    return np.full(count, UNLABELLED, np.int64)


def number_identities(pictures: Sequence[Picture]) -> tuple[tuple[Picture, ...], int]:
    """The pictures with identities 0..L-1 without gaps, in order of the old ones, and L; -1 stays.

    A table of known people (OIM's) has one row an identity, so a number with gaps would lie outside it.
    """
    old = np.unique(np.concatenate([np.zeros(0, np.int64), *(one.identities for one in pictures)]))
    old = old[old != UNLABELLED]
    numbered = tuple(
        replace(one, identities=np.where(one.identities == UNLABELLED, UNLABELLED, np.searchsorted(old, one.identities)))
        for one in pictures
    )
    return numbered, len(old)

"""Data sets to learn from: pictures with boxes and identities, one small protocol, and a reader of COCO-style JSON."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from personsearch import images
from personsearch.boxes import Array
from personsearch.datasets import coco
from personsearch.datasets.coco import DEFAULTS, Fields
from personsearch.datasets.people import UNLABELLED, number_identities
from personsearch.errors import DataError


@dataclass(frozen=True)
class Sample:
    """One picture with all its people."""

    image: Array  # (H, W, 3) uint8, RGB
    boxes: Array  # (N, 4) float32, xyxy pixels; N may be 0
    identities: Array  # (N,) int64, 0..L-1, or -1 for unlabelled people
    camera: int | None = None

    def __post_init__(self) -> None:
        n = len(self.identities)
        if self.boxes.shape != (n, 4) or self.identities.shape != (n,):
            raise DataError(f"{n} identities need boxes ({n}, 4), got {self.boxes.shape}; give each person a box and an identity or -1")


class PeopleDataset(Protocol):
    """Pictures by number. Identities are numbered 0..L-1 without gaps over the whole set.

    One that also has `people`, the number of boxes, is refused by a training if that is 0. One that has `path`, the file of a picture by
    number, is sorted into wide and tall pictures without decoding.
    """

    @property
    def identities(self) -> int:
        """L."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Sample: ...


class CocoPeople:
    """Pictures and people of a COCO-style JSON file; `personsearch.datasets.coco` describes it.

    Crowds do not count. Identities get new numbers without gaps, in order of the old ones: numbers with gaps would lie behind
    OIM's table, in its queue.

    Args:
        file: JSON file.
        min_visibility: Smallest visible share of a person, 0..1; others are left out.
        folder: Folder of the pictures; None for the file's own.
        fields: Names of the category of people and of the identity.
        check_pictures: Whether to check that every picture exists, has the size that the file says, and holds its boxes.

    Raises:
        DataError: The file is missing or has mistakes; the message counts those of each kind, and has the first of each.
    """

    def __init__(
        self,
        file: Path,
        *,
        min_visibility: float = 0.0,
        folder: Path | None = None,
        fields: Fields = DEFAULTS,
        check_pictures: bool = True,
    ) -> None:
        where = file.parent if folder is None else folder
        pictures = coco.load(file, where, fields, min_visibility=min_visibility, check_pictures=check_pictures)
        self._pictures, self.identities = number_identities(pictures)
        self.people = sum(len(picture.boxes) for picture in pictures)

    def __len__(self) -> int:
        return len(self._pictures)

    def __getitem__(self, index: int) -> Sample:
        """The picture, decoded now. Raises ImageError if it is not readable."""
        picture = self._pictures[index]
        return Sample(images.load(picture.path), picture.boxes, picture.identities, picture.camera)

    def path(self, index: int) -> Path:
        """The file of picture `index`."""
        return self._pictures[index].path


def people_of(dataset: PeopleDataset) -> int:
    """Number of boxes of a data set that states it (`people`); at least 1 for others, whose pictures would have to be decoded."""
    return int(getattr(dataset, "people", max(1, dataset.identities)))


class JoinedPeople:
    """Several data sets in a row; identities of different sets are different people."""

    def __init__(self, parts: Sequence[PeopleDataset]) -> None:
        self._parts = list(parts)
        self.people = sum(people_of(part) for part in parts)
        self._starts = np.cumsum([0, *(len(part) for part in parts)])
        self._names = np.cumsum([0, *(part.identities for part in parts)])

    @property
    def identities(self) -> int:
        """Number of identities of all parts together."""
        return int(self._names[-1])

    def __len__(self) -> int:
        return int(self._starts[-1])

    def __getitem__(self, index: int) -> Sample:
        """Picture `index` of all, with its identities moved behind those of the earlier parts."""
        if not 0 <= index < len(self):
            raise IndexError(f"picture {index} of {len(self)}")
        part, own = self._place(index)
        sample = self._parts[part][own]
        moved = np.where(sample.identities >= 0, sample.identities + self._names[part], UNLABELLED)
        return Sample(sample.image, sample.boxes, moved, sample.camera)

    def path(self, index: int) -> Path | None:
        """The file of picture `index`, if its part knows it."""
        part, own = self._place(index)
        return path_of(self._parts[part], own)

    def _place(self, index: int) -> tuple[int, int]:
        """The part of a picture, and its number there."""
        part = int(np.searchsorted(self._starts, index, side="right")) - 1
        return part, index - int(self._starts[part])


def path_of(dataset: PeopleDataset, index: int) -> Path | None:
    """The file of a picture, if the data set knows it."""
    path: Callable[[int], Path | None] | None = getattr(dataset, "path", None)
    return None if path is None else path(index)

"""The pictures that the crop network and its teacher look at: of the pool, of real people as they are, and pieces of photographs."""

from pathlib import Path

import cv2
import numpy as np

from examples.nano.camera_changes import other_light, sharpened
from examples.nano.contents import mixed
from examples.nano.pool import STREET_FROM, files
from examples.nano.real_people import PEOPLE_FILE, PIECES_FILE
from personsearch.boxes import Array

POOL, PEOPLE = 0.6, 0.25  # share of the pictures; the rest are pieces
STREET = 0.4  # share of the pool's pictures from the parts with the colours and changes of a street, once there are any
MARGIN = (24, 8)  # rows and columns of a wide crop that are left away at each side: 8 beyond the person's box stay
CUT, CUT_PERSON, CUT_PIECE = 0.12, 0.15, 0.6  # how much of a picture is cut off at most, over all sides
RELIT = 0.3  # share of the pool's pictures that get another light; all others do
MIXED, MOST_MIXED = 0.35, 0.5  # share of pictures with another one in them, and how much of that
SWAPPED = 0.1  # share of pictures with their colour channels in another order
SHARP = 0.75  # share of sharpened pictures


class Parts:
    """The pictures and rows of all complete parts of a pool; they stay on disk.

    Args:
        folder: Folder that `examples.nano.pool` writes to.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.pictures: list[Array] = []
        self.rows: list[Array] = []
        self.refresh()

    def refresh(self) -> int:
        """Open the parts that are new; their number now."""
        while all(file.exists() for file in files(self.folder, len(self.rows))):
            pictures, rows = map(mapped, files(self.folder, len(self.rows)))
            self.pictures.append(pictures)
            self.rows.append(rows)
        return len(self.rows)


class Pictures:
    """Pictures in the sharpness of many cameras.

    Args:
        pool: Folder that `examples.nano.pool` writes to; it may grow meanwhile.
        real: Folder that `examples.nano.real_people` wrote.
    """

    def __init__(self, pool: Path, real: Path) -> None:
        self.parts = Parts(pool)
        self.people, self.pieces = mapped(real / PEOPLE_FILE), mapped(real / PIECES_FILE)

    def draw(self, count: int, size: tuple[int, int], rng: np.random.Generator) -> list[Array]:
        """`count` uint8 RGB pictures of `size`, (height, width).

        Source: Beyer et al., Knowledge distillation: A good teacher is patient and consistent (arXiv 2106.05237), Sec. 3.1.
        """
        pictures = [self._one(size, rng) for _ in range(count)]
        for number in np.flatnonzero(rng.random(count) < MIXED):
            pictures[number] = mixed(pictures[number], pictures[int(rng.integers(count))], rng.uniform(0.1, MOST_MIXED))
        for number in np.flatnonzero(rng.random(count) < SWAPPED):
            pictures[number] = np.ascontiguousarray(pictures[number][..., rng.permutation(3)])
        return [sharpened(one, rng) if rng.random() < SHARP else one for one in pictures]

    def _one(self, size: tuple[int, int], rng: np.random.Generator) -> Array:
        kind = rng.random()
        if kind < POOL:
            street = rng.random() < STREET and len(self.parts.rows) > STREET_FROM
            part = self.parts.pictures[int(rng.integers(STREET_FROM if street else 0, len(self.parts.rows)))]
            picture = cut(part[int(rng.integers(len(part)))], rng, CUT)
        elif kind < POOL + PEOPLE:
            wide = self.people[int(rng.integers(len(self.people)))]
            picture = cut(wide[MARGIN[0] : -MARGIN[0], MARGIN[1] : -MARGIN[1]], rng, CUT_PERSON)
        else:
            picture = cut(self.pieces[int(rng.integers(len(self.pieces)))], rng, CUT_PIECE)
        picture = np.asarray(cv2.resize(picture, size[::-1], interpolation=cv2.INTER_AREA))
        if kind >= POOL or rng.random() < RELIT:
            picture = other_light(picture, rng)
        return np.ascontiguousarray(picture[:, ::-1]) if rng.random() < 0.5 else picture


def cut(picture: Array, rng: np.random.Generator, most: float) -> Array:
    """The picture without random parts of its sides, together at most `most` of its height and 5/4 of that of its width."""
    height, width = picture.shape[:2]
    top, bottom, left, right = rng.uniform(0, most, 4)
    rows = slice(int(top * height / 2), height - int(bottom * height / 2))
    return np.ascontiguousarray(picture[rows, int(left * width / 1.6) : width - int(right * width / 1.6)])


def mapped(file: Path) -> Array:
    """The array of a file, which stays on disk."""
    array: Array = np.load(file, mmap_mode="r")
    return array

"""Batches of the pool: pictures with the teachers' rows, and hints for them."""

from pathlib import Path

import numpy as np

from examples.nano.hints import HINTS
from examples.nano.pool import STREET_FROM, files
from personsearch.boxes import Array


class Pool:
    """The pictures, rows and hints of all complete parts; they stay on disk.

    Args:
        folder: Folder that `examples.nano.pool` writes to.
        hints: Folder that `examples.nano.hints` writes to, None for rows alone.
        street: Share of pairs that are drawn from the parts with the colours and changes of a street, once there are any.
    """

    def __init__(self, folder: Path, hints: Path | None = None, *, street: float = 0.0) -> None:
        self.folder, self.hint_folder, self.street = folder, hints, street
        self.pictures: list[Array] = []
        self.rows: list[Array] = []
        self.hints: list[list[Array]] = []
        self.refresh()

    def refresh(self) -> int:
        """Open the parts that are new; their number now."""
        while all(file.exists() for file in self.files(len(self.rows))):
            pictures, rows, *hints = map(mapped, self.files(len(self.rows)))
            self.pictures.append(pictures)
            self.rows.append(rows)
            self.hints.append(hints)
        return len(self.rows)

    def files(self, part: int) -> list[Path]:
        """Files of a part's pictures, rows and hints."""
        hints = [] if self.hint_folder is None else [self.hint_folder / f"hint_{number}_{part:04}.npy" for number in range(len(HINTS))]
        return [*files(self.folder, part), *hints]

    def draw(self, pairs: int, rng: np.random.Generator) -> tuple[list[Array], Array, list[Array]]:
        """2 * pairs pictures (H, W, 3), rows (2 * pairs, T) and hints (2 * pairs, h, w, C): pairs of one content, of any parts."""
        pictures, rows, hints = [], [], []
        for part in self.parts(pairs, rng):
            first = 2 * int(rng.integers(len(self.rows[part]) // 2))
            pictures += [self.pictures[part][first], self.pictures[part][first + 1]]
            rows.append(self.rows[part][first : first + 2])
            hints.append([maps[first : first + 2] for maps in self.hints[part]])
        return pictures, np.concatenate(rows), [np.concatenate(maps) for maps in zip(*hints, strict=True)]

    def parts(self, count: int, rng: np.random.Generator) -> Array:
        """Numbers (count,) of parts, the street's as often as they should be."""
        parts = rng.integers(len(self.rows), size=count)
        street = rng.random(count) < self.street
        if len(self.rows) > STREET_FROM:
            parts[street] = rng.integers(STREET_FROM, len(self.rows), size=int(street.sum()))
        return parts

    def bank(self, count: int, rng: np.random.Generator) -> Array:
        """(count, T) rows of a random stretch of a part."""
        rows = self.rows[int(rng.integers(len(self.rows)))]
        start = int(rng.integers(max(1, len(rows) - count)))
        return np.array(rows[start : start + count])


def mapped(file: Path) -> Array:
    """The array of a file, which stays on disk."""
    array: Array = np.load(file, mmap_mode="r")
    return array

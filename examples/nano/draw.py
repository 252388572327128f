"""Batches of the pool: pictures, or the maps that a network's frozen layers make of them, with the teachers' rows."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from personsearch.boxes import Array

AT_ONCE = 16  # pictures of which maps are made together


class Pool:
    """The pictures and rows of all complete parts of a folder; both stay on disk.

    Args:
        folder: that `examples.nano.pool` writes to.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.pictures: list[Array] = []
        self.rows: list[Array] = []
        self.refresh()

    def refresh(self) -> int:
        """Open the parts that are new; how many there are now."""
        while (rows := self.folder / f"rows_{len(self.rows):04}.npy").exists():
            self.pictures.append(self.open_pictures(len(self.rows)))
            self.rows.append(mapped(rows))
            if not self.goes_on():
                break
        return len(self.rows)

    def goes_on(self) -> bool:
        """Whether more parts may be opened at once."""
        return True

    def open_pictures(self, part: int) -> Array:
        """The pictures of a part, on disk."""
        return mapped(self.folder / f"pictures_{part:04}.npy")

    def draw(self, pairs: int, rng: np.random.Generator) -> tuple[list[Array], Array]:
        """2 * pairs pictures (H, W, 3) and their rows (2 * pairs, T): pairs of the same content, of any parts."""
        pictures, rows = [], []
        for part in rng.integers(len(self.rows), size=pairs):
            first = 2 * int(rng.integers(len(self.rows[part]) // 2))
            pictures += [self.pictures[part][first], self.pictures[part][first + 1]]
            rows.append(self.rows[part][first : first + 2])
        return pictures, np.concatenate(rows)

    def bank(self, count: int, rng: np.random.Generator) -> Array:
        """(count, T) rows of a random stretch of a part."""
        rows = self.rows[int(rng.integers(len(self.rows)))]
        start = int(rng.integers(max(1, len(rows) - count)))
        return np.array(rows[start : start + count])


class MapPool(Pool):
    """A pool that shows maps in the place of pictures; each is made once, those of one part at a look for new parts.

    Args:
        folder: that `examples.nano.pool` writes to.
        maps: folder of the maps.
        make: gives maps (N, h, w, C) float16 of pictures (N, H, W, 3).
    """

    def __init__(self, folder: Path, maps: Path, make: Callable[[Array], Array]) -> None:
        self.maps, self.make = maps, make
        maps.mkdir(parents=True, exist_ok=True)
        super().__init__(folder)

    def goes_on(self) -> bool:
        """Whether the next part has its maps."""
        return (self.maps / f"maps_{len(self.rows):04}.npy").exists()

    def open_pictures(self, part: int) -> Array:
        """The maps of a part, made now if there are none."""
        file = self.maps / f"maps_{part:04}.npy"
        if not file.exists():
            pictures = super().open_pictures(part)
            made = [self.make(pictures[start : start + AT_ONCE]) for start in range(0, len(pictures), AT_ONCE)]
            np.save(temporary := file.with_suffix(".new.npy"), np.concatenate(made))
            temporary.rename(file)
        return mapped(file)


def mapped(file: Path) -> Array:
    """The array of a file, which stays on disk."""
    array: Array = np.load(file, mmap_mode="r")
    return array

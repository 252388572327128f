"""What the crop network learns: the teachers' rows without their mean, in the directions in which people differ most."""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from personsearch.boxes import Array

DIM = 256


class Targets(nn.Module):
    """From the teachers' rows (N, T) to unit rows (N, D), whose cosines are nearly those of the centred rows."""

    mean: Tensor
    directions: Tensor

    def __init__(self, teacher_dim: int, dim: int = DIM) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(teacher_dim))
        self.register_buffer("directions", torch.eye(teacher_dim, dim))

    def fit(self, rows: Array) -> None:
        """Take mean and principal directions of (N, T) rows, N of at least D."""
        mean = rows.mean(axis=0, dtype=np.float64)
        centred = rows - mean
        _, vectors = np.linalg.eigh(centred.T @ centred)
        self.mean.copy_(torch.from_numpy(mean))
        self.directions.copy_(torch.from_numpy(vectors[:, ::-1][:, : self.directions.shape[1]].copy()))

    def forward(self, rows: Tensor) -> Tensor:
        """(N, D) unit rows of (N, T)."""
        return F.normalize((rows.float() - self.mean) @ self.directions)


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
            self.rows.append(np.load(rows, mmap_mode="r"))
            self.pictures.append(np.load(rows.with_name(rows.name.replace("rows", "pictures")), mmap_mode="r"))
        return len(self.rows)

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

"""What the crop network learns on a GPU: the rows of both teachers without their mean, in the directions in which people differ most."""

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

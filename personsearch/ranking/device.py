"""Exact ranking on a CUDA device: the gallery's rows stay in its memory as float16, and are compared block by block.

A float16 row is at most 2^-11 of each number away from its float32 row, so the rows that can be among the best are known from the
device's cosines, and `cosines` orders these few exactly. The result is that of `ranking.rank`, to the last bit.
"""

import numpy as np
import torch

from personsearch.boxes import Array
from personsearch.errors import QueryError, ShapeError
from personsearch.ranking.cosine import cosines
from personsearch.ranking.exact import Ranked

ROWS = 1 << 18  # rows of a block: 256 MiB as float32, for 256 numbers a row
QUERIES = 64  # queries compared at once
SPARE = 4  # rows that are taken for each row wanted; more are taken if that does not decide
HALF = 2.0**-11  # relative error of a number as float16


class DeviceGallery:
    """A gallery's rows on a device.

    Args:
        embeddings: Unit rows (N, D), float32 or float16, in the gallery's order; they stay in memory, for the exact order.
        device: Where the rows are compared: "cuda", "cuda:1" or "cpu".
        rows: Number of rows of a block.
        blocks: Blocks of an earlier `DeviceGallery` of these embeddings, which are not copied again; None copies them.

    Attributes:
        blocks: The rows on the device, float16.

    Raises:
        ShapeError: the embeddings are not a matrix.
    """

    def __init__(self, embeddings: Array, device: str = "cuda", *, rows: int = ROWS, blocks: list[torch.Tensor] | None = None) -> None:
        if embeddings.ndim != 2:
            raise ShapeError(f"embeddings must be (N, D), got {embeddings.shape}")
        self.embeddings = embeddings
        self.device = torch.device(device)
        starts = () if blocks is not None else range(0, len(embeddings), rows)
        self.blocks = blocks or [torch.from_numpy(embeddings[start : start + rows].astype(np.float16)).to(self.device) for start in starts]
        self._rows = rows

    def __len__(self) -> int:
        return len(self.embeddings)

    def rank(self, queries: Array, top_k: int, *, scores: Array | None = None) -> list[Ranked]:
        """The people most similar to each query, as `ranking.rank` gives them.

        Args:
            queries: (Q, D) float32 unit rows.
            top_k: Largest number of people per query.
            scores: (N,) float32, 0..1; if given, the order follows cosine x score.

        Raises:
            ShapeError: the arrays have shapes that do not match.
            QueryError: top_k below 1.
        """
        if queries.ndim != 2 or queries.shape[1] != self.embeddings.shape[1]:
            raise ShapeError(f"queries (Q, D) and gallery (N, D) must share D, got {queries.shape} and {self.embeddings.shape}")
        if scores is not None and scores.shape != (len(self),):
            raise ShapeError(f"{len(self)} gallery rows need as many scores, got {scores.shape}")
        if top_k < 1:
            raise QueryError(f"top_k must be at least 1, got {top_k}")
        weights = None if scores is None else torch.tensor(scores, device=self.device)
        ranked: list[Ranked] = []
        for start in range(0, len(queries), QUERIES):
            ranked += self._rank(queries[start : start + QUERIES], top_k, scores, weights)
        return ranked

    def _rank(self, queries: Array, top_k: int, scores: Array | None, weights: torch.Tensor | None) -> list[Ranked]:
        # What rounding moves a cosine by at most: each number of a row to float16, and the sums of both sides in float32
        margin = HALF + 2 * (queries.shape[1] + 16) * 2.0**-23
        count = min(len(self), SPARE * top_k)
        while True:
            keys, rows = self._best(torch.from_numpy(queries).to(self.device), count, weights)
            # A row outside the shortlist is at most as good as its last one
            undecided = count < len(self) and bool((keys[:, -1] >= keys[:, top_k - 1] - 2 * margin).any())
            if not undecided:
                return [self._exact(queries[q : q + 1], found, top_k, scores) for q, found in enumerate(rows.cpu().numpy())]
            count = min(len(self), SPARE * count)

    def _best(self, queries: torch.Tensor, count: int, weights: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor]:
        """Keys (Q, count), best first, and rows of the best by the device's cosines."""
        keys = queries.new_zeros((len(queries), 0))
        rows = torch.zeros((len(queries), 0), dtype=torch.int64, device=self.device)
        for number, block in enumerate(self.blocks):
            start = number * self._rows
            key = queries @ block.float().T
            if weights is not None:
                key *= weights[start : start + len(block)]
            best, places = key.topk(min(count, len(block)), dim=1)
            keys, rows = torch.cat([keys, best], dim=1), torch.cat([rows, places + start], dim=1)
            keys, order = keys.topk(min(count, keys.shape[1]), dim=1)
            rows = rows.gather(1, order)
        return keys, rows

    def _exact(self, query: Array, rows: Array, top_k: int, scores: Array | None) -> Ranked:
        exact = cosines(query, self.embeddings[rows])[0]
        return Ranked(rows, exact, exact if scores is None else exact * scores[rows]).best(top_k)

"""What a detector and an embedder must offer to become a two-step model."""

from collections.abc import Sequence
from typing import Any, Protocol

from personsearch.boxes import Array


class Detector(Protocol):
    """Detects people."""

    @property
    def fingerprint(self) -> str:
        """Digest of everything that decides a box: weights, preprocessing, thresholds."""

    def prepare(self, image: Array) -> Any:
        """The network's input for one RGB uint8 image (H, W, 3). Called from decoding threads: must not touch shared state."""

    def detect(self, prepared: Sequence[Any]) -> list[tuple[Array, Array]]:
        """Boxes (N, 4), xyxy original pixels, and scores (N,), 0..1, of each image; in any order; N may be 0."""


class Embedder(Protocol):
    """Embeds crops of people."""

    @property
    def fingerprint(self) -> str:
        """Digest of everything that decides a feature: weights and preprocessing."""

    @property
    def embedding_dim(self) -> int:
        """D, the length of a feature."""

    def embed(self, crops: Sequence[Array]) -> Array:
        """(N, D) features, of any norm, for N crops, RGB uint8 (h, w, 3) of at least 1 x 1; N may be 0."""

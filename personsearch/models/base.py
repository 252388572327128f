"""What every model offers, whatever its paper: people of a scene, and embeddings of boxes and crops."""

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

from personsearch.boxes import Array
from personsearch.results import Detections


@runtime_checkable
class PersonModel(Protocol):
    """Detects and embeds people. One of these stands behind every `PersonSearcher`.

    `prepare` is called from decoding threads while the network runs, so it must not touch shared state;
    the other methods are called from one thread.
    """

    @property
    def name(self) -> str:
        """Short name for people to read."""

    @property
    def fingerprint(self) -> str:
        """Digest of all that decides a feature: weights, preprocessing, thresholds. Galleries are keyed by it."""

    @property
    def embedding_dim(self) -> int:
        """D, the length of an embedding."""

    @property
    def min_score(self) -> float:
        """Score below which a detection does not enter a gallery (the protocol's threshold of its paper)."""

    def prepare(self, image: Array) -> Any:
        """The network's input for one RGB uint8 image (H, W, 3): decoded once, resized once."""

    def detect(self, prepared: Sequence[Any], *, min_score: float = 0.0) -> list[Detections]:
        """The people of each prepared image from `min_score` on, best first, boxes in original pixels.

        With 0 that is all that the network keeps; a higher one may save the work of embedding the others.
        """

    def embed(self, prepared: Sequence[Any], boxes: Sequence[Array]) -> list[Array]:
        """(N, D) float32 unit rows for each image's (N, 4) boxes (xyxy original pixels, inside the image; N may be 0)."""

    def embed_crops(self, crops: Sequence[Array]) -> Array:
        """(N, D) float32 unit rows of N bare crops of people, RGB uint8 (H, W, 3)."""

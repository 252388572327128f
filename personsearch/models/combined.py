"""Any detector with any re-identifier (SeqNet, arXiv 2103.10148, Table 2)."""

import hashlib
from collections.abc import Sequence
from typing import Any

from personsearch.boxes import Array
from personsearch.models.base import PersonModel
from personsearch.results import Detections


class CombinedModel:
    """A `PersonModel` that finds people by one model and embeds them by another.

    For people given by hand (the table's "GT"), call the re-identifier's `embed` with their boxes.

    Args:
        detector: gives boxes, scores and the score to enter a gallery.
        reidentifier: gives embeddings of whole scenes' boxes and of crops.
    """

    def __init__(self, detector: PersonModel, reidentifier: PersonModel) -> None:
        self.detector = detector
        self.reidentifier = reidentifier
        self.name = f"{detector.name} with {reidentifier.name}"
        self.fingerprint = hashlib.sha256(f"{detector.fingerprint} {reidentifier.fingerprint}".encode()).hexdigest()
        self.embedding_dim = reidentifier.embedding_dim
        self.min_score = detector.min_score

    def prepare(self, image: Array) -> tuple[Any, Any]:
        """Both networks' inputs for one RGB uint8 image (H, W, 3)."""
        return self.detector.prepare(image), self.reidentifier.prepare(image)

    def detect(self, prepared: Sequence[tuple[Any, Any]], *, min_score: float = 0.0) -> list[Detections]:
        """The detector's people from `min_score` on with the re-identifier's embeddings, best first."""
        found = self.detector.detect([one for one, _ in prepared], min_score=min_score)
        rows = self.embed(prepared, [one.boxes for one in found])
        return [Detections(one.boxes, one.scores, row) for one, row in zip(found, rows, strict=True)]

    def embed(self, prepared: Sequence[tuple[Any, Any]], boxes: Sequence[Array]) -> list[Array]:
        """(N, D) unit rows for each image's (N, 4) boxes in original pixels."""
        return self.reidentifier.embed([one for _, one in prepared], boxes)

    def embed_crops(self, crops: Sequence[Array]) -> Array:
        """(N, D) unit rows of N bare crops."""
        return self.reidentifier.embed_crops(crops)

"""How far what one form of a network finds is from what another finds in the same image."""

from pathlib import Path

import numpy as np

from personsearch.boxes import iou
from personsearch.results import Detections

SAME = 0.7  # IoU from which on two boxes are one person's


def save(found: Detections, file: Path) -> None:
    """Keep what was found."""
    np.savez(file, boxes=found.boxes, scores=found.scores, embeddings=found.embeddings)


def load(file: Path) -> Detections:
    """What `save` kept."""
    with np.load(file) as arrays:
        return Detections(arrays["boxes"], arrays["scores"], arrays["embeddings"])


def differences(found: Detections, wanted: Detections) -> dict[str, float]:
    """Of everybody in `wanted`, beside the nearest box in `found`.

    Returns:
        share: of the people who are found with an IoU of at least 0.7; of those the greatest difference of a side of the box in
        pixels, of the score, and the least and the mean cosine of the embeddings.
    """
    overlaps = iou(wanted.boxes, found.boxes)
    if not overlaps.size:
        return {"share": float(len(wanted) == len(found))}
    nearest, there = overlaps.argmax(axis=1), overlaps.max(axis=1) >= SAME
    if not there.any():
        return {"share": 0.0}
    pairs = found.take(nearest[there])
    cosines = (pairs.embeddings * wanted.embeddings[there]).sum(axis=1)
    return {
        "share": round(float(there.mean()), 4),
        "box": round(float(np.abs(pairs.boxes - wanted.boxes[there]).max()), 4),
        "score": round(float(np.abs(pairs.scores - wanted.scores[there]).max()), 6),
        "least_cosine": round(float(cosines.min()), 6),
        "mean_cosine": round(float(cosines.mean()), 6),
    }

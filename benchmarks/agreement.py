"""Compare the detections that two forms of a network give for the same image."""

from pathlib import Path

import numpy as np

from personsearch.boxes import iou
from personsearch.results import Detections

SAME = 0.7  # least IoU of two boxes of the same person


def save(detections: Detections, file: Path) -> None:
    """Write detections as an .npz file."""
    np.savez(file, boxes=detections.boxes, scores=detections.scores, embeddings=detections.embeddings)


def load(file: Path) -> Detections:
    """Read the file that `save` wrote."""
    with np.load(file) as arrays:
        return Detections(arrays["boxes"], arrays["scores"], arrays["embeddings"])


def differences(detections: Detections, reference: Detections) -> dict[str, float]:
    """Compare each person of `reference` with the nearest box of `detections`.

    Returns:
        share: Share of the reference's people with a box of IoU 0.7 or more.
        box, score: Greatest difference of a box side (pixels) and of a score among these pairs.
        least_cosine, mean_cosine: Cosines of their embeddings.
    """
    overlaps = iou(reference.boxes, detections.boxes)
    if not overlaps.size:
        return {"share": float(len(reference) == len(detections))}
    nearest, is_matched = overlaps.argmax(axis=1), overlaps.max(axis=1) >= SAME
    if not is_matched.any():
        return {"share": 0.0}
    matches = detections.take(nearest[is_matched])
    cosines = (matches.embeddings * reference.embeddings[is_matched]).sum(axis=1)
    return {
        "share": round(float(is_matched.mean()), 4),
        "box": round(float(np.abs(matches.boxes - reference.boxes[is_matched]).max()), 4),
        "score": round(float(np.abs(matches.scores - reference.scores[is_matched]).max()), 6),
        "least_cosine": round(float(cosines.min()), 6),
        "mean_cosine": round(float(cosines.mean()), 6),
    }

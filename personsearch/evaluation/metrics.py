"""Metrics: average precision, the overlap that counts as a hit, detection recall and AP."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import repeat

import numpy as np

from personsearch.boxes import Array, iou

DETECTION_IOU = 0.5


@dataclass(frozen=True)
class DetectionMetrics:
    """Detection quality, whatever the identities."""

    recall: float  # 0..1, share of the true boxes that are detected
    ap: float  # 0..1, average precision x recall


def average_precision(relevant: Array, keys: Array) -> float:
    """Area under the precision-recall steps, sum of (R_n - R_(n-1)) P_n; equal keys count as one step.

    This is the mean, over the relevant rows, of the precision at their key, the same as scikit-learn's
    `average_precision_score`. 0 if no row is relevant.

    Args:
        relevant: (N,) bool.
        keys: (N,) in any order, higher is better.
    """
    if not relevant.any():
        return 0.0
    hits = np.sort(keys[relevant])
    hits_above = len(hits) - np.searchsorted(hits, hits)  # or equal
    all_above = len(keys) - np.searchsorted(np.sort(keys), hits)
    return float((hits_above / all_above).mean())


def rank_of_first(relevant: Array, keys: Array) -> int | None:
    """Rank of the best relevant row, 1 = best; equal keys rank by row. None if no row is relevant."""
    if not relevant.any():
        return None
    row = int(np.where(relevant, keys, -np.inf).argmax())
    return 1 + int((keys > keys[row]).sum() + (keys[:row] == keys[row]).sum())


def search_iou(box: Array) -> float:
    """The smallest IoU at which a detection counts as the person of a true box: 0.5, less for tiny boxes.

    A box of 10 x 30 pixels needs 0.375, since an error of a few pixels is large for a small person.

    Args:
        box: (4,) xyxy pixels.

    Source: the CUHK-SYSU protocol as in serend1p1ty/SeqNet@edec285 eval_func.py, min(0.5, wh / ((w + 10)(h + 10))).
    """
    width, height = float(box[2] - box[0]), float(box[3] - box[1])
    return min(0.5, width * height / ((width + 10) * (height + 10)))


def mutual_matches(truth: Array, boxes: Array, min_iou: float = DETECTION_IOU) -> Array:
    """(N,) bool: which boxes match a true box; two boxes match if each is the other's best overlap and the IoU is large enough.

    Args:
        truth: (M, 4) xyxy.
        boxes: (N, 4) xyxy; of equal overlaps the first box is the best.
        min_iou: Smallest IoU of a match, 0..1.
    """
    matched = np.zeros(len(boxes), bool)
    if len(truth) and len(boxes):
        overlap = iou(truth, boxes)
        best_box = overlap.argmax(axis=1)
        best_truth = overlap.argmax(axis=0)
        columns = np.arange(len(boxes))
        matched = (best_box[best_truth] == columns) & (overlap[best_truth, columns] >= min_iou)
    return matched


def detection_metrics(scenes: Iterable[tuple[Array, Array, Array]], *, ignored: Iterable[Array] | None = None) -> DetectionMetrics:
    """Recall and AP over many scenes; both 0 if no scene has a true box.

    Scenes without true boxes are skipped: the authors' code fails on them, so no published number counts their false alarms.

    Args:
        scenes: True boxes (M, 4), detected boxes (N, 4) and their scores (N,), for each scene.
        ignored: (N,) bool for each scene: detected boxes that count only if they match a true box; None: all count.

    Source: serend1p1ty/SeqNet@edec285 eval_func.py; for `ignored` anDoer/PoseTrack21@b783a23 baselines/seqnet/eval_func.py, which
    matches all boxes before it drops some.
    """
    people = 0
    matches, scores = [np.zeros(0, bool)], [np.zeros(0, np.float32)]
    masks: Iterable[Array] = repeat(np.zeros(1, bool)) if ignored is None else ignored
    for (truth, boxes, box_scores), mask in zip(scenes, masks, strict=ignored is not None):
        if len(truth):
            people += len(truth)
            hits = mutual_matches(truth, boxes)
            counted = hits | ~mask
            matches.append(hits[counted])
            scores.append(box_scores[counted])
    matched = np.concatenate(matches)
    recall = float(matched.sum() / people) if people else 0.0
    return DetectionMetrics(recall, average_precision(matched, np.concatenate(scores)) * recall)

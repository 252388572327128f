"""Regions to ignore: unannotated people detected there are not false alarms."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from personsearch.boxes import Array, area
from personsearch.evaluation.arrays import EvaluationData, Scene
from personsearch.evaluation.metrics import mutual_matches

IGNORED_IOU = 0.1  # of a detected box and a region


def in_regions(boxes: Array, regions: Sequence[Array]) -> Array:
    """(N,) bool: which boxes have an IoU above 0.1 with a region.

    A small box inside a large region has a smaller IoU, so it counts as outside, as in the authors' code.

    Args:
        boxes: (N, 4) xyxy pixels.
        regions: Polygons, (P, 2) corners in pixels each.

    Source: anDoer/PoseTrack21@b783a23 baselines/seqnet/eval_func.py eval_detection.
    """
    inside = np.zeros(len(boxes), bool)
    areas, low, high = area(boxes), boxes[:, :2], boxes[:, 2:]
    for region in regions:
        first, last = region.min(axis=0), region.max(axis=0)
        size = area_within(region, np.concatenate([first, last]))
        most = np.clip(np.minimum(high, last) - np.maximum(low, first), 0, None).prod(axis=1)  # upper bound of the shared area
        for row in np.flatnonzero(~inside & (most > IGNORED_IOU * np.maximum(areas, size))):
            shared = area_within(region, boxes[row])
            inside[row] = shared > IGNORED_IOU * (size + areas[row] - shared)
    return inside


def area_within(polygon: Array, box: Array) -> float:
    """Area of a polygon inside a box, square pixels.

    Corners, crossings and the sides of the box cut the x axis into spans. Within a span the polygon's height is linear in x, so
    the height at its middle times its width is exact. A polygon that crosses itself has holes where it covers an area twice
    (even-odd rule). The authors repair such polygons with shapely's buffer(0), which drops parts of some; this function keeps all.

    Args:
        polygon: (P, 2) corners; fewer than three give 0.
        box: (4,) xyxy.
    """
    left, top, right, bottom = box.astype(np.float64)
    start, end = polygon.astype(np.float64), np.roll(polygon, -1, axis=0).astype(np.float64)
    cuts = np.concatenate([[left, right], start[:, 0], _crossings(start, end), *(_at_height(start, end, y) for y in (top, bottom))])
    cuts = np.unique(cuts[(cuts >= left) & (cuts <= right)])
    middles, widths = (cuts[1:] + cuts[:-1]) / 2, np.diff(cuts)
    spans = (start[:, :1] < middles) != (end[:, :1] < middles)
    heights = np.full((len(start) + len(start) % 2, len(middles)), bottom)  # in pairs: in, out, in, out
    heights[: len(start)] = np.where(spans, start[:, 1:] + (middles - start[:, :1]) * _slope(start, end), bottom)
    heights = np.sort(np.clip(heights, top, bottom), axis=0)
    return float(((heights[1::2] - heights[::2]).sum(axis=0) * widths).sum())


def without_ignored(data: EvaluationData, min_score: float) -> EvaluationData:
    """The data without detections in regions to ignore that match no annotated person.

    Args:
        data: Scenes, with `Scene.ignored` where a scene has such regions.
        min_score: Score below which detections match no one and stay.

    Source: anDoer/PoseTrack21@b783a23 baselines/seqnet/eval_func.py eval_detection, @9324fc8 baselines/seqnet/engines/engine.py, which
    drops ignored detections from the search too.
    """
    return replace(data, scenes=tuple(_without(scene, min_score) for scene in data.scenes))


def _without(scene: Scene, min_score: float) -> Scene:
    if scene.ignored is None:
        return scene
    counted = np.flatnonzero(scene.detections.scores >= min_score)
    unmatched = counted[~mutual_matches(scene.boxes, scene.detections.boxes[counted])]
    keep = np.ones(len(scene.detections), bool)
    keep[unmatched] = ~scene.ignored[unmatched]
    return scene.take(np.flatnonzero(keep))


def _slope(start: Array, end: Array) -> Array:
    """(P, 1) slope of each side; 0 for vertical sides, which have no width."""
    run, rise = end[:, :1] - start[:, :1], end[:, 1:] - start[:, 1:]
    return np.asarray(np.divide(rise, run, out=np.zeros_like(rise), where=run != 0))


def _at_height(start: Array, end: Array, y: float) -> Array:
    """X coordinates where a side crosses height y."""
    passes = (start[:, 1] < y) != (end[:, 1] < y)
    (x0, y0), (x1, y1) = start[passes].T, end[passes].T
    return np.asarray(x0 + (y - y0) * (x1 - x0) / (y1 - y0))


def _crossings(start: Array, end: Array) -> Array:
    """X coordinates where two sides cross."""
    step = end - start
    first, second = np.triu_indices(len(start), 1)
    between = start[second] - start[first]
    scale = _cross(step[first], step[second])
    crossed = scale != 0  # 0: parallel sides
    first, second, between, scale = first[crossed], second[crossed], between[crossed], scale[crossed]
    along = _cross(between, step[second]) / scale
    across = _cross(between, step[first]) / scale
    meet = (along >= 0) & (along <= 1) & (across >= 0) & (across <= 1)
    return np.asarray((start[first, 0] + along * step[first, 0])[meet])


def _cross(a: Array, b: Array) -> Array:
    return np.asarray(a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0])

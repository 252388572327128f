"""A gallery without unlabelled people, like AGWF's regular gallery of PRW."""

from dataclasses import replace

import numpy as np

from personsearch.boxes import Array, iou
from personsearch.datasets.people import UNLABELLED
from personsearch.evaluation.arrays import EvaluationData, Scene
from personsearch.evaluation.metrics import DETECTION_IOU


def without_unlabelled(data: EvaluationData) -> EvaluationData:
    """The data without the detections of unlabelled people.

    A detection belongs to an unlabelled person if, of all true boxes, it overlaps an unlabelled one most, with an IoU of at
    least 0.5. The paper says only that the gallery "ignores the unlabeled persons in the test images". Matching by boxes is
    our choice, as an unlabelled person has no other mark.

    Source: Han et al., End-to-End Trainable Trident Person Search Network Using Adaptive Gradient Propagation (ICCV 2021), Sec. 5.1.
    """
    return replace(data, scenes=tuple(_without(scene) for scene in data.scenes))


def _without(scene: Scene) -> Scene:
    if not len(scene.boxes) or not len(scene.detections.boxes):
        return scene
    overlap: Array = iou(scene.detections.boxes, scene.boxes)
    best = overlap.argmax(axis=1)
    ignored = (overlap.max(axis=1) >= DETECTION_IOU) & (scene.ids[best] == UNLABELLED)
    return scene.take(np.flatnonzero(~ignored))

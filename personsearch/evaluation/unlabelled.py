"""A gallery that ignores unlabelled people, as AGWF's regular gallery of PRW does."""

from dataclasses import replace

import numpy as np

from personsearch.boxes import Array, iou
from personsearch.evaluation.arrays import UNLABELLED, EvaluationData, Scene

SAME_PERSON_IOU = 0.5


def without_unlabelled(data: EvaluationData) -> EvaluationData:
    """The same data, less the people found who are the unlabelled ones.

    A found person is an unlabelled one if of all true boxes an unlabelled one fits best, from IoU 0.5 on. The paper says
    only that the gallery "ignores the unlabeled persons in the test images"; that they are known by their boxes is our choice,
    as nothing else tells them apart.

    Source: Han et al., End-to-End Trainable Trident Person Search Network Using Adaptive Gradient Propagation (ICCV 2021), Sec. 5.1.
    """
    return replace(data, scenes=tuple(_without(scene) for scene in data.scenes))


def _without(scene: Scene) -> Scene:
    if not len(scene.boxes) or not len(scene.found.boxes):
        return scene
    overlap: Array = iou(scene.found.boxes, scene.boxes)
    best = overlap.argmax(axis=1)
    ignored = (overlap.max(axis=1) >= SAME_PERSON_IOU) & (scene.ids[best] == UNLABELLED)
    return scene.take(np.flatnonzero(~ignored))

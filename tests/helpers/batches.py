"""Check that detections do not depend on the batch."""

from collections.abc import Sequence

import numpy as np

from personsearch.boxes import Array
from personsearch.models.scene import SceneModel
from personsearch.results import Detections

# The order of float32 sums on a CPU depends on the batch: boxes moved by up to 2e-4 pixels, the rest by some 1e-6.
BOUNDS = {"boxes": 5e-3, "scores": 1e-4, "embeddings": 1e-4}


def detections_in_any_batch(model: SceneModel, images: Sequence[Array]) -> list[Detections]:
    """The detections of each image, checked to be equal alone and in one batch."""
    prepared = [model.prepare(image) for image in images]
    together = model.detect(prepared)
    for image, detections in zip(prepared, together, strict=True):
        (alone,) = model.detect([image])
        assert len(alone) == len(detections)
        for name, bound in BOUNDS.items():
            np.testing.assert_allclose(getattr(detections, name), getattr(alone, name), atol=bound, rtol=0)
    return together

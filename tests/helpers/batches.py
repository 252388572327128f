"""That what an image gives does not depend on its batch."""

from collections.abc import Sequence

import numpy as np

from personsearch.boxes import Array
from personsearch.models.scene import SceneModel
from personsearch.results import Detections

# How a CPU sums in float32 depends on the batch: boxes moved by up to 2e-4 pixels, the rest by some 1e-6.
BOUNDS = {"boxes": 5e-3, "scores": 1e-4, "embeddings": 1e-4}


def found_alone_and_together(model: SceneModel, images: Sequence[Array]) -> list[Detections]:
    """The people of each image, the same alone as in the batch of all."""
    prepared = [model.prepare(image) for image in images]
    together = model.detect(prepared)
    for image, found in zip(prepared, together, strict=True):
        (alone,) = model.detect([image])
        assert len(alone) == len(found)
        for name, bound in BOUNDS.items():
            np.testing.assert_allclose(getattr(found, name), getattr(alone, name), atol=bound, rtol=0)
    return together

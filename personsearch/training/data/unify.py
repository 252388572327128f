"""Data unification of the hybrid pre-training: a bare crop becomes a scene with one person in it, of any size.

Source: "Divide and Conquer: Hybrid Pre-training for Person Search" (arXiv 2312.07970), Data unification and Table 4.
"""

import math
from typing import Literal

import numpy as np
from pydantic import model_validator

from personsearch.boxes import Array
from personsearch.images import opencv
from personsearch.options import Settings
from personsearch.training.data.dataset import Sample

cv2 = opencv()

Operation = Literal["expand_resize", "random_paste"]


class UnifyRecipe(Settings):
    """How a crop gets its scene. The paper gives no numbers; these make people of 225 to 900 pixels in its usual input."""

    operation: Operation = "expand_resize"
    size: tuple[int, int] = (900, 1500)  # (height, width) of the scene, pixels
    ratios: tuple[float, float] = (1.0, 4.0)  # height of the canvas over the crop's, before both are resized; every octave is as likely
    stretch: bool = False  # the canvas has the crop's shape, so that resizing it to `size` changes the person's

    @model_validator(mode="after")
    def _possible(self) -> "UnifyRecipe":
        if min(self.size) < 8:
            raise ValueError(f"size must be at least 8 x 8, got {self.size}")
        if not 1 <= self.ratios[0] <= self.ratios[1] < math.inf:
            raise ValueError(f"ratios must be two numbers from 1 on, the smaller first, got {self.ratios}")
        return self


def unify(crop: Sample, recipe: UnifyRecipe, rng: np.random.Generator) -> Sample:
    """The crop somewhere on a canvas of `recipe.size`, and its box there.

    "expand_resize" puts it on a canvas of `ratios` times its height and resizes the canvas to the fixed size, so that people of all
    sizes come out of crops of one. The paper says "a canvas of varying proportions to the size of the image": ours has the shape
    of the fixed size, as a canvas of the crop's shape would stretch people (`stretch` does that). "random_paste" keeps the
    crop's own size; one that does not fit is made smaller.

    What is around the person has the crop's mean colour, as in `personsearch.models.scene_input.scene_of_crop`; the paper does not say.

    Args:
        crop: one person, whose box is the whole picture.
        recipe: operation and numbers.
        rng: decides ratio and place.
    """
    height, width = recipe.size
    own_height, own_width = crop.image.shape[:2]
    if recipe.operation == "random_paste":
        factor = min(1.0, height / own_height, width / own_width)
        wanted = (own_height * factor, own_width * factor)
    else:
        ratio = math.exp(rng.uniform(*np.log(recipe.ratios)))
        factor = min(height / (ratio * own_height), width / own_width)
        wanted = (height / ratio, width / ratio) if recipe.stretch else (own_height * factor, own_width * factor)
    tall, wide = (max(1, math.floor(side + 0.5)) for side in wanted)
    return _placed(crop, (height, width), (tall, wide), rng)


def _placed(crop: Sample, canvas: tuple[int, int], person: tuple[int, int], rng: np.random.Generator) -> Sample:
    """The crop resized to `person` (height, width), on a `canvas`."""
    (height, width), (tall, wide) = canvas, person
    top, left = int(rng.integers(height - tall + 1)), int(rng.integers(width - wide + 1))
    image: Array = np.empty((height, width, 3), np.uint8)
    image[:] = crop.image.reshape(-1, 3).mean(axis=0).round().astype(np.uint8)
    image[top : top + tall, left : left + wide] = cv2.resize(crop.image, (wide, tall), interpolation=cv2.INTER_LINEAR)
    box = np.array([[left, top, left + wide, top + tall]], np.float32)
    return Sample(image, box, crop.identities, crop.camera)

"""The teacher labels photographs without boxes: it looks at them at sizes that its ONNX file does not take."""

from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor
from torchvision.ops import nms

from examples.nano.teacher import Teacher
from personsearch.boxes import Array
from personsearch.models.nano.detector import pixels_of
from personsearch.models.parts.csp_darknet import STRIDES
from personsearch.models.parts.letterbox import GREY, View

NMS_IOU = 0.5
ALL_SIZES = ((416, 736), (640, 1120), (896, 1600))  # pixels, (height, width) that a picture is fitted into
LEAST_SCORE = 0.1  # of all sizes together


class Labeller:
    """Finds people in pictures of any size.

    Args:
        file: YOLOX-Nano as its authors export it to ONNX.
    """

    def __init__(self, file: Path) -> None:
        self.teacher = Teacher(file)

    def people(self, image: Array, size: tuple[int, int], least_score: float) -> tuple[Array, Array]:
        """Boxes (N, 4) float32 xyxy pixels of an RGB uint8 image (H, W, 3), fitted into `size`, and scores (N,), best first."""
        view = fitted(image, size)
        with torch.inference_mode():
            cells = self.teacher(pixels_of(torch.from_numpy(view.canvas)[None]))
        scores = cells.logits[0].sigmoid()
        likely = scores > least_score
        boxes, scores = _different(cells.boxes[0][likely], scores[likely])
        return view.to_image(boxes.numpy()), scores.numpy()

    def people_at_all_sizes(self, image: Array) -> tuple[Array, Array]:
        """As `people`, of what `ALL_SIZES` show together, of the picture and of its mirror image."""
        width = image.shape[1]
        found = []
        for size in ALL_SIZES:
            found.append(self.people(image, size, LEAST_SCORE))
            boxes, scores = self.people(image[:, ::-1], size, LEAST_SCORE)
            found.append((np.stack([width - boxes[:, 2], boxes[:, 1], width - boxes[:, 0], boxes[:, 3]], axis=1), scores))
        boxes, scores = (np.concatenate(parts) for parts in zip(*found, strict=True))
        kept = _different(torch.from_numpy(boxes), torch.from_numpy(scores))
        return kept[0].numpy(), kept[1].numpy()


def fitted(image: Array, size: tuple[int, int]) -> View:
    """The whole image, its shape kept, as large as fits into `size` (height, width), on the smallest canvas of whole cells."""
    height, width = image.shape[:2]
    ratio = min(size[0] / height, size[1] / width)
    sides = max(1, round(height * ratio)), max(1, round(width * ratio))
    canvas = np.full((*(-(-side // STRIDES[-1]) * STRIDES[-1] for side in sides), 3), GREY, np.uint8)
    canvas[: sides[0], : sides[1]] = cv2.resize(image, sides[::-1], interpolation=cv2.INTER_AREA if ratio < 1 else cv2.INTER_LINEAR)
    return View(canvas, (0, 0, width, height), sides, (height, width))


def _different(boxes: Tensor, scores: Tensor) -> tuple[Tensor, Tensor]:
    kept = nms(boxes, scores, NMS_IOU)
    return boxes[kept], scores[kept]

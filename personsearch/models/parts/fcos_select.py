"""People of one image from the maps of an FCOS head, and the cell of a box."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torchvision.ops import nms

from personsearch.models.parts.fcos import LevelMaps

# Distance to a person's farthest side, in strides, above which the person belongs to the next level (FCOS: 64, 128, ...
# pixels; the paper's Table I: 128 pixels up to P3, 256 up to P4).
REACH_IN_STRIDES = 16


@dataclass(frozen=True)
class SelectionRules:
    """The released thresholds."""

    min_class_score: float = 0.05  # of sigmoid(class) without centerness; the score must be above it
    before_nms: int = 1000  # cells of a level that enter NMS, by class score x centerness
    nms_iou: float = 0.5  # in original pixels
    max_people: int = 100


@dataclass(frozen=True)
class DenseDetections:
    """People of one image with their cells, best first; N may be 0."""

    boxes: Tensor  # (N, 4) float32, xyxy pixels of the original image
    scores: Tensor  # (N,) float32, class score x centerness
    features: Tensor  # (N, D) re-id features of their cells, not normalised
    cells: Tensor  # (N, 3) int64: index of the level, row, column


def box_scale(resized: tuple[int, int], original: tuple[int, int], like: Tensor) -> Tensor:
    """(4,) float32 factors from xyxy boxes of the original image to the resized image."""
    y, x = resized[0] / original[0], resized[1] / original[1]
    return torch.tensor([x, y, x, y], dtype=torch.float32, device=like.device)


def select(
    levels: Sequence[LevelMaps], image: int, resized: tuple[int, int], original: tuple[int, int], rules: SelectionRules
) -> DenseDetections:
    """The people of image number `image` of the batch.

    Source: daodaofr/AlignPS@5d62dbc (`_get_bboxes_single`, `multiclass_nms_reid`).
    """
    candidates = [_candidates(maps, number, image, resized, rules) for number, maps in enumerate(levels)]
    boxes, classes, scores, cells, features = (torch.cat(tensors) for tensors in zip(*candidates, strict=True))
    boxes = boxes / box_scale(resized, original, boxes)
    likely = classes > rules.min_class_score
    boxes, scores, cells, features = boxes[likely], scores[likely], cells[likely], features[likely]
    order = scores.argsort(descending=True, stable=True)
    best = order[nms(boxes[order], scores[order], rules.nms_iou)[: rules.max_people]]
    return DenseDetections(boxes[best], scores[best], features[best], cells[best])


def features_at(levels: Sequence[LevelMaps], image: int, boxes: Tensor) -> Tensor:
    """(N, D) re-id features at the centres of (N, 4) boxes, xyxy pixels of the resized image.

    The size of a box decides its level.
    """
    reach = (boxes[:, 2:] - boxes[:, :2]).amax(dim=1) / 2
    limits = torch.tensor([maps.stride * REACH_IN_STRIDES for maps in levels[:-1]], dtype=boxes.dtype, device=boxes.device)
    level_numbers = torch.bucketize(reach, limits)
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    features = boxes.new_zeros(len(boxes), levels[0].features.shape[1])
    for number, maps in enumerate(levels):
        height, width = maps.features.shape[2:]
        here = level_numbers == number
        column, row = (centres[here] / maps.stride).long().unbind(dim=1)
        features[here] = maps.features[image, :, row.clamp(0, height - 1), column.clamp(0, width - 1)].T.float()
    return features


def _candidates(maps: LevelMaps, level_number: int, image: int, resized: tuple[int, int], rules: SelectionRules) -> tuple[Tensor, ...]:
    classes = maps.class_logits[image].float().sigmoid().flatten()
    scores = classes * maps.centerness_logits[image].float().sigmoid().flatten()
    cells = torch.arange(len(scores), device=scores.device)
    if len(scores) > rules.before_nms:
        cells = scores.topk(rules.before_nms).indices
    width = maps.class_logits.shape[3]
    row, column = cells // width, cells % width
    distances = maps.distances[image].flatten(1).T[cells].float() * maps.stride
    centre = torch.stack([column, row], dim=1) * maps.stride + maps.stride // 2
    boxes = torch.cat([centre - distances[:, :2], centre + distances[:, 2:]], dim=1)
    boxes[:, 0::2] = boxes[:, 0::2].clamp(0, resized[1])
    boxes[:, 1::2] = boxes[:, 1::2].clamp(0, resized[0])
    position = torch.stack([torch.full_like(row, level_number), row, column], dim=1)
    return boxes, classes[cells], scores[cells], position, maps.features[image].flatten(1).T[cells].float()

"""The losses of the FCOS head: which cell is whose, and how wrong its class, box and centerness are."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor
from torchvision.ops import generalized_box_iou_loss, sigmoid_focal_loss

from personsearch.models.parts.fcos import LevelMaps
from personsearch.models.parts.fcos_select import REACH_IN_STRIDES
from personsearch.options import Settings

BACKGROUND = -1  # index of the person of a cell that is background
GIOU_EPS = 1e-6


class DenseRecipe(Settings):
    """The numbers of the FCOS losses; paper and code agree on them."""

    radius: float = Field(default=1.5, gt=0)  # of center sampling, in strides
    focal_alpha: float = Field(default=0.25, ge=0, le=1)
    focal_gamma: float = Field(default=2.0, ge=0)
    class_weight: float = Field(default=1.0, ge=0)
    box_weight: float = Field(default=1.0, ge=0)
    centerness_weight: float = Field(default=1.0, ge=0)


@dataclass(frozen=True)
class PyramidCells:
    """All cells of one image, level by level, row by row."""

    centres: Tensor  # (P, 2) x, y in pixels of the resized image
    strides: Tensor  # (P,)
    smallest: Tensor  # (P,) pixels; a cell's person reaches at least so far from it
    greatest: Tensor  # (P,) and at most so far


@dataclass(frozen=True)
class DenseOutput:
    """The head's maps of a batch as rows: cell p of image b is row b * P + p."""

    class_logits: Tensor  # (B * P,)
    centerness_logits: Tensor  # (B * P,)
    distances: Tensor  # (B * P, 4) to left, top, right, bottom, in strides
    features: Tensor  # (B * P, D)


@dataclass(frozen=True)
class DenseTargets:
    """What the rows of a `DenseOutput` should be."""

    positive: Tensor  # (B * P,) bool
    distances: Tensor  # (K, 4) of the positive rows, in strides
    identities: Tensor  # (K,) of the positive rows


def cells_of(levels: Sequence[LevelMaps]) -> PyramidCells:
    """The cells of a head's maps."""
    parts = []
    for number, maps in enumerate(levels):
        height, width = maps.class_logits.shape[2:]
        y, x = (torch.arange(side, device=maps.class_logits.device) * maps.stride + maps.stride // 2 for side in (height, width))
        row, column = torch.meshgrid(y, x, indexing="ij")
        centres = torch.stack([column, row], dim=2).reshape(-1, 2).float()
        last = number == len(levels) - 1
        reach = (
            levels[number - 1].stride * REACH_IN_STRIDES if number else -torch.inf,
            torch.inf if last else maps.stride * REACH_IN_STRIDES,
        )
        parts.append((centres, *(centres.new_full((len(centres),), value) for value in (maps.stride, *reach))))
    return PyramidCells(*(torch.cat(part) for part in zip(*parts, strict=True)))


def rows_of(levels: Sequence[LevelMaps]) -> DenseOutput:
    """The head's maps as rows, float32."""

    def rows(field: str) -> Tensor:
        maps = [getattr(one, field).float().flatten(2).permute(0, 2, 1) for one in levels]
        return torch.cat(maps, dim=1).flatten(0, 1)

    return DenseOutput(rows("class_logits")[:, 0], rows("centerness_logits")[:, 0], rows("distances"), rows("features"))


def assign(cells: PyramidCells, boxes: Tensor, radius: float) -> tuple[Tensor, Tensor]:
    """Whose each cell is: (P,) int64 index of the person or -1, and (P, 4) distances in pixels to that person's sides.

    A cell is a person's if its centre lies inside the box and nearer to the box's centre than `radius` strides along both
    axes. Where it is several people's, the smallest has it.

    Args:
        cells: cells of the image.
        boxes: (N, 4) xyxy pixels of the resized image; N may be 0.
        radius: radius of center sampling, in strides.

    Source: FCOS (arXiv 1904.01355) with center sampling; daodaofr/AlignPS@5d62dbc (_get_target_single).
    """
    if not len(boxes):
        background = torch.full((len(cells.centres),), BACKGROUND, device=boxes.device)
        return background, boxes.new_zeros(len(background), 4)
    x, y = cells.centres[:, 0, None], cells.centres[:, 1, None]
    distances = torch.stack([x - boxes[:, 0], y - boxes[:, 1], boxes[:, 2] - x, boxes[:, 3] - y], dim=2)  # (P, N, 4)
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2
    off = (cells.centres[:, None] - middle).abs().amax(dim=2)
    reach = distances.amax(dim=2)
    own = (distances.amin(dim=2) > 0) & (off < radius * cells.strides[:, None])
    own &= (reach >= cells.smallest[:, None]) & (reach <= cells.greatest[:, None])
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    smallest, person = torch.where(own, areas, torch.inf).min(dim=1)
    chosen = distances[torch.arange(len(person), device=person.device), person]
    return person.masked_fill(smallest.isinf(), BACKGROUND), chosen


def targets_of(cells: PyramidCells, boxes: Sequence[Tensor], identities: Sequence[Tensor], radius: float) -> DenseTargets:
    """The targets of a batch, of each image's (N, 4) boxes and (N,) identities."""
    people, distances, names = [], [], []
    for image_boxes, image_identities in zip(boxes, identities, strict=True):
        person, reach = assign(cells, image_boxes, radius)
        positive = person != BACKGROUND
        people.append(positive)
        distances.append((reach / cells.strides[:, None])[positive])
        names.append(image_identities[person[positive]])
    return DenseTargets(torch.cat(people), torch.cat(distances), torch.cat(names))


def dense_losses(output: DenseOutput, targets: DenseTargets, images: int, recipe: DenseRecipe) -> dict[str, Tensor]:
    """Weighted losses: `class` over all rows, `box` and `centerness` over the positive ones.

    Args:
        output: output of the head.
        targets: targets of the same rows.
        images: B; the class loss is divided by the positive rows plus B, so that a batch without people has one.
        recipe: its numbers.

    Source: daodaofr/AlignPS@5d62dbc (fcos_reid_head_focal_sub_triqueue3.py).
    """
    positive = targets.positive
    classes = sigmoid_focal_loss(
        output.class_logits, positive.to(output.class_logits.dtype), alpha=recipe.focal_alpha, gamma=recipe.focal_gamma, reduction="sum"
    ) / (positive.sum() + images)
    centerness = centerness_of(targets.distances)
    off = generalized_box_iou_loss(around(output.distances[positive]), around(targets.distances), eps=GIOU_EPS)
    boxes = (off * centerness).sum() / centerness.sum().clamp(min=GIOU_EPS)
    centers = F.binary_cross_entropy_with_logits(output.centerness_logits[positive], centerness, reduction="sum")
    return {
        "class": recipe.class_weight * classes,
        "box": recipe.box_weight * boxes,
        "centerness": recipe.centerness_weight * centers / max(1, len(centerness)),
    }


def centerness_of(distances: Tensor) -> Tensor:
    """(K,) 0..1 of (K, 4) distances to left, top, right, bottom: 1 in the middle. Source: arXiv 1904.01355, Eq. 3."""
    sides = torch.stack([distances[:, 0::2], distances[:, 1::2]], dim=1)
    ratios = sides.amin(dim=2) / sides.amax(dim=2)
    return ratios.prod(dim=1).sqrt()


def around(distances: Tensor) -> Tensor:
    """(K, 4) xyxy boxes around the origin, of distances to left, top, right, bottom; IoU needs no more."""
    return torch.cat([-distances[:, :2], distances[:, 2:]], dim=1)

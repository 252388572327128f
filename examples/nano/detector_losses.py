"""What the cells of the detector learn: the teacher's score and box, where the labels do not know better."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import box_iou, generalized_box_iou_loss

from examples.nano.pictures import TrainView
from personsearch.models.nano.detector import CellPredictions
from personsearch.models.parts.csp_darknet import STRIDES

RADIUS = 1.5  # strides around a person's middle in which cells are the person's
REACH = (0, 64, 128, math.inf)  # pixels; half the greater side of a person's box decides the level
EXPLAINED = 0.5  # IoU of a cell's box with a person
SEEN = 0.25  # the teacher's score of a person it needs no help with
LEAST = 0.05  # a target below it has no box


def quality_focal(logits: Tensor, target: Tensor) -> Tensor:
    """Binary cross-entropy against a soft target, times the squared distance to it.

    The factor carries no gradient here, as it does in the paper: it says how much a cell counts, not where to go.

    Source: Li et al., Generalized Focal Loss (arXiv 2006.04388), Eq. 2 with beta 2.
    """
    off = (target - logits.sigmoid()).detach().square()
    return off * F.binary_cross_entropy_with_logits(logits, target, reduction="none")


def cell_middles(side: int) -> tuple[Tensor, Tensor]:
    """(P, 2) x, y of the middles of all cells of a square view, and (P,) their level 0..2."""
    middles, levels = [], []
    for level, stride in enumerate(STRIDES):
        at = torch.arange(side // stride) * stride + stride / 2
        row, column = torch.meshgrid(at, at, indexing="ij")
        middles.append(torch.stack([column, row], dim=2).flatten(0, 1))
        levels.append(torch.full((len(middles[-1]),), level))
    return torch.cat(middles), torch.cat(levels)


def assign(middles: Tensor, levels: Tensor, boxes: Tensor) -> Tensor:
    """(P,) number of each cell's person or -1: near the middle of a box of the level's size; the smallest box wins."""
    background = torch.full((len(middles),), -1)
    if not len(boxes):
        return background
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2
    sides = boxes[:, 2:] - boxes[:, :2]
    level = torch.bucketize(sides.amax(dim=1) / 2, torch.tensor(REACH[1:-1], dtype=sides.dtype))
    off = (middles[:, None] - centre).abs()
    stride = torch.tensor(STRIDES)[levels][:, None]
    inside = (off * 2 < sides + stride[:, None] / 2).all(dim=2)  # half a cell of grace: narrow people have a cell too
    own = (off.amax(dim=2) < RADIUS * stride) & inside & (levels[:, None] == level)
    area, person = torch.where(own, sides.prod(dim=1), torch.inf).min(dim=1)
    return person.masked_fill(area.isinf(), -1)


def losses_of(cells: CellPredictions, taught: CellPredictions, views: list[TrainView]) -> dict[str, Tensor]:
    """`score` and `box` of a batch of views.

    The teacher's score of a cell is the target, but where the labels know better: it is 0 without a person, and a person
    that the teacher hardly sees has the cells of its middle, with the overlap of their boxes as the target.
    """
    middles, levels = cell_middles(len(views[0].canvas))
    score, box, weight = [], [], []
    for logits, found, scores, boxes, one in zip(cells.logits, cells.boxes, taught.logits.sigmoid(), taught.boxes, views, strict=True):
        true, unsure = torch.from_numpy(one.boxes), torch.from_numpy(one.unsure)
        explained = best_overlap(boxes, torch.cat([true, unsure])) >= EXPLAINED
        target = torch.where(explained, scores, 0.0)
        wanted = boxes.clone()
        mine = assign(middles, levels, true)
        missed = seen_at_best(scores, boxes, true) < SEEN
        own = (mine >= 0) & missed[mine.clamp(min=0)] if len(true) else torch.zeros_like(explained)
        wanted[own] = true[mine[own]]
        target[own] = torch.maximum(target[own], _pair_iou(found[own].detach(), wanted[own]))
        counts = target > LEAST
        box.append(generalized_box_iou_loss(found[counts], wanted[counts], eps=1e-6))
        weight.append(target[counts].clamp(min=0.2))
        score.append(quality_focal(logits, target).sum())
    weights = torch.cat(weight)
    total = weights.sum().clamp(min=1)
    return {"score": 2 * torch.stack(score).sum() / total, "box": 1.5 * (torch.cat(box) * weights).sum() / total}


def best_overlap(boxes: Tensor, people: Tensor) -> Tensor:
    """(P,) greatest IoU of each of (P, 4) boxes with (N, 4) people; 0 where there are none."""
    return box_iou(boxes, people).amax(dim=1) if len(people) else torch.zeros(len(boxes))


def seen_at_best(scores: Tensor, boxes: Tensor, people: Tensor) -> Tensor:
    """(N,) greatest of (P,) scores of boxes that fit each of (N, 4) people."""
    if not len(people):
        return torch.zeros(0)
    return torch.where(box_iou(boxes, people) >= EXPLAINED, scores[:, None], 0.0).amax(dim=0)


def _pair_iou(first: Tensor, second: Tensor) -> Tensor:
    low, high = torch.maximum(first[:, :2], second[:, :2]), torch.minimum(first[:, 2:], second[:, 2:])
    shared = (high - low).clamp(min=0).prod(dim=1)
    areas = [(one[:, 2:] - one[:, :2]).prod(dim=1) for one in (first, second)]
    return shared / (areas[0] + areas[1] - shared).clamp(min=1e-6)


def cells_like(cells: CellPredictions, taught: CellPredictions) -> dict[str, Tensor]:
    """`score` and `box` of cells that should be as the teacher's."""
    target = taught.logits.sigmoid()
    counts = target > LEAST
    total = target[counts].sum().clamp(min=1)
    box = generalized_box_iou_loss(cells.boxes[counts], taught.boxes[counts], eps=1e-6)
    return {"score": 2 * quality_focal(cells.logits, target).sum() / total, "box": 1.5 * (box * target[counts]).sum() / total}

"""The losses of region proposals and of the heads that look at regions, and which regions they learn from."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor
from torchvision.models.detection._utils import BalancedPositiveNegativeSampler, BoxCoder, Matcher
from torchvision.ops import box_iou

from personsearch.datasets.people import UNLABELLED
from personsearch.models.parts.rpn import MIN_SIDE
from personsearch.options import Settings

BoxLoss = Literal["smooth_l1", "l1"]
Matching = Literal["torchvision", "mmdet"]
BoxMean = Literal["regions", "people"]
POSITIVE, NEGATIVE, NO_PART = 1, 0, -1  # labels of a box
NOWHERE = -1.0  # all corners of the box of an image without people


class SamplingRecipe(Settings):
    """Which boxes of an image a loss sees, and which of them are people."""

    count: int = Field(default=128, ge=2)  # of an image
    positive_share: float = Field(default=0.5, gt=0, lt=1)  # at most
    positive_iou: float = Field(default=0.5, gt=0, le=1)  # at least, with a person
    negative_iou: float = Field(default=0.5, ge=0, le=1)  # below it no person; in between no part
    people_first: bool = False  # order of the regions: the true boxes before the proposals, as in mmdet, or after them

    @model_validator(mode="after")
    def _ordered(self) -> "SamplingRecipe":
        if self.negative_iou > self.positive_iou:
            raise ValueError(f"negative_iou {self.negative_iou} is above positive_iou {self.positive_iou}")
        return self


class ProposalRecipe(Settings):
    """How region proposals learn; the defaults are NAE's and SeqNet's, with the torchvision 0.4.0 that they ask for."""

    sampling: SamplingRecipe = SamplingRecipe(count=256, positive_iou=0.7, negative_iou=0.3)
    before_nms: int = Field(default=12000, ge=1)  # more than a trained network keeps
    after_nms: int = Field(default=2000, ge=1)
    box_loss: BoxLoss = "l1"  # "smooth_l1", with beta 1/9: later versions of torchvision
    box_weight: float = Field(default=1.0, ge=0)
    # Anchors that a person overlaps most are positive. "torchvision": with any overlap, and an anchor learns the person that it overlaps
    # most. "mmdet" (AlignPS's code): from an IoU of `best_iou` on, and the anchor learns that person, of several the last
    matching: Matching = "torchvision"
    best_iou: float = Field(default=0.3, ge=0, le=1)  # of "mmdet"
    inside_only: bool = False  # only anchors inside the image are matched (AlignPS's code)
    min_side: float = Field(default=MIN_SIDE, ge=0)  # pixels; proposals with a shorter side are dropped. AlignPS's code keeps all: 0


class RegionRecipe(Settings):
    """How a head that looks at regions learns; the defaults are SeqNet's second head."""

    sampling: SamplingRecipe = SamplingRecipe()
    box_loss: BoxLoss = "smooth_l1"
    box_weight: float = Field(default=1.0, ge=0)
    class_weight: float = Field(default=1.0, ge=0)
    box_mean: BoxMean = "regions"  # the box loss is a mean over all regions (the authors' code), or "people" (SeqNet, Eq. 1)


@dataclass(frozen=True)
class SampledRegions:
    """The regions of a batch that a head learns from; N is their sum over the images."""

    boxes: list[Tensor]  # (N_i, 4) of each image
    positive: Tensor  # (N,) bool, whether a person
    matched: Tensor  # (N, 4), the box of the person it overlaps most; all -1 in an image without people
    identities: Tensor  # (N,) of that person; -1 for the unlabelled and for negatives

    @property
    def all_boxes(self) -> Tensor:
        """(N, 4)."""
        return torch.cat(self.boxes)


def match(boxes: Tensor, people: Tensor, recipe: SamplingRecipe, *, keep_best: bool = False) -> tuple[Tensor, Tensor]:
    """(N,) int64: 1 person, 0 none, -1 in between; and (N,) index of the person that each of N boxes overlaps most.

    Args:
        boxes: (N, 4) xyxy.
        people: (M, 4); M may be 0, then all indices are 0.
        recipe: thresholds.
        keep_best: the boxes that overlap a person most are positive, however little that is.
    """
    if not len(people) or not len(boxes):
        nothing = torch.zeros(len(boxes), dtype=torch.int64, device=boxes.device)
        return nothing, nothing
    overlap = box_iou(people, boxes)
    found = Matcher(recipe.positive_iou, recipe.negative_iou, allow_low_quality_matches=keep_best)(overlap)
    labels = torch.where(found >= 0, POSITIVE, torch.where(found == Matcher.BETWEEN_THRESHOLDS, NO_PART, NEGATIVE))
    return labels, torch.where(found >= 0, found, overlap.argmax(dim=0))


def match_anchors(anchors: Tensor, people: Tensor, frame: Tensor, recipe: ProposalRecipe) -> tuple[Tensor, Tensor]:
    """Labels and indices of the anchors, as `match` gives them; those that stick out have no part if the recipe says so.

    Args:
        anchors: (A, 4) xyxy pixels.
        people: (M, 4).
        frame: Width, height, width, height of the resized image, (4,).
        recipe: Thresholds and rules.

    Source: daodaofr/AlignPS@5d62dbc, mmdet 2.4.0 (`anchor_inside_flags`, `MaxIoUAssigner`) for "mmdet" and `inside_only`.
    """
    inside = torch.ones(len(anchors), dtype=torch.bool, device=anchors.device)
    if recipe.inside_only:
        inside = (anchors[:, :2] >= 0).all(dim=1) & (anchors[:, 2:] < frame[2:]).all(dim=1)
    labels = torch.full((len(anchors),), NO_PART, dtype=torch.int64, device=anchors.device)
    index = torch.zeros_like(labels)
    rows = torch.where(inside)[0]  # before matching: a person's best anchor may stick out, and then the best one inside is taken
    labels[rows], index[rows] = (
        match(anchors[rows], people, recipe.sampling, keep_best=True)
        if recipe.matching == "torchvision"
        else _match_mmdet(anchors[rows], people, recipe)
    )
    return labels, index


def _match_mmdet(anchors: Tensor, people: Tensor, recipe: ProposalRecipe) -> tuple[Tensor, Tensor]:
    if not len(people) or not len(anchors):
        return match(anchors, people, recipe.sampling)
    overlap = box_iou(people, anchors)
    most, index = overlap.max(dim=0)
    labels = torch.where(most < recipe.sampling.negative_iou, NEGATIVE, NO_PART)
    labels[most >= recipe.sampling.positive_iou] = POSITIVE
    for person, row in enumerate(overlap):
        best = row.max()
        if best >= recipe.best_iou:
            labels[row == best], index[row == best] = POSITIVE, person
    return labels, index


def sample_regions(
    proposals: Sequence[Tensor], people: Sequence[Tensor], identities: Sequence[Tensor], recipe: SamplingRecipe
) -> SampledRegions:
    """A random choice of each image's proposals and true boxes, in their order.

    Args:
        proposals: (N_i, 4) of each image; no gradient flows through them.
        people: (M_i, 4) true boxes, which are proposals too, in the recipe's order.
        identities: (M_i,), -1 for the unlabelled.
        recipe: number of regions, and the thresholds.
    """
    boxes, positives, matched, names = [], [], [], []
    for candidates, true_boxes, true_names in zip(proposals, people, identities, strict=True):
        parts = [candidates.detach(), true_boxes]
        everyone = torch.cat(parts[::-1] if recipe.people_first else parts)
        labels, index = match(everyone, true_boxes, recipe)
        chosen = _draw(labels, recipe)
        kept, index, positive = everyone[chosen], index[chosen], labels[chosen] == POSITIVE
        boxes.append(kept)
        positives.append(positive)
        matched.append(true_boxes[index] if len(true_boxes) else torch.full_like(kept, NOWHERE))
        names.append(torch.where(positive, true_names[index], UNLABELLED) if len(true_boxes) else torch.full_like(index, UNLABELLED))
    return SampledRegions(boxes, torch.cat(positives), torch.cat(matched), torch.cat(names))


def region_box_loss(deltas: Tensor, regions: SampledRegions, coder: BoxCoder, recipe: RegionRecipe) -> Tensor:
    """The weighted box loss of the positive regions: the mean over all regions, or over these, as SeqNet's Eq. 1 is printed."""
    positive = regions.positive
    targets = coder.encode_single(regions.matched[positive], regions.all_boxes[positive])
    count = int(positive.sum()) if recipe.box_mean == "people" else len(positive)
    return recipe.box_weight * _off(deltas[positive], targets, recipe.box_loss, beta=1.0) / max(1, count)


def proposal_losses(
    logits: Tensor, deltas: Tensor, anchors: Tensor, frames: Tensor, people: Sequence[Tensor], coder: BoxCoder, recipe: ProposalRecipe
) -> dict[str, Tensor]:
    """`rpn_class` and `rpn_box`, means over the sampled anchors.

    Args:
        logits: (B, A) of being a person.
        deltas: (B, A, 4).
        anchors: (A, 4) xyxy pixels.
        frames: (B, 4) width, height, width, height of each resized image.
        people: (M, 4) true boxes of each image.
        coder: coder of the deltas.
        recipe: thresholds and weights.

    Source: Faster R-CNN (arXiv 1506.01497), Eq. 1-2, as torchvision computes it.
    """
    labels, targets = [], []
    for frame, true_boxes in zip(frames, people, strict=True):
        label, index = match_anchors(anchors, true_boxes, frame, recipe)
        chosen = _draw(label, recipe.sampling)
        labels.append(torch.full_like(label, NO_PART).index_copy_(0, chosen, label[chosen]))
        targets.append(true_boxes[index] if len(true_boxes) else anchors)
    label = torch.stack(labels)
    sampled, positive = label != NO_PART, label == POSITIVE
    count = max(1, int(sampled.sum()))
    boxes = coder.encode_single(torch.stack(targets)[positive], anchors.expand(len(label), -1, -1)[positive])
    classes = F.binary_cross_entropy_with_logits(logits[sampled], positive[sampled].to(logits.dtype), reduction="sum")
    off = _off(deltas[positive], boxes, recipe.box_loss, beta=1 / 9)
    return {"rpn_class": classes / count, "rpn_box": recipe.box_weight * off / count}


def cell_labels(regions: SampledRegions, size: int) -> Tensor:
    """(N, 1, size, size) float32: 1 for the cells of a region whose centre is inside the matched person's box, else 0.

    Negatives have such cells too, where they overlap a person; in an image without people all cells are 0.

    Source: dichen-cd/NAE4PS@012fa76 (grid_wise_label_gen), which draws the box in whole pixels and samples that picture.
    """
    boxes, people = regions.all_boxes, regions.matched
    share = (torch.arange(size, device=boxes.device) + 0.5) / size
    centres = boxes[:, None, :2] + (boxes[:, None, 2:] - boxes[:, None, :2]) * share[None, :, None]  # (N, size, 2)
    inside = (centres >= people[:, None, :2]) & (centres <= people[:, None, 2:])
    grid = inside[:, :, None, 1] & inside[:, None, :, 0]
    return grid[:, None].float()


def _draw(labels: Tensor, recipe: SamplingRecipe) -> Tensor:
    """Index, ascending, of a random choice of (N,) labels 1 and 0."""
    (positive,), (negative,) = BalancedPositiveNegativeSampler(recipe.count, recipe.positive_share)([labels])
    return torch.where(positive.bool() | negative.bool())[0]


def _off(deltas: Tensor, targets: Tensor, kind: BoxLoss, *, beta: float) -> Tensor:
    if kind == "l1":
        return F.l1_loss(deltas, targets, reduction="sum")
    return F.smooth_l1_loss(deltas, targets, beta=beta, reduction="sum")

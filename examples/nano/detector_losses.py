"""What the cells of the detector learn: the teacher's score and box."""

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import generalized_box_iou_loss

from personsearch.models.nano.detector import CellPredictions

LEAST = 0.05  # a target below it has no box


def quality_focal(logits: Tensor, target: Tensor) -> Tensor:
    """Binary cross-entropy against a soft target, times the squared distance to it.

    The factor carries no gradient here, as it does in the paper: it says how much a cell counts, not where to go.

    Source: Li et al., Generalized Focal Loss (arXiv 2006.04388), Eq. 2 with beta 2.
    """
    off = (target - logits.sigmoid()).detach().square()
    return off * F.binary_cross_entropy_with_logits(logits, target, reduction="none")


def cells_like(cells: CellPredictions, taught: CellPredictions) -> dict[str, Tensor]:
    """`score` and `box` of cells that should be as the teacher's."""
    target = taught.logits.sigmoid()
    counts = target > LEAST
    total = target[counts].sum().clamp(min=1)
    box = generalized_box_iou_loss(cells.boxes[counts], taught.boxes[counts], eps=1e-6)
    score = torch.as_tensor(2 * quality_focal(cells.logits, target).sum() / total)
    return {"score": score, "box": 1.5 * (box * target[counts]).sum() / total}

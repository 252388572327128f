"""The self-supervised part of the hybrid pre-training: two views of an unlabelled person have to agree (SimSiam).

Source: "Divide and Conquer: Hybrid Pre-training for Person Search" (arXiv 2312.07970), Eq. 5-6; SimSiam (arXiv 2011.10566), Sec. 3.
"""

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from personsearch.options import Settings


class ContrastRecipe(Settings):
    """The numbers of the contrastive loss. The paper does not print eta; SimSiam's loss has weight 1."""

    weight: float = Field(default=1.0, gt=0)  # eta of Eq. 1
    bottleneck: int = Field(default=4, ge=1)  # the prediction MLP's hidden layer is so many times narrower (SimSiam: 2048 to 512)


class Predictor(nn.Sequential):
    """The prediction MLP: a bottleneck of two layers, without norm or activation at its end. Source: arXiv 2011.10566, Sec. 3."""

    def __init__(self, dim: int, bottleneck: int) -> None:
        hidden = max(1, dim // bottleneck)
        super().__init__(nn.Linear(dim, hidden, bias=False), nn.BatchNorm1d(hidden), nn.ReLU(inplace=True), nn.Linear(hidden, dim))


def negative_cosine(target: Tensor, predicted: Tensor) -> Tensor:
    """C of Eq. 5 as a mean over K rows, () in -1..1; 0 for none.

    Eq. 5 prints the sum over pictures. A mean over people, as SimSiam has it, does not grow with the batch or the crowd.

    Args:
        target: (K, D), h of one view.
        predicted: (K, D), z of the other.
    """
    return -F.cosine_similarity(target, predicted, dim=1).sum() / max(1, len(target))


def contrast(views: tuple[Tensor, Tensor], predictor: Predictor, recipe: ContrastRecipe) -> Tensor:
    """The weighted L_con of Eq. 6, (), of K people's features in two views.

    Gradients stop at h and go through z. The text says that the network "receives no gradient from z", but Eq. 6 and SimSiam
    stop them at h; stopped at both, nothing would be learned.

    Args:
        views: (K, D) each; row k of both is one person.
        predictor: prediction network; in training mode it takes the mean over the rows of both views, and without rows it stays as it is.
        recipe: the weight.
    """
    first, second = views
    if not len(first):
        return first.sum() * 0
    z1, z2 = predictor(torch.cat([first, second])).chunk(2)
    loss = negative_cosine(second.detach(), z1) / 2 + negative_cosine(first.detach(), z2) / 2
    return recipe.weight * loss

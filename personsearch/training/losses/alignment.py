"""The alignment modules of the hybrid pre-training: features that do not tell which data set they are from.

Source: "Divide and Conquer: Hybrid Pre-training for Person Search" (arXiv 2312.07970), Fig. 4, Eq. 7; gradient reversal of Ganin and
Lempitsky (arXiv 1409.7495); consistency of Chen et al., Domain Adaptive Faster R-CNN (arXiv 1803.03243).
"""

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from personsearch.options import Settings


class AlignmentRecipe(Settings):
    """Which features are aligned, and how much; weight 0 leaves a term out.

    The paper prints no numbers. Lambda is that of Domain Adaptive Faster R-CNN, whose terms its Eq. 7 takes over.
    """

    weight: float = Field(default=0.1, ge=0)  # lambda of Eq. 1
    reversal: float = Field(default=1.0, ge=0)  # what the network gets of a classifier's gradient, reversed
    image: float = Field(default=1.0, ge=0)  # Eq. 7
    instance: float = Field(default=1.0, ge=0)
    consistency: float = Field(default=1.0, ge=0)
    # Fig. 4 has one gradient reversal before everything; Chen et al. leave it out here, and the paper follows them in this term: features
    # whose two predictions are driven apart would not be consistent.
    reverse_consistency: bool = False
    intra_task: bool = True  # among the data sets of each task (Table 5)
    inter_task: bool = False  # between the tasks
    hidden: int = Field(default=256, ge=1)  # channels of the cascaded convolutions
    depth: int = Field(default=2, ge=1)  # their number


@dataclass(frozen=True)
class DomainFeatures:
    """What an alignment module looks at: M maps, and N people or regions in them. M and N may be 0."""

    maps: Tensor  # (M, C, H, W)
    inside: Tensor | None  # (M, 1, H, W) bool, cells of the image and not of its padding; None: all of them
    rows: Tensor  # (N, D)
    owners: Tensor  # (N,) int64, whose map each row belongs to
    domains: Tensor  # (M,) int64, where each map is from

    def take(self, chosen: Tensor) -> "DomainFeatures":
        """The maps at (M,) bool, with the rows that are theirs."""
        place = chosen.long().cumsum(dim=0) - 1
        mine = chosen[self.owners]
        inside = None if self.inside is None else self.inside[chosen]
        return DomainFeatures(self.maps[chosen], inside, self.rows[mine], place[self.owners[mine]], self.domains[chosen])


class _Scaled(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, features: Tensor, factor: float) -> Tensor:
        context.factor = factor
        return features.view_as(features)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient * context.factor, None


def reverse_gradient(features: Tensor, scale: float) -> Tensor:
    """The features as they are; going backward, their gradient times -scale. Source: arXiv 1409.7495."""
    reversed_: Tensor = _Scaled.apply(features, -scale)
    return reversed_


class DomainClassifiers(nn.Module):
    """Two classifiers of where features are from: of maps (Img_head) and of rows (Ins_head).

    Each has `depth` convolutions before its fully connected layer. They are 1x1, as in Domain Adaptive Faster R-CNN, and on rows such a
    convolution is a linear layer. A map has one prediction, of the mean of its cells.
    """

    def __init__(self, channels: int, dim: int, domains: int, recipe: AlignmentRecipe) -> None:
        super().__init__()
        self.image = _cascade(channels, recipe)
        self.image_head = nn.Linear(recipe.hidden, domains)
        self.instance = _cascade(dim, recipe)
        self.instance_head = nn.Linear(recipe.hidden, domains)

    def of_maps(self, maps: Tensor, inside: Tensor | None) -> Tensor:
        """(M, domains) logits of (M, C, H, W) maps; cells that are not `inside` do not count."""
        logits: Tensor = self.image_head(_mean(self.image(maps), inside))
        return logits.float()

    def of_rows(self, rows: Tensor) -> Tensor:
        """(N, domains) logits of (N, D) rows."""
        logits: Tensor = self.instance_head(self.instance(rows[:, :, None, None]).flatten(1))
        return logits.float()


class AlignmentModule(nn.Module):
    """Domain classifiers that learn, before features that unlearn what they tell.

    Args:
        channels: channels of the maps.
        dim: length of a row.
        domains: number of domains.
        recipe: weights.
    """

    def __init__(self, channels: int, dim: int, domains: int, recipe: AlignmentRecipe) -> None:
        super().__init__()
        self.classifiers = DomainClassifiers(channels, dim, domains, recipe)
        self.recipe = recipe

    def forward(self, features: DomainFeatures) -> dict[str, Tensor]:
        """The weighted terms of Eq. 7, () each: `image`, `instance`, `consistency`; 0 without maps."""
        recipe, scale = self.recipe, self.recipe.reversal
        of_maps, of_rows = self._logits(features, -scale)
        losses = {}
        if recipe.image:
            losses["image"] = recipe.image * domain_loss(of_maps, features.domains)
        if recipe.instance:
            losses["instance"] = recipe.instance * domain_loss(of_rows, features.domains[features.owners])
        if recipe.consistency:
            if not recipe.reverse_consistency:
                of_maps, of_rows = self._logits(features, scale)
            losses["consistency"] = recipe.consistency * inconsistency(of_maps[features.owners], of_rows)
        return {name: recipe.weight * loss for name, loss in losses.items()}

    def _logits(self, features: DomainFeatures, factor: float) -> tuple[Tensor, Tensor]:
        """Logits of the domains, of maps and of rows; the features get `factor` times the gradient."""
        maps, rows = reverse_gradient(features.maps, -factor), reverse_gradient(features.rows, -factor)
        return self.classifiers.of_maps(maps, features.inside), self.classifiers.of_rows(rows)


def domain_loss(logits: Tensor, domains: Tensor) -> Tensor:
    """The mean multi-class cross-entropy of (N, domains) logits, (); 0 for none."""
    return F.cross_entropy(logits, domains, reduction="sum") / max(1, len(domains))


def inconsistency(of_maps: Tensor, of_rows: Tensor) -> Tensor:
    """How far the predictions for maps are from those for rows: the mean length of the difference of probabilities, (); 0 for none.

    Chen et al. have two domains and sum over all regions; a mean does not grow with their number.

    Args:
        of_maps: (N, domains) logits, for each row its map's.
        of_rows: (N, domains) logits.

    Source: arXiv 1803.03243 (consistency regularization).
    """
    apart = of_maps.softmax(dim=1) - of_rows.softmax(dim=1)
    lengths: Tensor = torch.linalg.vector_norm(apart, dim=1)
    return lengths.sum() / max(1, len(apart))


def cells_inside(resized: list[tuple[int, int]], maps: Tensor, stride: int) -> Tensor:
    """(B, 1, H, W) bool: the cells of (B, C, H, W) maps that begin inside the image of (height, width) pixels, not in its padding."""
    heights, widths = torch.tensor(resized, device=maps.device).reshape(-1, 2).T[:, :, None]
    y, x = (torch.arange(side, device=maps.device) * stride for side in maps.shape[2:])
    inside: Tensor = (y < heights)[:, :, None] & (x < widths)[:, None]
    return inside[:, None]


def _mean(maps: Tensor, inside: Tensor | None) -> Tensor:
    if inside is None:
        return maps.mean(dim=(2, 3))
    weights = inside.to(maps.dtype)
    return (maps * weights).sum(dim=(2, 3)) / weights.sum(dim=(2, 3)).clamp(min=1)


def _cascade(inputs: int, recipe: AlignmentRecipe) -> nn.Sequential:
    layers: list[nn.Module] = []
    for number in range(recipe.depth):
        layers += [nn.Conv2d(recipe.hidden if number else inputs, recipe.hidden, 1), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)

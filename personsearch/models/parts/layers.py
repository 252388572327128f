"""Embeddings of regions: OIM's projection, norm-aware embedding, and its pixel-wise form."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SHORTEST = 1e-12  # least norm to divide by, so that nothing is divided by zero


class ProjectedEmbedding(nn.Module):
    """Projections of a person's features, concatenated to a unit row.

    Args:
        inputs: Channels of each feature.
        dim: D, the length of the embedding; the features share it as evenly as possible.
    """

    def __init__(self, inputs: Sequence[int], dim: int) -> None:
        super().__init__()
        projectors = [self._projector(*sizes) for sizes in zip(inputs, shares(dim, len(inputs)), strict=True)]
        start_small(*projectors)
        self.projectors = nn.ModuleList(projectors)

    @staticmethod
    def _projector(inputs: int, outputs: int) -> nn.Sequential:
        return nn.Sequential(nn.Linear(inputs, outputs), nn.BatchNorm1d(outputs))

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """(N, D) unit rows, float32, of features (N, inputs[i])."""
        return F.normalize(self.project(features), eps=SHORTEST)

    def project(self, features: Sequence[Tensor]) -> Tensor:
        """(N, D) rows of any norm, float32."""
        return torch.cat([projector(feature) for projector, feature in zip(self.projectors, features, strict=True)], dim=1).float()


class NormAwareEmbedding(ProjectedEmbedding):
    """The direction of a projected feature is the embedding, its norm the score of a person.

    Source: Chen et al., Norm-Aware Embedding for Efficient Person Search (CVPR 2020); dichen-cd/NAE4PS@ec43d1e.
    """

    def __init__(self, inputs: Sequence[int], dim: int) -> None:
        super().__init__(inputs, dim)
        self.rescaler = nn.BatchNorm1d(1)

    def with_logits(self, features: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """(N, D) unit rows, and (N,) logits of a person."""
        rows = self.project(features)
        norms = rows.norm(dim=1, keepdim=True)
        return rows / norms.clamp(min=SHORTEST), self.rescaler(norms).flatten()


class PixelwiseEmbedding(ProjectedEmbedding):
    """NAE+: every cell of a region has a norm-aware embedding; the person's is their mean, weighted by the cells' scores.

    Maps of other sizes are resized to the last feature's.

    Source: Chen et al. (CVPR 2020), Sec. 3.4; dichen-cd/NAE4PS@012fa76.
    """

    def __init__(self, inputs: Sequence[int], dim: int) -> None:
        super().__init__(inputs, dim)
        self.rescaler = nn.BatchNorm2d(1)

    @staticmethod
    def _projector(inputs: int, outputs: int) -> nn.Sequential:
        return nn.Sequential(nn.Conv2d(inputs, outputs, 1), nn.BatchNorm2d(outputs))

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """(N, D) unit rows of maps (N, inputs[i], H_i, W_i)."""
        return self.with_logits(features)[0]

    def project(self, features: Sequence[Tensor]) -> Tensor:
        """(N, D, H, W) vectors of any norm, float32, on the grid of the last feature."""
        maps = [projector(feature).float() for projector, feature in zip(self.projectors, features, strict=True)]
        return torch.cat([F.interpolate(part, size=maps[-1].shape[2:], mode="bilinear") for part in maps], dim=1)

    def with_logits(self, features: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """(N, D) unit rows, and (N, 1, H, W) logits of a person for each cell."""
        cells = self.project(features)
        norms = cells.norm(dim=1, keepdim=True)
        logits: Tensor = self.rescaler(norms)
        weighted = cells / norms.clamp(min=SHORTEST) * logits.sigmoid()
        return F.normalize(weighted.mean(dim=(2, 3)), eps=SHORTEST), logits


def start_small(*blocks: nn.Sequential) -> None:
    """Small random weights and zero biases for layers and norms: the authors' initialisation of embeddings and regressors."""
    for block in blocks:
        for layer in block:
            nn.init.normal_(layer.get_parameter("weight"), std=0.01)
            nn.init.zeros_(layer.get_parameter("bias"))


def shares(dim: int, parts: int) -> list[int]:
    """`dim` split into `parts` whole numbers as equal as possible, the greater ones last."""
    return [(dim + part) // parts for part in range(parts)]

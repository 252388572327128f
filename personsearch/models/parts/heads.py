"""Heads that see regions: SeqNet's first head, and the heads of OIM, NAE and NAE+."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from personsearch.models.config import BackboneConfig
from personsearch.models.parts.layers import NormAwareEmbedding, PixelwiseEmbedding, ProjectedEmbedding, start_small
from personsearch.models.parts.region_pool import LazyRegions, cells_of
from personsearch.models.parts.resnet import LastStage, level_channels

REGION_LEVEL = 4
CLASSES = 2  # no person, person

HeadKind = Literal["oim", "nae", "nae+", "scored"]


def strongest(maps: Tensor) -> Tensor:
    """(N, C) maximum of each channel of (N, C, H, W) maps."""
    return maps.amax(dim=(2, 3))


@dataclass(frozen=True)
class FirstOutput:
    """Output of the first head for N regions."""

    class_logits: Tensor  # (N, 2), no person and person
    deltas: Tensor  # (N, 4)

    @property
    def scores(self) -> Tensor:
        """(N,) 0..1, probability of a person."""
        return self.class_logits.softmax(dim=1)[:, 1]


class FirstHead(nn.Module):
    """SeqNet's first head: a plain Faster R-CNN head with its own res5."""

    def __init__(self, backbone: BackboneConfig) -> None:
        super().__init__()
        self.res5 = LastStage(backbone)
        self.classes = nn.Linear(self.res5.channels, CLASSES)
        self.boxes = nn.Linear(self.res5.channels, 4)

    def forward(self, regions: Tensor | LazyRegions) -> FirstOutput:
        """Output for (N, C, 14, 14) regions."""
        features = strongest(self.res5(regions))
        return FirstOutput(self.classes(features).float(), self.boxes(features).float())


@dataclass(frozen=True)
class HeadOutput:
    """Output of a baseline head for N regions."""

    logits: Tensor  # of a person: (N, 2) no person and person (OIM), (N,) (NAE), (N, 1, 7, 7) for each cell (NAE+)
    deltas: Tensor  # (N, 4)
    embeddings: Tensor  # (N, D) unit rows


class BaselineHead(nn.Module, ABC):
    """A head that scores, moves and embeds regions: res5 and a box regressor with batch norm; subclasses add the embedding."""

    boxes: nn.Module

    def __init__(self, backbone: BackboneConfig) -> None:
        super().__init__()
        self.res5 = LastStage(backbone)
        self.boxes = nn.Sequential(nn.Linear(self.res5.channels, 4), nn.BatchNorm1d(4))
        start_small(self.boxes)
        self.inputs = [level_channels(backbone, REGION_LEVEL), self.res5.channels]  # channels of the embedding's inputs

    @abstractmethod
    def forward(self, regions: Tensor | LazyRegions) -> HeadOutput:
        """Output for (N, C, 14, 14) regions."""

    @abstractmethod
    def scores(self, logits: Tensor) -> Tensor:
        """(N,) 0..1, probability that each of one image's N regions is a person."""


class OIMHead(BaselineHead):
    """OIM's head: a classifier beside the embedding.

    Source: SeqNet (arXiv 2103.10148), whose OIM is "the same as in" NAE's paper; arXiv 1604.01850.
    """

    def __init__(self, backbone: BackboneConfig, dim: int) -> None:
        super().__init__(backbone)
        self.classes = nn.Linear(self.res5.channels, CLASSES)
        self.embedding = ProjectedEmbedding(self.inputs, dim)

    def forward(self, regions: Tensor | LazyRegions) -> HeadOutput:
        """Output for (N, C, 14, 14) regions."""
        res4, res5 = strongest(cells_of(regions)), strongest(self.res5(regions))
        return HeadOutput(self.classes(res5).float(), self.boxes(res5).float(), self.embedding([res4, res5]))

    def scores(self, logits: Tensor) -> Tensor:
        """(N,) 0..1."""
        return logits.softmax(dim=1)[:, 1]


class NAEHead(BaselineHead):
    """NAE's head: the norm of the embedding gives the score.

    Source: Chen et al. (CVPR 2020); dichen-cd/NAE4PS@ec43d1e.
    """

    def __init__(self, backbone: BackboneConfig, dim: int) -> None:
        super().__init__(backbone)
        self.embedding = NormAwareEmbedding(self.inputs, dim)

    def forward(self, regions: Tensor | LazyRegions) -> HeadOutput:
        """Output for (N, C, 14, 14) regions."""
        res4, res5 = strongest(cells_of(regions)), strongest(self.res5(regions))
        embeddings, logits = self.embedding.with_logits([res4, res5])
        return HeadOutput(logits.float(), self.boxes(res5).float(), embeddings)

    def scores(self, logits: Tensor) -> Tensor:
        """(N,) 0..1."""
        return logits.sigmoid()


class PixelwiseHead(BaselineHead):
    """NAE+'s head: every cell of a region has an embedding, whose norm gives its score.

    Source: Chen et al. (CVPR 2020); dichen-cd/NAE4PS@012fa76.
    """

    def __init__(self, backbone: BackboneConfig, dim: int) -> None:
        super().__init__(backbone)
        self.embedding = PixelwiseEmbedding(self.inputs, dim)

    def forward(self, regions: Tensor | LazyRegions) -> HeadOutput:
        """Output for (N, C, 14, 14) regions."""
        maps = self.res5(regions)
        embeddings, logits = self.embedding.with_logits([cells_of(regions), maps])
        # The regressor sees the mean over the cells here, the maximum in the other heads
        return HeadOutput(logits.float(), self.boxes(maps.mean(dim=(2, 3))).float(), embeddings)

    def scores(self, logits: Tensor) -> Tensor:
        """(N,) 0..1: the mean over the cells, divided by the largest mean of the image."""
        means = logits.sigmoid().mean(dim=(1, 2, 3))
        return means / F.pad(means, (0, 1)).max()  # the padded 0 is for an image without regions


class ScoredHead(BaselineHead):
    """SeqNeXt's second head: one score and four box deltas, each a plain linear layer, beside the embedding.

    Source: Jaffe and Zakhor, Gallery Filter Network for Person Search (arXiv 2210.12903); LukeJaffe/GFN@72e8d9e.
    """

    def __init__(self, backbone: BackboneConfig, dim: int) -> None:
        super().__init__(backbone)
        self.classes = nn.Linear(self.res5.channels, 1)
        self.boxes = nn.Linear(self.res5.channels, 4)
        self.embedding = ProjectedEmbedding(self.inputs, dim)

    def forward(self, regions: Tensor | LazyRegions) -> HeadOutput:
        """Class logits, box deltas and embeddings of (N, C, 14, 14) regions."""
        res4, res5 = strongest(cells_of(regions)), strongest(self.res5(regions))
        return HeadOutput(self.classes(res5).float().flatten(), self.boxes(res5).float(), self.embedding([res4, res5]))

    def scores(self, logits: Tensor) -> Tensor:
        """(N,) 0..1."""
        return logits.sigmoid()


BASELINE_HEADS: dict[HeadKind, Callable[[BackboneConfig, int], BaselineHead]] = {
    "oim": OIMHead,
    "nae": NAEHead,
    "nae+": PixelwiseHead,
    "scored": ScoredHead,
}


def build_baseline_head(backbone: BackboneConfig, kind: HeadKind, dim: int) -> BaselineHead:
    """A head of this kind, with random weights."""
    return BASELINE_HEADS[kind](backbone, dim)

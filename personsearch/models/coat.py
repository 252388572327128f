"""COAT: three transformer heads in turn, each of which looks at the boxes of the one before.

Source: Yu et al., Cascade Transformers for End-to-End Person Search (CVPR 2022, arXiv 2203.09642); Kitware/COAT@369d934, which decides
wherever the paper leaves a choice.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from personsearch.models.folder import open_scene_folder
from personsearch.models.parts.heads import CLASSES, REGION_LEVEL, FirstOutput
from personsearch.models.parts.layers import SHORTEST, ProjectedEmbedding, start_small
from personsearch.models.parts.region_pool import LazyRegions
from personsearch.models.parts.transformer import TransformerHead
from personsearch.models.rcnn import Candidates, RegionConfig, RegionNetwork, choose
from personsearch.models.scene import SceneModel


class COATConfig(RegionConfig):
    """What the config.json of a COAT says; the defaults are the released networks."""

    architecture: Literal["coat"] = "coat"
    name: str = "coat"
    embedding_dim: int = Field(default=512, ge=4, multiple_of=2)  # a half of the second head, a half of the third
    attention_heads: int = Field(default=8, ge=1)
    first_nms_iou: float = Field(default=0.4, gt=0, le=1)  # of the people of each head
    second_nms_iou: float = Field(default=0.4, gt=0, le=1)
    nms_iou: float = Field(default=0.5, gt=0, le=1)
    confidence_weighted: bool = True  # as the released evaluation


class FirstStage(nn.Module):
    """The first head: it finds people."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.head = TransformerHead(channels, heads, skips=False)
        self.classes = nn.Linear(2 * channels, CLASSES)
        self.boxes = nn.Linear(2 * channels, 4)

    def forward(self, regions: Tensor | LazyRegions) -> FirstOutput:
        """Classes and boxes of (N, C, 14, 14) regions."""
        features = self.head.after(regions)
        return FirstOutput(self.classes(features).float(), self.boxes(features).float())


@dataclass(frozen=True)
class StageOutput:
    """What a later head, or both, say about N regions."""

    deltas: Tensor  # (N, 4)
    embeddings: Tensor  # (N, D) unit rows


class ReidStage(nn.Module):
    """The second or the third head: it moves people's boxes and embeds them."""

    def __init__(self, channels: int, heads: int, dim: int) -> None:
        super().__init__()
        self.head = TransformerHead(channels, heads, skips=True)
        self.boxes = nn.Sequential(nn.Linear(2 * channels, 4), nn.BatchNorm1d(4))
        start_small(self.boxes)
        self.embedding = ProjectedEmbedding([channels, 2 * channels], dim)

    def forward(self, regions: Tensor | LazyRegions) -> StageOutput:
        """Deltas and embeddings of (N, C, 14, 14) regions."""
        features = self.head(regions)
        return StageOutput(self.boxes(features.after).float(), self.embedding(features))

    def move(self, regions: Tensor | LazyRegions) -> Tensor:
        """(N, 4) deltas alone."""
        deltas: Tensor = self.boxes(self.head.after(regions)).float()
        return deltas


class LaterStages(nn.Module):
    """The second and the third head, which embed the same boxes; a person's row is their two halves side by side."""

    def __init__(self, channels: int, config: COATConfig) -> None:
        super().__init__()
        self.second, self.third = (ReidStage(channels, config.attention_heads, config.embedding_dim // 2) for _ in range(2))

    def forward(self, regions: Tensor | LazyRegions) -> StageOutput:
        """Embeddings of both heads and deltas of the third, of (N, C, 14, 14) regions."""
        second, third = self.second(regions), self.third(regions)
        rows = F.normalize(torch.cat([second.embeddings, third.embeddings], dim=1), eps=SHORTEST)
        return StageOutput(third.deltas, rows)


class COAT(RegionNetwork):
    """The cascade: people of the first head, moved by the second, embedded by both later heads, moved by the third."""

    def __init__(self, config: COATConfig) -> None:
        super().__init__(config)
        self.config = config
        channels = self.backbone.channels[REGION_LEVEL]
        self.first = FirstStage(channels, config.attention_heads)
        self.later = LaterStages(channels, config)

    @property
    def reid_head(self) -> LaterStages:
        """The second and the third head."""
        return self.later

    def find(self, c4: Tensor, proposals: Tensor, frame: Tensor, given: Candidates | None = None) -> Candidates:
        """The people of one image, best first (see `RegionNetwork.find`); their scores are the first head's."""
        config = self.config
        first = self.find_first(c4, proposals, frame)
        moved = self.refine(first.boxes, self.later.second.move(LazyRegions(self.pool, c4, [first.boxes])), frame)
        second = self._choose(moved, first.scores, config.second_nms_iou)
        seen: StageOutput = self.later(LazyRegions(self.pool, c4, [second.boxes]))
        people = Candidates(self.refine(second.boxes, seen.deltas, frame), second.scores, seen.embeddings)
        return choose(people, given, min_score=config.keep_score, nms_iou=config.nms_iou, limit=config.max_people)

    def find_first(self, c4: Tensor, proposals: Tensor, frame: Tensor) -> Candidates:
        """The people of one image who go on to the second head, best first, without embeddings."""
        seen: FirstOutput = self.first(LazyRegions(self.pool, c4, [proposals]))
        return self._choose(self.refine(proposals, seen.deltas, frame), seen.scores, self.config.first_nms_iou)

    def _choose(self, boxes: Tensor, scores: Tensor, nms_iou: float) -> Candidates:
        config = self.config
        people = Candidates(boxes, scores, boxes[:, :0])
        return choose(people, None, min_score=config.keep_score, nms_iou=nms_iou, limit=config.max_people)


def open_folder(folder: Path, device: str) -> SceneModel:
    """The COAT of a folder.

    Raises:
        ConfigError, WeightsError: its files do not make a model.
    """
    return open_scene_folder(folder, device, COATConfig, COAT)

"""Trident: Faster R-CNN with three branches that share their features: detection, re-identification, part classification.

Source: Han, Ko and Sim, End-to-End Trainable Trident Person Search Network Using Adaptive Gradient Propagation (ICCV 2021).
The authors published no code. Choices that the text leaves open are documented here and follow NAE, its reference for the rest.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from personsearch.models.config import BackboneConfig
from personsearch.models.folder import open_scene_folder
from personsearch.models.parts.heads import CLASSES, REGION_LEVEL, strongest
from personsearch.models.parts.layers import ProjectedEmbedding
from personsearch.models.parts.region_pool import LazyRegions, RegionPool, cells_of
from personsearch.models.parts.resnet import LastStage, level_channels
from personsearch.models.rcnn import Candidates, RegionConfig, RegionNetwork, choose
from personsearch.models.scene import SceneModel

REGION_HEIGHT, REGION_WIDTH = 24, 8  # cells of a region (Sec. 5.2); res5 halves them

Partitions = Literal[2, 3, 4, 6, 12]  # divisors of 12, the rows of a region after res5


class TridentConfig(RegionConfig):
    """The config.json of a Trident; defaults are the paper's network."""

    architecture: Literal["trident"] = "trident"
    name: str = "trident"
    embedding_dim: int = Field(default=256, ge=2, le=16384)  # 128 from each of the two encoders
    # N_p of the part classification, which is only used in training; None: without that branch (Table 1). The paper gives
    # no number; 6 is the number of PCB, which it follows ("similar to PCB") and whose map is 24 x 8, like the regions here.
    partitions: Partitions | None = 6
    # Batch norm behind the encoders, as NAE has it. The text names a fully connected layer alone; on max-pooled features, which share a
    # large mean, such a layer keeps all embeddings close to one line
    encoder_norm: bool = False
    nms_iou: float = Field(default=0.4, gt=0, le=1)
    confidence_weighted: bool = True  # "weighted similarity", Sec. 4.2


@dataclass(frozen=True)
class TridentOutput:
    """Output of the head for N regions."""

    class_logits: Tensor  # (N, 2), no person and person
    deltas: Tensor  # (N, 4)
    embeddings: Tensor  # (N, D) unit rows
    parts: Tensor | None  # (N, P, P + 1), logits of each of P partitions (from the top) for being the k-th; the last is background

    @property
    def scores(self) -> Tensor:
        """(N,) 0..1, probability of a person: p_i1 of the paper."""
        return self.class_logits.softmax(dim=1)[:, 1]


class Encoders(ProjectedEmbedding):
    """The re-identification branch: a fully connected layer for each feature, concatenated to a unit row."""

    @staticmethod
    def _projector(inputs: int, outputs: int) -> nn.Sequential:
        return nn.Sequential(nn.Linear(inputs, outputs))


class TridentHead(nn.Module):
    """Three branches on the region before res5 and after it (the paper's multi-scale features); each part is one linear layer.

    The text does not say which branch takes which feature. It names encoders and foreground classifiers in the plural, one box
    regressor, and partitions of the output of res5. So each feature has an encoder and a foreground classifier here, the
    classifiers' scores are added, and the regressor and the partitions see res5. A feature is the maximum over the cells, as in
    the partitions. "Only the foreground classifiers do not train the biases": they do not have any.

    Source: the paper, Fig. 2, Sec. 4.3 and 5.2.
    """

    def __init__(self, backbone: BackboneConfig, dim: int, partitions: int | None, *, encoder_norm: bool = False) -> None:
        super().__init__()
        self.res5 = LastStage(backbone)
        sizes = [level_channels(backbone, REGION_LEVEL), self.res5.channels]
        self.classes = nn.ModuleList(nn.Linear(inputs, CLASSES, bias=False) for inputs in sizes)
        self.boxes = nn.Linear(self.res5.channels, 4)
        self.embedding = ProjectedEmbedding(sizes, dim) if encoder_norm else Encoders(sizes, dim)
        self.partitions = partitions
        self.parts = None if partitions is None else nn.Linear(self.res5.channels, partitions + 1)
        for layer in (*self.classes, self.boxes, self.parts):  # encoders initialise themselves
            if isinstance(layer, nn.Linear):
                nn.init.normal_(layer.weight, std=0.01)
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)

    def forward(self, regions: Tensor | LazyRegions) -> TridentOutput:
        """Output for (N, C, 24, 8) regions."""
        maps = self.res5(regions)
        features = [strongest(cells_of(regions)), strongest(maps)]
        before, after = (classifier(feature).float() for classifier, feature in zip(self.classes, features, strict=True))
        return TridentOutput(before + after, self.boxes(features[1]).float(), self.embedding(features), self._parts(maps))

    def _parts(self, maps: Tensor) -> Tensor | None:
        if self.parts is None or self.partitions is None:
            return None
        scores: Tensor = self.parts(strongest_of_partitions(maps, self.partitions))
        return scores.float()


def strongest_of_partitions(maps: Tensor, partitions: int) -> Tensor:
    """(N, P, C) maximum of each channel in each of P partitions, from the top, of (N, C, H, W) maps; P divides H."""
    return torch.unflatten(maps, 2, (partitions, -1)).amax(dim=(3, 4)).transpose(1, 2)


class Trident(RegionNetwork):
    """The trident network."""

    def __init__(self, config: TridentConfig) -> None:
        super().__init__(config)
        self.config = config
        self.pool = RegionPool(REGION_HEIGHT, REGION_WIDTH)
        self.head = TridentHead(config.backbone, config.embedding_dim, config.partitions, encoder_norm=config.encoder_norm)

    @property
    def reid_head(self) -> TridentHead:
        """The only head."""
        return self.head

    def find(self, c4: Tensor, proposals: Tensor, frame: Tensor, known: Candidates | None = None) -> Candidates:
        """The people of one image, best first (see `RegionNetwork.find`)."""
        output: TridentOutput = self.head(LazyRegions(self.pool, c4, [proposals]))
        people = Candidates(self.refine(proposals, output.deltas, frame), output.scores, output.embeddings)
        return choose(people, known, min_score=self.config.keep_score, nms_iou=self.config.nms_iou, limit=self.config.max_people)


def open_folder(folder: Path, device: str) -> SceneModel:
    """The Trident of a folder.

    Raises:
        ConfigError, WeightsError: a file is missing, malformed or does not fit.
    """
    return open_scene_folder(folder, device, TridentConfig, Trident)

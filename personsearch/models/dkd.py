"""DKD's student: Faster R-CNN with two separate heads, one detects people, the other embeds them.

Source: Zhang et al., Diverse Knowledge Distillation for End-to-End Person Search (AAAI 2021), Sec. 3.2. The teacher
(`personsearch.models.reid`) is only used in training. The authors did not release code.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from personsearch.models.config import BackboneConfig
from personsearch.models.folder import open_scene_folder
from personsearch.models.parts.heads import FirstHead, FirstOutput
from personsearch.models.parts.layers import SHORTEST
from personsearch.models.parts.region_pool import LazyRegions, RegionPool
from personsearch.models.parts.resnet import LastStage
from personsearch.models.rcnn import Candidates, RegionConfig, RegionNetwork, choose
from personsearch.models.reid import neck
from personsearch.models.scene import SceneModel

REGION_HEIGHT, REGION_WIDTH = 16, 8  # cells of a region (Sec. 3.2)


class DKDConfig(RegionConfig):
    """The config.json of a student; defaults are the paper's."""

    architecture: Literal["dkd"] = "dkd"
    name: str = "dkd"
    embedding_dim: int = Field(default=2048, ge=2, le=16384)
    short_side: int = Field(default=800, ge=32, le=8192)
    long_side: int = Field(default=1333, ge=32, le=8192)
    # The paper gives no threshold; this is the one of NAE, whose detection measure it uses (Sec. 3.1)
    nms_iou: float = Field(default=0.4, gt=0, le=1)


@dataclass(frozen=True)
class ReidOutput:
    """Output of the re-id head for N regions."""

    features: Tensor  # (N, D) float32, of any norm: input of the classifier in training

    @property
    def embeddings(self) -> Tensor:
        """(N, D) unit rows."""
        return F.normalize(self.features, eps=SHORTEST)


class ReidHead(nn.Module):
    """Its own res5, the mean over the map, and BNNeck, as in the teacher."""

    def __init__(self, backbone: BackboneConfig, dim: int) -> None:
        super().__init__()
        self.res5 = LastStage(backbone)
        self.neck = neck(self.res5.channels, dim)

    def forward(self, regions: Tensor | LazyRegions) -> ReidOutput:
        """Output for (N, C, 16, 8) regions."""
        return ReidOutput(self.neck(self.res5(regions).mean(dim=(2, 3))).float())


class DKD(RegionNetwork):
    """The detection head sees the proposals, the re-id head sees the detected people.

    The paper does not say which boxes the re-id head sees at inference. It is trained on true boxes (Sec. 2.3), and
    detections are closer to those than proposals are.
    """

    def __init__(self, config: DKDConfig) -> None:
        super().__init__(config)
        self.config = config
        self.pool = RegionPool(REGION_HEIGHT, REGION_WIDTH)
        self.detection = FirstHead(config.backbone)
        self.reid = ReidHead(config.backbone, config.embedding_dim)

    @property
    def reid_head(self) -> ReidHead:
        """The head that embeds."""
        return self.reid

    def find(self, c4: Tensor, proposals: Tensor, frame: Tensor, known: Candidates | None = None) -> Candidates:
        """The people of one image, best first (see `RegionNetwork.find`)."""
        output: FirstOutput = self.detection(LazyRegions(self.pool, c4, [proposals]))
        no_embeddings = proposals.new_zeros(proposals.shape[0], self.embedding_dim)  # people are embedded after the selection
        people = Candidates(self.refine(proposals, output.deltas, frame), output.scores, no_embeddings)
        people = choose(people, known, min_score=self.config.keep_score, nms_iou=self.config.nms_iou, limit=self.config.max_people)
        return Candidates(people.boxes, people.scores, self.reid(LazyRegions(self.pool, c4, [people.boxes])).embeddings)


def open_folder(folder: Path, device: str) -> SceneModel:
    """The student of a folder.

    Raises:
        ConfigError, WeightsError: a file is missing, malformed or does not fit.
    """
    return open_scene_folder(folder, device, DKDConfig, DKD)

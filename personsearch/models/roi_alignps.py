"""ROI-AlignPS: AlignPS finds the people, and a RoIAlign branch embeds their boxes a second time.

Source: arXiv 2109.00211, Sec. III-D; daodaofr/AlignPS@5d62dbc (SingleTwoStageDetector176PRW).
"""

from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import roi_align

from personsearch.models.alignps import AlignPS, AlignPSConfig, Seen
from personsearch.models.folder import open_scene_folder
from personsearch.models.parts.fcos_select import box_scale
from personsearch.models.parts.heads import REGION_LEVEL, NAEHead
from personsearch.models.parts.resnet import level_channels
from personsearch.models.parts.rpn import ProposalConfig, RegionProposals
from personsearch.models.scene import SceneBatch, SceneModel

REGION_SIZE = 14  # cells of a region along each side; res5 halves them
ADAPTIVE = 0  # samples of RoIAlign: as many as a cell of the region has cells of the map

Branch = Literal["fused", "alignps", "roi"]


class ROIAlignPSConfig(AlignPSConfig):
    """What a config.json says; the defaults are the released ROI-AlignPS, as it is measured on PRW."""

    architecture: str = "roi-alignps"
    name: str = "roi-alignps"
    branch: Branch = "fused"  # whose features are the embedding (Table VI); "roi" is its ROI-Align*
    rpn: ProposalConfig | None = None  # what the RoI branch is trained on (Table VI); None: the boxes that AlignPS finds


class ROIAlignPS(AlignPS):
    """AlignPS, and norm-aware embedding (NAE) of the boxes it finds: RoIAlign on C4, a res5 of its own.

    The embedding is the unit rows of both branches side by side, divided by the square root of 2. The authors
    leave out that division, which changes no ranking: their 512 numbers have length sqrt(2). Boxes and scores are
    AlignPS's; the second branch's, and its region proposals, serve training alone.
    """

    def __init__(self, config: ROIAlignPSConfig) -> None:
        super().__init__(config)
        self.branch: Branch = config.branch
        plain = config.backbone.model_copy(update={"deformable": ()})  # the second res5 is an ordinary one in AlignPS+ too
        self.roi = NAEHead(plain, config.channels)
        self.rpn = None if config.rpn is None else RegionProposals(level_channels(plain, REGION_LEVEL), config.rpn)
        self.embedding_dim = config.channels * (2 if self.branch == "fused" else 1)

    def regions(self, c4: Tensor, boxes: list[Tensor]) -> Tensor:
        """(N, C, 14, 14) of the map C4 (B, C, H, W), for the (N_i, 4) xyxy pixels of each resized image; N is their sum."""
        regions: Tensor = roi_align(c4.float(), boxes, REGION_SIZE, 1 / 2**REGION_LEVEL, ADAPTIVE, aligned=True)
        return regions

    def _rows(self, seen: Seen, batch: SceneBatch, features: list[Tensor], boxes: list[Tensor]) -> list[Tensor]:
        implicit = super()._rows(seen, batch, features, boxes)
        if self.branch == "alignps":
            return implicit
        sizes = zip(batch.resized, batch.original, strict=True)
        resized = [one * box_scale(*size, one) for one, size in zip(boxes, sizes, strict=True)]
        embedded = self.roi(self.regions(seen.backbone[REGION_LEVEL], resized)).embeddings
        explicit = list(embedded.split([len(one) for one in boxes]))
        if self.branch == "roi":
            return explicit
        return [F.normalize(torch.cat(pair, dim=1)) for pair in zip(implicit, explicit, strict=True)]


def open_folder(folder: Path, device: str) -> SceneModel:
    """The ROI-AlignPS of a folder.

    Raises:
        ConfigError, WeightsError: its files do not make a model.
    """
    return open_scene_folder(folder, device, ROIAlignPSConfig, ROIAlignPS)

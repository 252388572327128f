"""ROI-AlignPS: AlignPS detects the people, and a RoIAlign branch embeds their boxes a second time.

Source: arXiv 2109.00211, Sec. III-D; daodaofr/AlignPS@5d62dbc (SingleTwoStageDetector176PRW).
"""

from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import roi_align

from personsearch.models.alignps import AlignPS, AlignPSConfig, DenseOutput
from personsearch.models.folder import open_scene_folder
from personsearch.models.parts.fcos_select import box_scale
from personsearch.models.parts.heads import REGION_LEVEL, NAEHead
from personsearch.models.parts.resnet import level_channels
from personsearch.models.parts.rpn import ProposalConfig, RegionProposals
from personsearch.models.scene import SceneBatch, SceneModel

REGION_SIZE = 14  # cells of a region along each side; res5 halves them
ADAPTIVE = 0  # samples of RoIAlign: as many as map cells in a region cell

Branch = Literal["fused", "alignps", "roi"]


class ROIAlignPSConfig(AlignPSConfig):
    """The config.json of a ROI-AlignPS; defaults are those of the released ROI-AlignPS on PRW."""

    architecture: str = "roi-alignps"
    name: str = "roi-alignps"
    branch: Branch = "fused"  # branch that embeds (Table VI); "roi" is its ROI-Align*
    rpn: ProposalConfig | None = None  # training boxes of the RoI branch (Table VI); None: the detections of AlignPS


class ROIAlignPS(AlignPS):
    """AlignPS, and norm-aware embedding (NAE) of its detections: RoIAlign on C4, then its own res5.

    The embedding is the unit rows of both branches side by side, divided by the square root of 2. The authors
    skip that division, which does not change a ranking: their 512 numbers have norm sqrt(2). Boxes and scores are
    AlignPS's; those of the second branch, and its region proposals, are only used in training.
    """

    def __init__(self, config: ROIAlignPSConfig) -> None:
        super().__init__(config)
        self.branch: Branch = config.branch
        plain = config.backbone.model_copy(update={"deformable": ()})  # the second res5 is not deformable, in AlignPS+ either
        self.roi = NAEHead(plain, config.channels)
        self.rpn = None if config.rpn is None else RegionProposals(level_channels(plain, REGION_LEVEL), config.rpn)
        self.embedding_dim = config.channels * (2 if self.branch == "fused" else 1)

    def regions(self, c4: Tensor, boxes: list[Tensor]) -> Tensor:
        """(N, C, 14, 14) regions of the map C4 (B, C, H, W) at the (N_i, 4) xyxy pixels of each resized image; N is their sum."""
        regions: Tensor = roi_align(c4.float(), boxes, REGION_SIZE, 1 / 2**REGION_LEVEL, ADAPTIVE, aligned=True)
        return regions

    def _rows(self, dense: DenseOutput, batch: SceneBatch, features: list[Tensor], boxes: list[Tensor]) -> list[Tensor]:
        implicit = super()._rows(dense, batch, features, boxes)
        if self.branch == "alignps":
            return implicit
        sizes = zip(batch.resized, batch.original, strict=True)
        resized = [image_boxes * box_scale(*size, image_boxes) for image_boxes, size in zip(boxes, sizes, strict=True)]
        embedded = self.roi(self.regions(dense.backbone[REGION_LEVEL], resized)).embeddings
        explicit = list(embedded.split([len(image_boxes) for image_boxes in boxes]))
        if self.branch == "roi":
            return explicit
        return [F.normalize(torch.cat(pair, dim=1)) for pair in zip(implicit, explicit, strict=True)]


def open_folder(folder: Path, device: str) -> SceneModel:
    """The ROI-AlignPS of a folder.

    Raises:
        ConfigError, WeightsError: a file is missing, malformed or does not fit.
    """
    return open_scene_folder(folder, device, ROIAlignPSConfig, ROIAlignPS)

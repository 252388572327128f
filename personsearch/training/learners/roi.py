"""How ROI-AlignPS learns."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torchvision.models.detection._utils import BoxCoder

from personsearch.boxes import Array
from personsearch.models.alignps import dense_input
from personsearch.models.parts.fcos import LevelMaps
from personsearch.models.parts.fcos_select import box_scale, select
from personsearch.models.parts.heads import REGION_LEVEL
from personsearch.models.parts.rpn import frames_of
from personsearch.models.rcnn import BOX_WEIGHTS
from personsearch.models.roi_alignps import ROIAlignPS, ROIAlignPSConfig
from personsearch.training.data.batches import TrainBatch
from personsearch.training.learners.base import Learner, person_loss, propose, tensors_of
from personsearch.training.learners.dense import Named, detection, reid
from personsearch.training.losses.mutual import MutualLearning
from personsearch.training.losses.oim import OIMLoss
from personsearch.training.losses.regions import region_box_loss, sample_regions
from personsearch.training.recipes.schema import TwoBranchLosses

RPN = "rpn."
FEWEST = 2  # regions: batch norm cannot learn from one


class ROILearner(Learner):
    """AlignPS's losses, those of NAE in the RoI branch, and what the branches learn from each other.

    Without `rpn` in the network's config the RoI branch learns from the boxes that the AlignPS branch finds (Table VI). With
    branch "roi" the AlignPS branch learns to detect only (Table VI, ROI-Align*).

    Source: arXiv 2109.00211, Sec. III-D; daodaofr/AlignPS@5d62dbc (SingleTwoStageDetector176PRW).
    """

    network: ROIAlignPS
    config: ROIAlignPSConfig
    prepare = staticmethod(dense_input)

    def __init__(self, config: ROIAlignPSConfig, losses: TwoBranchLosses, identities: int) -> None:
        super().__init__()
        self.config = config
        self.network = ROIAlignPS(config)
        self.coder = BoxCoder(BOX_WEIGHTS)
        self.recipe = losses
        self.oim = OIMLoss(identities, config.channels, losses.dense.oim)
        self.roi_oim = OIMLoss(identities, config.channels, losses.oim)
        mutual = losses.mutual if config.branch == "fused" else None
        self.mutual = None if mutual is None else MutualLearning(config.channels, mutual)

    def forward(self, batch: TrainBatch) -> dict[str, Tensor]:
        """The losses of `DenseLearner`, `rpn_*`, `roi_class`, `roi_box`, `roi_oim` and `mutual_*`."""
        features, levels = self.network(batch.scenes.pixels)
        losses, people = detection(levels, batch, self.recipe.dense)
        roi_losses, named = self._roi(features, levels, batch)
        losses |= roi_losses
        if self.mutual is not None and named is not None:  # before the memories change
            pairs = (people.features, people.identities), (named.features, named.identities)
            losses |= self.mutual(*pairs, self.oim, self.roi_oim)
        if self.config.branch != "roi":
            losses |= reid(people, self.oim, self.recipe.dense)
        if named is not None:
            losses["roi_oim"] = self.roi_oim(named.features, named.identities)
        return losses

    def exported(self) -> tuple[dict[str, Any], dict[str, Array]]:
        """config.json and tensors without the region proposals, which served training alone."""
        state = {name: tensor for name, tensor in self.network.state_dict().items() if not name.startswith(RPN)}
        return self.config.model_copy(update={"rpn": None}).model_dump(mode="json"), tensors_of(state)

    def _roi(self, features: Mapping[int, Tensor], levels: list[LevelMaps], batch: TrainBatch) -> tuple[dict[str, Tensor], Named | None]:
        """The losses of the RoI branch but for OIM, and the people of its regions; None if there are too few regions."""
        network, recipe = self.network, self.recipe
        losses: dict[str, Tensor] = {}
        if network.rpn is None:
            proposals = self._found(levels, batch)
        else:
            frames = frames_of(batch.scenes.resized, batch.scenes.pixels)
            proposals, losses = propose(network.rpn, features[REGION_LEVEL], frames, batch.boxes, recipe.proposals)
        regions = sample_regions(proposals, batch.boxes, batch.identities, recipe.head.sampling)
        if len(regions.positive) < FEWEST:
            return losses, None
        seen = network.roi(network.regions(features[REGION_LEVEL], regions.boxes))
        losses["roi_class"] = recipe.head.class_weight * person_loss(network.roi, seen, regions)
        losses["roi_box"] = region_box_loss(seen.deltas, regions, self.coder, recipe.head)
        return losses, Named(seen.embeddings[regions.positive], regions.identities[regions.positive])

    @torch.no_grad()
    def _found(self, levels: list[LevelMaps], batch: TrainBatch) -> list[Tensor]:
        """The boxes that the AlignPS branch finds in each image, in pixels of the resized image."""
        found = []
        for image, size in enumerate(zip(batch.scenes.resized, batch.scenes.original, strict=True)):
            boxes = select(levels, image, *size, self.network.rules).boxes
            found.append(boxes * box_scale(*size, boxes))
        return found

"""How OIM, NAE and SeqNet learn, and what SeqNeXt shares with them."""

import torch.nn.functional as F
from torch import Tensor

from personsearch.models.parts.heads import FirstHead
from personsearch.models.parts.rpn import frames_of
from personsearch.models.rcnn import RCNN, RCNNConfig, region_input
from personsearch.models.seqnet import SeqNet, SeqNetConfig
from personsearch.models.seqnext import SeqNeXt, SeqNeXtConfig
from personsearch.training.data.batches import TrainBatch
from personsearch.training.learners.base import Learner, person_loss, propose
from personsearch.training.losses.oim import OIMLoss
from personsearch.training.losses.regions import SampledRegions, region_box_loss, sample_regions
from personsearch.training.recipes.schema import RegionLosses


def build_network(config: RCNNConfig | SeqNetConfig) -> RCNN | SeqNet:
    """The network of a config, with random weights."""
    if isinstance(config, SeqNeXtConfig):
        return SeqNeXt(config)
    return SeqNet(config) if isinstance(config, SeqNetConfig) else RCNN(config)


class RegionLearner(Learner):
    """Faster R-CNN's losses and OIM; SeqNet's second head learns from the boxes that its first head has moved.

    The box loss is a mean over all sampled regions, as the authors' code has it; Eq. 1 prints a mean over the positive ones, which
    `box_mean` of the recipe chooses.

    Args:
        config: Config of the network.
        losses: Numbers of the losses.
        identities: Number of labelled identities.

    Source: SeqNet (arXiv 2103.10148), Eq. 1-3 and "Training"; serend1p1ty/SeqNet@edec285; dichen-cd/NAE4PS@ec43d1e.
    """

    network: RCNN | SeqNet
    prepare = staticmethod(region_input)

    def __init__(self, config: RCNNConfig | SeqNetConfig, losses: RegionLosses, identities: int) -> None:
        super().__init__()
        self.config = config
        self.network = build_network(config)
        self.recipe = losses
        self.oim = OIMLoss(identities, config.embedding_dim, losses.oim)

    def forward(self, batch: TrainBatch) -> dict[str, Tensor]:
        """`rpn_*`, `first_*` of SeqNet, `class`, `box` and `oim`."""
        return self.losses_on(self.network(batch.scenes.pixels), batch)

    def losses_on(self, c4: Tensor, batch: TrainBatch) -> dict[str, Tensor]:
        """The losses of a batch.

        Args:
            c4: (B, C, H, W), the backbone's map of stride 16.
            batch: Batch that it is of.
        """
        network, recipe = self.network, self.recipe
        frames = frames_of(batch.scenes.resized, batch.scenes.pixels)
        proposals, losses = propose(network.rpn, c4, frames, batch.boxes, recipe.proposals)
        if isinstance(network, SeqNet):
            proposals, first = self._first(network.first, c4, proposals, frames, batch)
            losses |= first
        regions = sample_regions(proposals, batch.boxes, batch.identities, recipe.head.sampling)
        seen = network.reid_head(network.pool(c4, regions.boxes))
        losses["class"] = recipe.head.class_weight * person_loss(network.reid_head, seen, regions)
        losses["box"] = region_box_loss(seen.deltas, regions, network.coder, recipe.head)
        losses["oim"] = self.oim(seen.embeddings[regions.positive], regions.identities[regions.positive])
        return losses

    def _first(
        self, head: FirstHead, c4: Tensor, proposals: list[Tensor], frames: Tensor, batch: TrainBatch
    ) -> tuple[list[Tensor], dict[str, Tensor]]:
        """The boxes that go on to the second head, and the losses of the first."""
        recipe = self.recipe.first
        regions: SampledRegions = sample_regions(proposals, batch.boxes, batch.identities, recipe.sampling)
        seen = head(self.network.pool(c4, regions.boxes))
        losses = {
            "first_class": recipe.class_weight * F.cross_entropy(seen.class_logits, regions.positive.long()),
            "first_box": region_box_loss(seen.deltas, regions, self.network.coder, recipe),
        }
        deltas = seen.deltas.detach().split([len(one) for one in regions.boxes])
        return [self.network.refine(*image) for image in zip(regions.boxes, deltas, frames, strict=True)], losses

"""How Trident learns."""

from typing import Any

import torch.nn.functional as F
from torch import Tensor

from personsearch.boxes import Array
from personsearch.models.parts.rpn import frames_of
from personsearch.models.rcnn import region_input
from personsearch.models.trident import Trident, TridentConfig, TridentOutput
from personsearch.training.data.batches import TrainBatch
from personsearch.training.learners.base import Learner, propose, tensors_of
from personsearch.training.losses.agwf import AdaptiveReid, confidences, part_loss
from personsearch.training.losses.regions import region_box_loss, sample_regions
from personsearch.training.recipes.schema import TridentLosses

PARTS = "head.parts."


class TridentLearner(Learner):
    """Faster R-CNN's losses, and those of re-identification and part classification with adaptive gradient weighting.

    Without `partitions` in the network's config part classification is left out (Table 1).

    Source: Han, Ko and Sim (ICCV 2021), Sec. 4 and 5.2.
    """

    network: Trident
    config: TridentConfig
    prepare = staticmethod(region_input)

    def __init__(self, config: TridentConfig, losses: TridentLosses, identities: int) -> None:
        super().__init__()
        self.config = config
        self.network = Trident(config)
        self.recipe = losses
        self.reid = AdaptiveReid(identities, config.embedding_dim, losses.reid)

    def forward(self, batch: TrainBatch) -> dict[str, Tensor]:
        """`rpn_*`, `class`, `box`, `identity`, `binary`, `unlabelled` and `part`, less what the recipe leaves out."""
        network, recipe = self.network, self.recipe
        c4, frames = network(batch.scenes.pixels), frames_of(batch.scenes.resized, batch.scenes.pixels)
        proposals, losses = propose(network.rpn, c4, frames, batch.boxes, recipe.proposals)
        regions = sample_regions(proposals, batch.boxes, batch.identities, recipe.head.sampling)
        seen: TridentOutput = network.head(network.pool(c4, regions.boxes))
        losses["class"] = recipe.head.class_weight * F.cross_entropy(seen.class_logits, regions.positive.long())
        losses["box"] = region_box_loss(seen.deltas, regions, network.coder, recipe.head)
        confidence = confidences(seen.scores, recipe.reid)
        losses |= self.reid(seen.embeddings, regions.identities, regions.positive, confidence)
        if seen.parts is not None:
            losses["part"] = part_loss(seen.parts, regions.positive, confidence, recipe.reid)
        return losses

    def exported(self) -> tuple[dict[str, Any], dict[str, Array]]:
        """config.json and tensors without the part classification, which served training alone."""
        state = {name: tensor for name, tensor in self.network.state_dict().items() if not name.startswith(PARTS)}
        return self.config.model_copy(update={"partitions": None}).model_dump(mode="json"), tensors_of(state)

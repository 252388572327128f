"""A network together with what it learns from."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from personsearch.boxes import Array
from personsearch.models.base import PersonModel
from personsearch.models.folder import UNUSED, scene_model
from personsearch.models.parts.heads import BaselineHead, HeadOutput, OIMHead, PixelwiseHead
from personsearch.models.parts.rpn import RegionProposals
from personsearch.training.data.batches import AugmentRecipe, Prepare, TrainBatch, TrainItems
from personsearch.training.data.dataset import PeopleDataset
from personsearch.training.initialise import Taken
from personsearch.training.losses.regions import ProposalRecipe, SampledRegions, cell_labels, proposal_losses


class Learner(nn.Module, ABC):
    """A network, its losses, and the memories that they keep. Subclasses are one family of networks each."""

    network: nn.Module
    config: Any  # what the network is built of
    prepare: Prepare  # a function of a module, so that worker processes can have it
    taken: Taken | None = None  # what the network started from, if that is another model

    @abstractmethod
    def forward(self, batch: TrainBatch) -> dict[str, Tensor]:
        """The weighted losses of a batch by name, () each; their sum is what the optimizer makes small."""

    def items(self, dataset: PeopleDataset, recipe: AugmentRecipe, seed: int) -> TrainItems:
        """What batches are made of."""
        return TrainItems(dataset, self.prepare, recipe, seed)

    def exported(self) -> tuple[dict[str, Any], dict[str, Array]]:
        """config.json and tensors of a model folder: what inference needs, no more."""
        return self.config.model_dump(mode="json"), tensors_of(self.network.state_dict())

    def model(self, network: Any, digest: str, device: str) -> PersonModel:
        """`network`, a copy of the learner's in eval mode, as a model; it is changed."""
        return scene_model(network, self.config, digest, device)


def tensors_of(state: Mapping[str, Tensor]) -> dict[str, Array]:
    """A network's tensors by name, less batch norm's counters."""
    return {name: tensor.detach().cpu().contiguous().numpy() for name, tensor in state.items() if not name.endswith(UNUSED)}


def propose(
    rpn: RegionProposals, c4: Tensor, frames: Tensor, people: list[Tensor], recipe: ProposalRecipe
) -> tuple[list[Tensor], dict[str, Tensor]]:
    """The proposals of each image, and the losses of the network that makes them.

    Args:
        rpn: the network.
        c4: (B, C, H, W), the backbone's map of stride 16.
        frames: (B, 4), see `personsearch.models.parts.rpn.frames_of`.
        people: (M, 4) true boxes of each image.
        recipe: limits and weights.
    """
    logits, deltas = rpn.predict(c4)
    anchors = rpn.anchors(c4)
    losses = proposal_losses(logits, deltas, anchors, frames, people, rpn.coder, recipe)
    limits = recipe.before_nms, recipe.after_nms
    return rpn.select(logits, deltas, anchors, frames, limits=limits, min_side=recipe.min_side), losses


def person_loss(head: BaselineHead, seen: HeadOutput, regions: SampledRegions) -> Tensor:
    """How wrong a head is about which regions are people; the mean over regions (NAE+: over their cells).

    Source: dichen-cd/NAE4PS@ec43d1e; the norm of NAE's embedding, rescaled, is the logit.
    """
    if isinstance(head, OIMHead):
        return F.cross_entropy(seen.logits, regions.positive.long())
    if isinstance(head, PixelwiseHead):
        return F.binary_cross_entropy_with_logits(seen.logits, cell_labels(regions, seen.logits.shape[-1]))
    return F.binary_cross_entropy_with_logits(seen.logits, regions.positive.to(seen.logits.dtype))

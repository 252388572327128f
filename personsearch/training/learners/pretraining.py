"""How a network is pre-trained on data of the sub-tasks."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from personsearch.errors import ConfigError
from personsearch.models.parts.heads import REGION_LEVEL, BaselineHead, FirstHead, HeadOutput
from personsearch.models.parts.region_pool import STRIDE
from personsearch.models.parts.rpn import frames_of
from personsearch.models.rcnn import RCNNConfig
from personsearch.models.seqnet import SeqNet, SeqNetConfig
from personsearch.training.data.batches import AugmentRecipe, TrainBatch, TrainItems
from personsearch.training.data.dataset import PeopleDataset
from personsearch.training.learners.base import person_loss, propose
from personsearch.training.learners.region import RegionLearner
from personsearch.training.losses.alignment import AlignmentModule, AlignmentRecipe, DomainFeatures, cells_inside
from personsearch.training.losses.regions import SampledRegions, region_box_loss, sample_regions
from personsearch.training.losses.simsiam import Predictor, contrast
from personsearch.training.pretraining import PairBatch, PairItems, PretrainingRecipe, SubTaskPeople
from personsearch.training.recipes.schema import RegionLosses

FEWEST_DOMAINS = 2  # one needs no alignment


class PretrainingLearner(RegionLearner):
    """The losses of `RegionLearner` in both views of all sets, the contrast of unlabelled people, and alignment.

    Where the paper leaves a choice:
    * h of Eq. 5 is the re-identification head's embedding at a person's true box, so that a picture has one pair a person.
    * The detection module sees all regions that the detection head learns from (SeqNet: its first head), as Domain Adaptive Faster R-CNN
      does; the re-identification module sees people only, as other regions hold no people to tell apart.
    * "Intra-task" is taken at its word: each module sees its own task's images, and tells apart that task's data sets, although Eq. 7
      prints both kinds of images. The inter-task module (Table 5) tells detection from re-identification by what both
      share: the backbone's map and the embeddings of people.

    Source: "Divide and Conquer: Hybrid Pre-training for Person Search" (arXiv 2312.07970), Eq. 1-7.
    """

    def __init__(self, config: RCNNConfig | SeqNetConfig, losses: RegionLosses, identities: int, plan: PretrainingRecipe) -> None:
        super().__init__(config, losses, identities)
        self.plan = plan
        self.predictor = None if plan.contrast is None else Predictor(config.embedding_dim, plan.contrast.bottleneck)
        self.detection_alignment: AlignmentModule | None = None
        self.reid_alignment: AlignmentModule | None = None
        self.task_alignment: AlignmentModule | None = None
        if plan.alignment is not None:
            self._build_alignment(plan.alignment)

    def _build_alignment(self, recipe: AlignmentRecipe) -> None:
        c4, dim = self.network.backbone.channels[REGION_LEVEL], self.network.embedding_dim
        tasks = len(self.plan.detection), len(self.plan.reid)
        if recipe.intra_task and tasks[0] >= FEWEST_DOMAINS:
            self.detection_alignment = AlignmentModule(c4, self._detector.res5.channels, tasks[0], recipe)
        if recipe.intra_task and tasks[1] >= FEWEST_DOMAINS:
            self.reid_alignment = AlignmentModule(c4, dim, tasks[1], recipe)
        if recipe.inter_task and all(tasks):
            self.task_alignment = AlignmentModule(c4, dim, len(tasks), recipe)

    @property
    def _detector(self) -> FirstHead | BaselineHead:
        """The head that detects."""
        return self.network.first if isinstance(self.network, SeqNet) else self.network.reid_head

    def items(self, dataset: PeopleDataset, recipe: AugmentRecipe, seed: int) -> TrainItems:
        """Pairs of views.

        Raises:
            ConfigError: the data are not sets of sub-tasks.
        """
        if not isinstance(dataset, SubTaskPeople):
            raise ConfigError("a pre-training learns from data sets by name; give each of the recipe's with its folder")
        return PairItems(dataset, self.prepare, recipe, seed, self.plan.unify)

    def forward(self, batch: TrainBatch) -> dict[str, Tensor]:
        """The losses of `RegionLearner`, `contrast`, and `image`, `instance` and `consistency` of each alignment."""
        if not isinstance(batch, PairBatch):
            raise ConfigError("a pre-training needs pairs of views; make batches of this learner's `items`")
        network, recipe = self.network, self.recipe
        c4, frames = network(batch.scenes.pixels), frames_of(batch.scenes.resized, batch.scenes.pixels)
        proposals, losses = propose(network.rpn, c4, frames, batch.boxes, recipe.proposals)
        with inputs_of(self._detector.boxes) as looked_at:
            if isinstance(network, SeqNet):
                proposals, first = self._first(network.first, c4, proposals, frames, batch)
                losses |= first
            regions = sample_regions(proposals, batch.boxes, batch.identities, recipe.head.sampling)
            pairs = self._pairs(batch)
            pooled = network.pool(c4, [torch.cat(both) for both in zip(regions.boxes, pairs, strict=True)])
            seen = network.reid_head(pooled)
        sampled = torch.cat([torch.arange(len(a) + len(b), device=c4.device) < len(a) for a, b in zip(regions.boxes, pairs, strict=True)])
        ordinary = HeadOutput(seen.logits[sampled], seen.deltas[sampled], seen.embeddings[sampled])
        losses["class"] = recipe.head.class_weight * person_loss(network.reid_head, ordinary, regions)
        losses["box"] = region_box_loss(ordinary.deltas, regions, network.coder, recipe.head)
        losses["oim"] = self.oim(ordinary.embeddings[regions.positive], regions.identities[regions.positive])
        if self.predictor is not None and self.plan.contrast is not None:
            views = seen.embeddings[~sampled].tensor_split(2)  # people of all first views, then the same of all others
            losses["contrast"] = contrast((views[0], views[1]), self.predictor, self.plan.contrast)
        if isinstance(network, SeqNet):
            detected = looked_at[0], owners_of(proposals)
        else:
            detected = looked_at[0][sampled], owners_of(regions.boxes)
        return losses | self._alignment(batch, c4, detected, regions, pooled[sampled], ordinary.embeddings)

    def _pairs(self, batch: PairBatch) -> list[Tensor]:
        """(N_i, 4) boxes of each image's people who are contrasted: those of sets that do not say who they are."""
        wanted = torch.zeros_like(batch.named) if self.plan.contrast is None else ~batch.named
        return [boxes if chosen else boxes[:0] for boxes, chosen in zip(batch.boxes, wanted, strict=True)]

    def _alignment(
        self, batch: PairBatch, c4: Tensor, detected: tuple[Tensor, Tensor], regions: SampledRegions, pooled: Tensor, embeddings: Tensor
    ) -> dict[str, Tensor]:
        """The losses of all modules.

        Args:
            batch: batch of 2B images.
            c4: (2B, C, H, W).
            detected: (M, C5) what the detection head saw of each region, and (M,) whose image each is of.
            regions: N of them, which the re-identification head learns from.
            pooled: (N, C, 14, 14).
            embeddings: (N, D).
        """
        first_crops = len(self.plan.detection)
        crops, inside = batch.sets >= first_crops, cells_inside(batch.scenes.resized, c4, STRIDE)
        people, owners = regions.positive, owners_of(regions.boxes)
        losses: dict[str, dict[str, Tensor]] = {}
        if self.detection_alignment is not None:
            scenes = DomainFeatures(c4, inside, *detected, batch.sets).take(~crops)
            losses["detection"] = self.detection_alignment(scenes)
        if self.reid_alignment is not None:
            chosen = people & crops[owners]
            rows, domains = embeddings[chosen], batch.sets[owners[chosen]] - first_crops
            losses["reid"] = self.reid_alignment(
                DomainFeatures(pooled[chosen], None, rows, torch.arange(len(rows), device=rows.device), domains)
            )
        if self.task_alignment is not None:
            losses["task"] = self.task_alignment(DomainFeatures(c4, inside, embeddings[people], owners[people], crops.long()))
        return {f"{module}_{name}": loss for module, terms in losses.items() for name, loss in terms.items()}


def owners_of(boxes: list[Tensor]) -> Tensor:
    """(N,) int64: whose image each of (N_i, 4) boxes is of; N is their sum."""
    counts = torch.tensor([len(one) for one in boxes], device=boxes[0].device)
    return torch.arange(len(boxes), device=counts.device).repeat_interleave(counts)


@contextmanager
def inputs_of(module: nn.Module) -> Iterator[list[Tensor]]:
    """What the module is given inside the block, call by call."""
    given: list[Tensor] = []
    handle = module.register_forward_pre_hook(lambda _, inputs: given.append(inputs[0]))
    try:
        yield given
    finally:
        handle.remove()

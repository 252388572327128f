"""How DKD's student learns."""

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from personsearch.errors import ConfigError
from personsearch.models.dkd import DKD, DKDConfig
from personsearch.models.parts.rpn import frames_of
from personsearch.models.rcnn import region_input
from personsearch.models.reid import classifier, crops_of, read_network
from personsearch.training.data.batches import TrainBatch
from personsearch.training.data.crop_augment import shifted
from personsearch.training.learners.base import Learner, propose
from personsearch.training.learners.reid import FEWEST, named
from personsearch.training.losses.distillation import DistillationRecipe, Opinion, distillation
from personsearch.training.losses.regions import region_box_loss, sample_regions
from personsearch.training.recipes.common import changed
from personsearch.training.recipes.schema import DKDLosses, Recipe


class Teacher:
    """A trained crop network that never changes. Neither the learner's state nor the saved model contains it.

    It crops from the network's input, so that it sees the same mirroring and light as the student.

    Raises:
        ConfigError, WeightsError: the folder holds no crop network.
    """

    def __init__(self, folder: Path) -> None:
        self.config, self.network = read_network(folder)
        self.network.requires_grad_(False)
        self.size = self.network.size

    @torch.no_grad()
    def __call__(self, pixels: Tensor, boxes: list[Tensor]) -> Opinion:
        """What it says about the (N_i, 4) boxes of each image of (B, 3, H, W) pixels."""
        network = self.network.to(pixels.device)
        features = network.features(crops_of(pixels, boxes, self.size))
        # one that was saved without a classifier teaches no probabilities
        return Opinion(features, features[:, :0] if network.classifier is None else network.classifier(features))


class DKDLearner(Learner):
    """Faster R-CNN's losses at sampled proposals; identities, and what the teacher says, at the true boxes of labelled people.

    Unlabelled people take part in detection alone: the cross-entropy has no class for them, and the teacher was trained on
    "person patches with labeled ground truth bounding boxes".

    Source: DKD, Eq. 5 and 6.
    """

    network: DKD
    config: DKDConfig
    prepare = staticmethod(region_input)

    def __init__(self, config: DKDConfig, losses: DKDLosses, identities: int) -> None:
        super().__init__()
        self.config = config
        self.network = DKD(config)
        self.recipe = losses
        self.classifier = classifier(config.embedding_dim, identities)
        self.teacher = open_teacher(config, losses, identities)

    def forward(self, batch: TrainBatch) -> dict[str, Tensor]:
        """`rpn_*`, `class`, `box`, and with at least two labelled people `reid` and `kd_*`."""
        network, recipe = self.network, self.recipe
        c4, frames = network(batch.scenes.pixels), frames_of(batch.scenes.resized, batch.scenes.pixels)
        proposals, losses = propose(network.rpn, c4, frames, batch.boxes, recipe.proposals)
        regions = sample_regions(proposals, batch.boxes, batch.identities, recipe.head.sampling)
        seen = network.detection(network.pool(c4, regions.boxes))
        losses["class"] = recipe.head.class_weight * F.cross_entropy(seen.class_logits, regions.positive.long())
        losses["box"] = region_box_loss(seen.deltas, regions, network.coder, recipe.head)
        if recipe.reid_weight:
            losses |= {name: recipe.reid_weight * one for name, one in self._reid(c4, batch).items()}
        return losses

    def _reid(self, c4: Tensor, batch: TrainBatch) -> dict[str, Tensor]:
        """The terms in the brackets of Eq. 5."""
        boxes, identities = named(batch)
        count = len(identities)
        if count < FEWEST:
            return {}
        kd, teacher = self.recipe.distillation, self.teacher
        views = [boxes]
        if kd is not None and teacher is not None and kd.shift is not None and kd.probability:
            shift = kd.shift
            views.append([shifted(one, shift, teacher.size) for one in boxes])
        features = self.network.reid(torch.cat([self.network.pool(c4, view) for view in views])).features
        logits = self.classifier(features).float()
        losses = {"reid": F.cross_entropy(logits[:count], identities)}
        if kd is not None and teacher is not None:
            first, *others = (teacher(batch.scenes.pixels, view) for view in views)
            moved = (logits[count:], others[0].logits) if others else None
            losses |= distillation(Opinion(features[:count], logits[:count]), first, identities, kd, shifted=moved)
        return losses


def open_teacher(config: DKDConfig, losses: DKDLosses, identities: int) -> Teacher | None:
    """The teacher of a recipe; None if the recipe has no teacher.

    Raises:
        ConfigError: it is needed and not named, or named and not needed, or its numbers are not the student's.
        WeightsError: the folder's weights are not a crop network's.
    """
    kd, folder = losses.distillation, losses.teacher
    needed = kd is not None and losses.reid_weight > 0 and any((kd.probability, kd.pairs, kd.triplets))
    if folder is None and needed:
        raise ConfigError("losses.teacher: this recipe learns from a trained crop network; name its folder (`--teacher FOLDER`)")
    if folder is not None and not needed:
        raise ConfigError(f"losses.teacher is {folder}, but this recipe does not learn from a teacher; leave it out")
    if folder is None or kd is None:
        return None
    teacher = Teacher(folder)
    _check(kd, teacher, config.embedding_dim, identities)
    return teacher


def _check(kd: DistillationRecipe, teacher: Teacher, dim: int, identities: int) -> None:
    found = teacher.config
    if kd.probability and found.identities != identities:
        raise ConfigError(
            f"the teacher tells {found.identities} identities apart, the data set has {identities}; train it on this data set, "
            "or set losses.distillation.probability to 0"
        )
    if kd.triplets and found.embedding_dim != dim:
        raise ConfigError(
            f"the teacher's embedding_dim is {found.embedding_dim}, the student's {dim}; their distances need the same, "
            "or set losses.distillation.triplets to 0"
        )


def with_teacher(recipe: Recipe, folder: Path) -> Recipe:
    """The recipe with its teacher's folder.

    Raises:
        ConfigError: the recipe is not DKD's.
    """
    if not isinstance(recipe.losses, DKDLosses):
        raise ConfigError(f"{recipe.name} does not learn from a teacher; leave out the teacher")
    return changed(recipe, losses=changed(recipe.losses, teacher=folder))

"""How AlignPS learns."""

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

from personsearch.models.alignps import AlignPS, AlignPSConfig, dense_input
from personsearch.models.parts.fcos import LevelMaps
from personsearch.training.data.batches import TrainBatch
from personsearch.training.learners.base import Learner
from personsearch.training.losses.dense import cells_of, dense_losses, rows_of, targets_of
from personsearch.training.losses.oim import OIMLoss
from personsearch.training.losses.triplet import triplet_aided
from personsearch.training.recipes.schema import DenseLosses


@dataclass(frozen=True)
class Named:
    """Features of people, and who they are."""

    features: Tensor  # (N, D) unit rows
    identities: Tensor  # (N,), -1 unlabelled


class DenseLearner(Learner):
    """FCOS's losses, and triplet-aided OIM at all cells that are somebody's.

    The released code makes four coarser levels in training, which hold no people: they add only background to the
    class loss. The paper has P3 only, and so have we.

    Source: arXiv 2109.00211, Sec. III-C; daodaofr/AlignPS@5d62dbc (FCOSReidHeadFocalSubTriQueue, FCOSReidHeadFocalOimSub).
    """

    network: AlignPS
    prepare = staticmethod(dense_input)

    def __init__(self, config: AlignPSConfig, losses: DenseLosses, identities: int) -> None:
        super().__init__()
        self.config = config
        self.network = AlignPS(config)
        self.recipe = losses
        self.oim = OIMLoss(identities, config.channels, losses.oim)

    def forward(self, batch: TrainBatch) -> dict[str, Tensor]:
        """`dense_class`, `dense_box`, `dense_centerness`, `oim` and `triplet`."""
        _, levels = self.network(batch.scenes.pixels)
        losses, people = detection(levels, batch, self.recipe)
        return losses | reid(people, self.oim, self.recipe)


def detection(levels: list[LevelMaps], batch: TrainBatch, recipe: DenseLosses) -> tuple[dict[str, Tensor], Named]:
    """The detection losses of a batch, and the features of all cells that are somebody's."""
    output = rows_of(levels)
    targets = targets_of(cells_of(levels), batch.boxes, batch.identities, recipe.detection.radius)
    losses = dense_losses(output, targets, len(batch.boxes), recipe.detection)
    people = Named(F.normalize(output.features[targets.positive]), targets.identities)
    return {f"dense_{name}": loss for name, loss in losses.items()}, people


def reid(people: Named, oim: OIMLoss, recipe: DenseLosses) -> dict[str, Tensor]:
    """`oim` and, if the recipe has it, `triplet`; the memory takes the features in."""
    losses = {}
    if recipe.triplet is not None:  # first: it compares with the table before these features are in it
        losses["triplet"] = triplet_aided(people.features, people.identities, oim.table, recipe.triplet)
    return {"oim": oim(people.features, people.identities), **losses}

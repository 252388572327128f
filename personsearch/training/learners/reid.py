"""How a crop network learns: DKD's teacher, with or without its augmentation of crops."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from personsearch.models.base import PersonModel
from personsearch.models.rcnn import region_input
from personsearch.models.reid import ReidConfig, ReidNetwork, crops_of
from personsearch.models.two_step.crop_model import crop_model
from personsearch.training.data.batches import TrainBatch
from personsearch.training.data.crop_augment import erased, padded, shifted
from personsearch.training.learners.base import Learner
from personsearch.training.recipes.schema import ReidLosses

FEWEST = 2  # people: batch norm cannot learn from one


class ReidLearner(Learner):
    """Softmax cross-entropy over the labelled people of whole scenes, cropped here; the others take no part.

    A batch is of scenes, as everywhere else: its crops share their scene's resizing, mirroring and light, and are as many as
    the scenes have labelled people.

    Of the strong baseline's tricks there are random erasing, the last stride and BNNeck, which DKD names or takes with the
    network; not its warm-up, label smoothing, triplet and centre loss, as DKD says "the softmax cross-entropy loss".

    Source: DKD, Sec. 2.3 and 3.2; Luo et al. (CVPRW 2019).
    """

    network: ReidNetwork
    config: ReidConfig
    prepare = staticmethod(region_input)

    def __init__(self, config: ReidConfig, losses: ReidLosses, identities: int) -> None:
        super().__init__()
        self.config = config.model_copy(update={"identities": identities})
        self.network = ReidNetwork(self.config)
        self.recipe = losses

    def forward(self, batch: TrainBatch) -> dict[str, Tensor]:
        """`reid`; 0 if fewer than two people are labelled."""
        boxes, identities = named(batch)
        if len(identities) < FEWEST or self.network.classifier is None:
            return {"reid": torch.stack([one.sum() for one in self.parameters() if one.requires_grad]).sum() * 0}
        logits = self.network.classifier(self.network.features(self._crops(batch.scenes.pixels, boxes)))
        return {"reid": F.cross_entropy(logits.float(), identities)}

    def model(self, network: Any, digest: str, device: str) -> PersonModel:
        """The network as a model whose pictures are one person each."""
        return crop_model(network, self.config, digest, device)

    def _crops(self, pixels: Tensor, boxes: list[Tensor]) -> Tensor:
        """The augmented crops of (N_i, 4) boxes of each image."""
        recipe, size = self.recipe, self.network.size
        if recipe.shift is not None:
            shift = recipe.shift
            crops = crops_of(pixels, [shifted(one, shift, size) for one in boxes], size)
        else:
            crops = padded(crops_of(pixels, boxes, size), recipe.padding)
        return crops if recipe.erasing is None else erased(crops, recipe.erasing)


def named(batch: TrainBatch) -> tuple[list[Tensor], Tensor]:
    """(N_i, 4) boxes of each image's labelled people, and (N,) identities of all."""
    labelled = [one >= 0 for one in batch.identities]
    boxes = [one[kept] for one, kept in zip(batch.boxes, labelled, strict=True)]
    return boxes, torch.cat([one[kept] for one, kept in zip(batch.identities, labelled, strict=True)])

"""How SeqNeXt learns, with GFN or without."""

from torch import Tensor

from personsearch.models.seqnext import SeqNeXt, SeqNeXtConfig, window_input
from personsearch.training.data.batches import TrainBatch
from personsearch.training.learners.region import RegionLearner
from personsearch.training.losses.scenes import SceneMemory, ScenePeople, scene_loss
from personsearch.training.recipes.schema import SeqNeXtLosses

FEWEST = 2  # scenes, and people: batch norm cannot learn from one


class SeqNeXtLearner(RegionLearner):
    """SeqNet's losses, and GFN's contrastive loss of the batch's scenes and true people with those that a memory adds.

    Args:
        config: Config of the network.
        losses: Numbers of the losses.
        identities: Number of labelled identities.

    Source: Jaffe and Zakhor (WACV 2023, arXiv 2210.12903); LukeJaffe/GFN@72e8d9e.
    """

    network: SeqNeXt
    recipe: SeqNeXtLosses
    prepare = staticmethod(window_input)

    def __init__(self, config: SeqNeXtConfig, losses: SeqNeXtLosses, identities: int) -> None:
        super().__init__(config, losses, identities)
        self.memory = None if config.gallery_filter is None else SceneMemory()

    def forward(self, batch: TrainBatch) -> dict[str, Tensor]:
        """The losses of `RegionLearner`; with GFN, `scenes` too."""
        c4 = self.network(batch.scenes.pixels)
        scenes = self._scenes(c4, batch)  # first, as the authors' code: the heads' batch norms see the true people before the regions
        return self.losses_on(c4, batch) | scenes

    def _scenes(self, c4: Tensor, batch: TrainBatch) -> dict[str, Tensor]:
        network, memory = self.network, self.memory
        if network.scenes is None or memory is None or len(c4) < FEWEST or sum(map(len, batch.boxes)) < FEWEST:
            return {}
        rows = network.reid_head(network.pool(c4, batch.boxes)).embeddings
        people = ScenePeople.of(network.scenes(c4), rows, batch.identities)
        others: list[int] = []
        if batch.pictures is not None and self.training:
            others = memory.draw(batch.pictures, batch.identities, self.recipe.scenes)
            everyone = memory.people(others, rows.device).after(people) if others else people
            memory.remember(batch.pictures, people)
            people = everyone
        return {"scenes": scene_loss(network.scenes.fuse, people, self.recipe.scenes)}

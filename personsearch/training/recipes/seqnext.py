"""Recipes of SeqNeXt and GFN, with ConvNeXt-Base, by the authors' configs.

The authors train in float16 on random crops of 640 pixels that keep a person ("rrc2"); here whole pictures and float32 are the default
(`precision` of the recipe changes the latter). The paper's rate is that of Adam: AdamW without decay.

Source: Jaffe and Zakhor (WACV 2023, arXiv 2210.12903); LukeJaffe/GFN@72e8d9e, configs/default.yaml, cuhk_train_final.yaml,
prw_train_final.yaml and src/engine/train.py.
"""

from functools import partial

from personsearch.models.seqnext import SeqNeXtConfig
from personsearch.training.losses.oim import OIMRecipe
from personsearch.training.losses.regions import ProposalRecipe
from personsearch.training.recipes.common import QUEUES, Builder, Data, network_of
from personsearch.training.recipes.schema import OptimizerRecipe, Recipe, SeqNeXtLosses, WarmUp

WARMUPS: dict[Data, WarmUp] = {"cuhk": 1000, "prw": "epoch_less_one"}  # steps: min(1000, len(loader) - 1) of 1,400 and of 713
FIRST_LAYER = ("backbone.features.0.",)


def seqnext_builders(data: Data) -> dict[str, Builder]:
    """The recipes of one data set: SeqNeXt with GFN, and alone."""
    return {f"gfn-{data}": partial(_seqnext, data, with_filter=True), f"seqnext-{data}": partial(_seqnext, data, with_filter=False)}


def _seqnext(data: Data, *, with_filter: bool) -> Recipe:
    name = f"gfn-{data}" if with_filter else f"seqnext-{data}"
    config = SeqNeXtConfig(architecture="seqnext", name=name)
    return Recipe(
        name=name,
        network=network_of(config) | ({} if with_filter else {"gallery_filter": None}),
        losses=SeqNeXtLosses(
            proposals=ProposalRecipe(box_loss="smooth_l1"),
            oim=OIMRecipe(queue_size=QUEUES[data], empty_rows="masked", average="all"),
        ),
        optimizer=OptimizerRecipe(
            name="adamw", learning_rate=1e-4, weight_decay=0.0, clip=10.0, warmup_steps=WARMUPS[data], drops=(15, 25)
        ),
        epochs=30,
        batch_size=8,
        last_batch="drop",
        frozen=FIRST_LAYER,
    )

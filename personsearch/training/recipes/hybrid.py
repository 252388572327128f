"""The hybrid pre-training's recipes: first a pre-training (`hybrid-resnet50`), then a training that starts from its result.

`train nae-prw --initial FOLDER --whole` starts NAE from all of it, without `--whole` from its backbone alone (Fig. 5), as do all other
networks; `share` takes a part of the pictures (Fig. 5), and other lists of data sets are `pretraining.detection` and `reid` (Fig. 6).

The paper leaves its numbers to "our code", of which only the README could be read: it is built on MMDetection. So the length is that
library's common schedule (12 epochs, drops after 8 and 11), the rest is NAE's. Views differ in light as SimSiam's do, by 0.4. A recipe
starts from a backbone trained on ImageNet (`backbone_weights`), that on "-scratch" does not.

Source: "Divide and Conquer: Hybrid Pre-training for Person Search" (arXiv 2312.07970), Tables 1, 2, 4 and 5, Fig. 5 and 6.
"""

from collections.abc import Sequence
from typing import Any

from personsearch.training.data.batches import AugmentRecipe
from personsearch.training.data.unify import UnifyRecipe
from personsearch.training.losses.alignment import AlignmentRecipe
from personsearch.training.losses.oim import OIMRecipe
from personsearch.training.losses.regions import RegionRecipe, SamplingRecipe
from personsearch.training.pretraining import PretrainingRecipe
from personsearch.training.recipes.schema import OptimizerRecipe, Recipe, RegionLosses

BACKBONES = ("resnet50", "resnet18", "shufflenet")  # Table 1; the last is v2 here, the paper cites v1
FIRST_LAYERS = {
    "resnet50": ("backbone.conv1", "backbone.bn1"),
    "resnet18": ("backbone.conv1", "backbone.bn1"),
    "shufflenet": ("backbone.conv1",),
}
VARIANTS = {
    "": PretrainingRecipe(),
    "-random-paste": PretrainingRecipe(unify=UnifyRecipe(operation="random_paste")),  # Table 4
    "-supervised": PretrainingRecipe(contrast=None),
    "-without-alignment": PretrainingRecipe(alignment=None),  # Fig. 6
    "-without-consistency": PretrainingRecipe(alignment=AlignmentRecipe(consistency=0)),  # the text: 0.3 points less
    "-inter-task": PretrainingRecipe(alignment=AlignmentRecipe(inter_task=True)),  # Table 5, both kinds
}


def hybrid_recipes() -> list[Recipe]:
    """The pre-trainings: each backbone, and with a ResNet-50 every ablation."""
    return [_hybrid(backbone, ending) for backbone in BACKBONES for ending in VARIANTS if backbone == "resnet50" or not ending]


def tuned_recipes(nae: Recipe, others: Sequence[Recipe]) -> list[Recipe]:
    """Trainings that can start from a pre-training: NAE with the smaller backbones, and other networks with its ResNet-50.

    Args:
        nae: of one data set.
        others: whose backbone has its stride where Caffe's ResNet-50 has it; here it is where the pre-trained one's is.
    """
    small = [_with_backbone(nae, f"{nae.name}-{name}", {"name": name}, FIRST_LAYERS[name]) for name in BACKBONES[1:]]
    return small + [
        _with_backbone(recipe, f"{recipe.network['name']}-pretrained", {**recipe.network["backbone"], "style": "pytorch"}, recipe.frozen)
        for recipe in others
    ]


def _hybrid(backbone: str, ending: str) -> Recipe:
    name = f"hybrid-{backbone}{ending}"
    return Recipe(
        name=name,
        network={"architecture": "nae", "name": name, "backbone": {"name": backbone}},
        # everybody is an identity, so that nobody is left for a queue
        losses=RegionLosses(head=RegionRecipe(sampling=SamplingRecipe(negative_iou=0.1), box_weight=10.0), oim=OIMRecipe(queue_size=0)),
        optimizer=OptimizerRecipe(clip=10.0, biases="all", bias_decay=0.0, warmup_steps="epoch", drops=(8, 11)),
        augment=AugmentRecipe(brightness=0.4, contrast=0.4),
        epochs=12,
        frozen=FIRST_LAYERS[backbone],
        pretraining=VARIANTS[ending],
    )


def _with_backbone(recipe: Recipe, name: str, backbone: dict[str, Any], frozen: tuple[str, ...]) -> Recipe:
    network = {**recipe.network, "name": name, "backbone": backbone}
    return recipe.model_copy(update={"name": name, "network": network, "frozen": frozen})

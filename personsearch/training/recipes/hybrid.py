"""The hybrid pre-training's recipes: a pre-training (`hybrid-resnet50`), and trainings that start from its result.

`train nae-prw --initial FOLDER --whole` starts NAE from the whole pre-trained model. Without `--whole` it starts from the backbone
(Fig. 5), as all other networks do. `share` takes a part of the pictures (Fig. 5); `pretraining.detection` and `pretraining.reid` list
the data sets, of which `hybrid-resnet50-1-sets` to `-4-sets` have fewer (Fig. 6).

The paper leaves its numbers to "our code", of which only the README is public: it is built on MMDetection. So the length is that
library's common schedule (12 epochs, drops after 8 and 11), and the rest is NAE's. Views differ in brightness and contrast as SimSiam's
do, by 0.4. A recipe starts from a backbone trained on ImageNet (`backbone_weights`); "-scratch" recipes do not.

Source: "Divide and Conquer: Hybrid Pre-training for Person Search" (arXiv 2312.07970), Tables 1, 2, 4 and 5, Fig. 5 and 6.
"""

from collections.abc import Mapping
from functools import partial

from personsearch.models.config import BackboneConfig, BackboneName
from personsearch.models.rcnn import RCNNConfig
from personsearch.options import parse
from personsearch.training.data.batches import AugmentRecipe
from personsearch.training.data.unify import UnifyRecipe
from personsearch.training.losses.alignment import AlignmentRecipe
from personsearch.training.losses.oim import OIMRecipe
from personsearch.training.losses.regions import RegionRecipe
from personsearch.training.pretraining import PretrainingRecipe
from personsearch.training.recipes.common import FIRST_LAYERS, NEGATIVES_BELOW, Builder, changed, network_of
from personsearch.training.recipes.schema import OptimizerRecipe, Recipe, RegionLosses

BACKBONES: tuple[BackboneName, ...] = ("resnet50", "resnet18", "shufflenet")  # Table 1; the last is v2 here, the paper cites v1
# Fig. 6 adds one data set after the other; it does not say in which order, so it is the one in which the text names them
SETS = (("crowdhuman", False), ("eurocity", False), ("msmt17", True), ("cuhk03", True), ("luperson-30k", True))
FROZEN: dict[BackboneName, tuple[str, ...]] = {"resnet50": FIRST_LAYERS, "resnet18": FIRST_LAYERS, "shufflenet": ("backbone.conv1",)}
POSETRACK21_SCORE = 0.2
VARIANTS = {
    "": PretrainingRecipe(),
    "-random-paste": PretrainingRecipe(unify=UnifyRecipe(operation="random_paste")),  # Table 4
    "-supervised": PretrainingRecipe(contrast=None),
    "-without-alignment": PretrainingRecipe(alignment=None),  # Fig. 6
    "-without-consistency": PretrainingRecipe(alignment=AlignmentRecipe(consistency=0)),  # the text: 0.3 points less
    "-inter-task": PretrainingRecipe(alignment=AlignmentRecipe(inter_task=True)),  # Table 5, both kinds
}


def hybrid_builders() -> dict[str, Builder]:
    """The pre-trainings: each backbone, and every ablation with a ResNet-50."""
    built: dict[str, Builder] = {
        f"hybrid-{backbone}{ending}": partial(_hybrid, backbone, ending)
        for backbone in BACKBONES
        for ending in VARIANTS
        if backbone == "resnet50" or not ending
    }
    return built | {f"hybrid-resnet50-{count}-sets": partial(_fewer_sets, count) for count in range(1, len(SETS))}


def posetrack21_builders(prw: Builder) -> dict[str, Builder]:
    """ROI-AlignPS on PoseTrack21 (Table 3). The paper prints no numbers for it: PRW's, with the threshold of the published model."""
    name = "roi-alignps-posetrack21-pretrained"
    return {name: partial(_on_posetrack21, prw, name)}


def tuned_builders(name: str, nae: Builder, others: Mapping[str, Builder]) -> dict[str, Builder]:
    """Trainings that can start from a pre-training: NAE with the smaller backbones, and other networks with its ResNet-50.

    Args:
        name: name of NAE's recipe.
        nae: its builder.
        others: builders of networks with Caffe's stride, which move it to where the pre-trained ResNet-50 has it.
    """
    small: dict[str, Builder] = {f"{name}-{backbone}": partial(_with_small_backbone, nae, backbone) for backbone in BACKBONES[1:]}
    return small | {f"{other}-pretrained": partial(_with_pytorch_stride, build) for other, build in others.items()}


def _hybrid(backbone: BackboneName, ending: str) -> Recipe:
    name = f"hybrid-{backbone}{ending}"
    return Recipe(
        name=name,
        network=network_of(RCNNConfig(architecture="nae", name=name, backbone=BackboneConfig(name=backbone))),
        # every person has an identity, so the queue stays empty
        losses=RegionLosses(head=RegionRecipe(sampling=NEGATIVES_BELOW, box_weight=10.0), oim=OIMRecipe(queue_size=0)),
        optimizer=OptimizerRecipe(clip=10.0, biases="all", bias_decay=0.0, warmup_steps="epoch", drops=(8, 11)),
        augment=AugmentRecipe(brightness=0.4, contrast=0.4),
        epochs=12,
        frozen=FROZEN[backbone],
        pretraining=VARIANTS[ending],
    )


def _fewer_sets(count: int) -> Recipe:
    sets = SETS[:count]
    plan = PretrainingRecipe(detection=tuple(name for name, crops in sets if not crops), reid=tuple(name for name, crops in sets if crops))
    recipe, name = _hybrid("resnet50", ""), f"hybrid-resnet50-{count}-sets"
    return changed(recipe, name=name, network={**recipe.network, "name": name}, pretraining=plan)


def _on_posetrack21(prw: Builder, name: str) -> Recipe:
    recipe = prw()
    return changed(recipe, name=name, network={**recipe.network, "name": name, "min_score": POSETRACK21_SCORE})


def _with_small_backbone(nae: Builder, backbone: BackboneName) -> Recipe:
    recipe = nae()
    return _with_backbone(recipe, f"{recipe.name}-{backbone}", BackboneConfig(name=backbone), FROZEN[backbone])


def _with_pytorch_stride(start: Builder) -> Recipe:
    recipe = start()
    backbone = changed(parse(BackboneConfig, recipe.network["backbone"], recipe.name), style="pytorch")
    return _with_backbone(recipe, f"{recipe.network['name']}-pretrained", backbone, recipe.frozen)


def _with_backbone(recipe: Recipe, name: str, backbone: BackboneConfig, frozen: tuple[str, ...]) -> Recipe:
    network = {**recipe.network, "name": name, "backbone": network_of(backbone)}
    return changed(recipe, name=name, network=network, frozen=frozen)

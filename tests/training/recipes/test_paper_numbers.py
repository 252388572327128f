"""Every number that a paper, or its authors' code, prints about a training, against the catalogue. The rest is marked as a choice there."""

import re
from typing import Any

import pytest

from personsearch.training.recipes.catalogue import recipes
from personsearch.training.recipes.schema import FAMILIES

# Paths into a recipe; those that begin with "model." are of the network's config, with its defaults
SGD_3E_3 = {"optimizer.name": "sgd", "optimizer.learning_rate": 0.003, "optimizer.momentum": 0.9, "optimizer.weight_decay": 5e-4}
# SeqNet (arXiv 2103.10148), Implementation; serend1p1ty/SeqNet@edec285 defaults.py
RPN = {
    "losses.proposals.before_nms": 12000,
    "losses.proposals.after_nms": 2000,
    "losses.proposals.box_loss": "l1",  # torchvision 0.4.0
    "losses.proposals.box_weight": 1.0,
    "losses.proposals.sampling.count": 256,
    "losses.proposals.sampling.positive_share": 0.5,
    "losses.proposals.sampling.positive_iou": 0.7,
    "losses.proposals.sampling.negative_iou": 0.3,
}
REGION_MODEL = {
    "model.short_side": 900,
    "model.long_side": 1500,
    "model.proposals.before_nms": 6000,
    "model.proposals.after_nms": 300,
    "model.proposals.nms_iou": 0.7,
    "model.proposals.anchor_sizes": (32, 64, 128, 256, 512),
    "model.proposals.anchor_ratios": (0.5, 1.0, 2.0),
}
SCENE = {"augment.sizes": ((900, 1500),), "augment.flip": 0.5}
OIM = {"losses.oim.scale": 30.0, "losses.oim.momentum": 0.5}
SEQNET = {
    **SGD_3E_3,
    **RPN,
    **SCENE,
    **OIM,
    "optimizer.clip": 10.0,
    "optimizer.warmup_steps": "epoch_less_one",  # engine.py: len(data_loader) - 1
    "optimizer.warmup_start": 0.001,
    "optimizer.drops": (16,),
    "optimizer.drop_factor": 0.1,
    "batch_size": 5,
    "last_batch": "drop",
    "frozen": ("backbone.conv1", "backbone.bn1"),
    "losses.first.box_weight": 10.0,  # Eq. 4, lambda 1
    "losses.first.class_weight": 1.0,
    "losses.head.box_weight": 1.0,
    "losses.head.class_weight": 1.0,
    "losses.first.box_mean": "regions",  # Eq. 1 as the code has it
    "losses.first.sampling.count": 128,
    "losses.first.sampling.positive_iou": 0.5,
    "losses.first.sampling.negative_iou": 0.5,
    "losses.head.sampling.positive_iou": 0.5,
    "model.first_nms_iou": 0.4,
    "model.nms_iou": 0.5,
    "model.embedding_dim": 256,
    "model.confidence_weighted": True,
    **REGION_MODEL,
}
NAE = {
    **SGD_3E_3,
    **RPN,
    **SCENE,
    **OIM,
    "epochs": 22,
    "batch_size": 5,
    "optimizer.clip": 10.0,
    "optimizer.drops": (16,),
    "optimizer.warmup_steps": "epoch_less_one",  # dichen-cd/NAE4PS@ec43d1e lib/utils/trainer.py
    "last_batch": "drop",  # lib/datasets/__init__.py
    "losses.head.box_weight": 10.0,
    "losses.head.sampling.count": 128,
    "losses.head.sampling.negative_iou": 0.1,
    "frozen": ("backbone.conv1", "backbone.bn1"),
    "model.nms_iou": 0.4,
    "model.embedding_dim": 256,
    **REGION_MODEL,
}
# arXiv 2109.00211, Sec. IV-A
ALIGNPS = {
    "optimizer.name": "sgd",
    "optimizer.learning_rate": 0.001,
    "optimizer.momentum": 0.9,
    "optimizer.weight_decay": 5e-4,
    "optimizer.warmup_steps": 300,
    "optimizer.drops": (16, 22),
    "optimizer.clip": 35.0,
    "epochs": 24,
    "batch_size": 4,
    "augment.sizes": ((400, 667), (600, 1000), (800, 1333), (900, 1500), (1000, 1666), (1200, 2000)),
    "frozen": ("backbone.conv1", "backbone.bn1", "backbone.layer1"),
    "neck_offsets": "spread",
    "model.short_side": 900,
    "model.long_side": 1500,
    "model.channels": 256,
    "model.levels": (3,),
    "model.confidence_weighted": False,
    "model.backbone.norm": "frozen",
    "model.backbone.style": "caffe",
}
DENSE = {
    "oim.scale": 10.0,
    "oim.focal_gamma": 2.0,
    "oim.momentum": 0.5,
    "triplet.margin": 0.3,
    "detection.radius": 1.5,
    "detection.focal_alpha": 0.25,
}
# daodaofr/AlignPS@5d62dbc, configs
ALIGNPS_CODE = ALIGNPS | {
    "optimizer.warmup_steps": 500,
    "optimizer.biases": "plain",
    "optimizer.bias_rate": 2.0,
    "optimizer.bias_decay": 0.0,
}
MMDET = {"by_aspect": True, "last_batch": "fill"}
ROI_CODE = (
    ALIGNPS
    | MMDET
    | {
        "optimizer.learning_rate": 0.0015,
        "optimizer.warmup_steps": 1141,
        "optimizer.warmup_start": 1 / 200,
        "optimizer.clip": 10.0,
        "batch_size": 5,
        "losses.mutual.information": 0.2,
        "losses.mutual.divergence": 0.0,
        "losses.mutual.diversity": 0.0,
        "losses.proposals.matching": "mmdet",
        "losses.proposals.best_iou": 0.3,
        "losses.proposals.inside_only": True,
        "losses.proposals.min_side": 0.0,
        "losses.proposals.before_nms": 12000,
        "losses.proposals.after_nms": 2000,
        "losses.proposals.box_loss": "l1",
        "losses.head.box_loss": "l1",
        "losses.head.box_weight": 10.0,
        "losses.head.sampling.people_first": True,
        "losses.head.sampling.negative_iou": 0.1,
        "losses.oim.scale": 30.0,
        "losses.oim.focal_gamma": 0.0,
        "network.rpn.rounded": False,
    }
)
# Han, Ko and Sim (ICCV 2021), Sec. 5.2; clip, box weight and sampling are NAE's
TRIDENT = {
    **SGD_3E_3,
    "batch_size": 4,
    "optimizer.warmup_steps": "epoch",
    "optimizer.warmup_start": 0.0,
    "optimizer.drops": (8,),
    "optimizer.clip": 10.0,
    "losses.head.box_weight": 10.0,
    "losses.head.sampling.negative_iou": 0.1,
    "losses.reid.identity_temperature": 1 / 30,
    "losses.reid.binary_temperature": 2.0,
    "losses.reid.part_temperature": 0.1,
    "losses.reid.full_similarity": 1.0,
    "losses.reid.unlabelled_weight": 0.1,
    "losses.reid.momentum": 0.5,
    "model.nms_iou": 0.4,
    "model.embedding_dim": 256,
    "model.confidence_weighted": True,
    **REGION_MODEL,
}
# DKD (AAAI 2021), Sec. 3.2; clip, box weight and sampling are NAE's
DKD = {
    "optimizer.learning_rate": 0.001,
    "optimizer.clip": 10.0,
    "batch_size": 4,
    "augment.sizes": ((800, 1333),),
    "losses.head.box_weight": 10.0,
    "losses.reid_weight": 0.1,
    "losses.distillation.probability": 1.0,
    "losses.distillation.pairs": 10.0,
    "losses.distillation.triplets": 1.0,
    "losses.distillation.margin": 0.3,
    "losses.distillation.shift.padding": 10.0,
    "losses.distillation.shift.most": 40.0,
    "model.embedding_dim": 2048,
    "model.short_side": 800,
    "model.long_side": 1333,
    "model.confidence_weighted": False,
}
TEACHER = {
    "optimizer.learning_rate": 3.5e-4,
    "epochs": 240,
    "optimizer.drops": (80, 140),
    "losses.padding": 10,
    "losses.shift.padding": 10.0,
    "losses.shift.most": 40.0,
    "model.height": 256,
    "model.width": 128,
    "model.last_stride": 1,
    "model.bnneck": True,
    "model.embedding_dim": 2048,
}
# arXiv 2312.07970; length, eta and lambda are choices
HYBRID = {
    **SGD_3E_3,
    "epochs": 12,
    "optimizer.drops": (8, 11),
    "optimizer.clip": 10.0,
    "losses.head.box_weight": 10.0,
    "pretraining.detection": ("crowdhuman", "eurocity"),
    "pretraining.reid": ("msmt17", "cuhk03", "luperson-30k"),
    "pretraining.contrast.weight": 1.0,
    "pretraining.alignment.weight": 0.1,
}


# LukeJaffe/GFN@72e8d9e, configs/default.yaml and *_train_final.yaml
SEQNEXT = {
    **OIM,
    "optimizer.name": "adamw",
    "optimizer.learning_rate": 1e-4,
    "optimizer.weight_decay": 0.0,
    "optimizer.momentum": 0.9,
    "optimizer.drops": (15, 25),
    "optimizer.drop_factor": 0.1,
    "optimizer.clip": 10.0,
    "optimizer.warmup_start": 0.001,
    "epochs": 30,
    "batch_size": 8,
    "frozen": ("backbone.features.0.",),
    "losses.proposals.before_nms": 12000,
    "losses.proposals.after_nms": 2000,
    "losses.proposals.sampling.count": 256,
    "losses.proposals.box_loss": "smooth_l1",
    "losses.first.box_weight": 10.0,
    "losses.first.class_weight": 1.0,
    "losses.head.box_weight": 1.0,
    "losses.head.class_weight": 1.0,
    "losses.first.sampling.count": 128,
    "losses.head.sampling.count": 128,
    "losses.head.sampling.positive_iou": 0.5,
    "losses.head.sampling.negative_iou": 0.5,
    "losses.head.sampling.positive_share": 0.5,
    "losses.oim.empty_rows": "masked",
    "losses.oim.average": "all",
    "losses.scenes.temperature": 0.1,
    "losses.scenes.sure_negatives": True,
    "losses.scenes.with_person": 1,
    "losses.scenes.without_person": 1,
}


def dense(prefix: str, **changes: Any) -> dict[str, Any]:
    return {f"{prefix}{path}": value for path, value in DENSE.items()} | {f"{prefix}{path}": value for path, value in changes.items()}


QUEUES = {"cuhk": 5000, "prw": 500}  # of all papers
SEQNET_ON = {  # what differs between the data sets
    data: SEQNET | {"losses.oim.queue_size": QUEUES[data], "epochs": epochs} for data, epochs in (("cuhk", 20), ("prw", 18))
}
MIN_SCORES = {"cuhk": 0.2, "prw": 0.15}  # daodaofr/AlignPS@5d62dbc, tools/test_results*.py
NUMBERS: dict[str, dict[str, Any]] = {
    **{
        f"{name}-{data}": NAE | {"losses.oim.queue_size": queue, "model.confidence_weighted": name == "nae"}
        for name in ("oim", "nae")
        for data, queue in QUEUES.items()
    },
    **{f"seqnet-{data}": numbers for data, numbers in SEQNET_ON.items()},
    **{
        f"seqnet-{data}-paper": numbers
        | {"optimizer.warmup_steps": "epoch", "losses.first.box_mean": "people", "losses.head.box_mean": "people"}
        for data, numbers in SEQNET_ON.items()
    },
    **{f"seqnet-oim-{data}": numbers | {"network.baseline": "oim"} for data, numbers in SEQNET_ON.items()},
    "seqnet-cuhk-reid-only": SEQNET_ON["cuhk"]
    | {"losses.head.box_weight": 0.0, "losses.head.class_weight": 0.0, "network.second_boxes": False},
    "seqnet-cuhk-reid-and-boxes": SEQNET_ON["cuhk"] | {"losses.head.class_weight": 0.0},
    "seqnet-cuhk-reid-and-classes": SEQNET_ON["cuhk"] | {"losses.head.box_weight": 0.0, "network.second_boxes": False},
    **{
        f"alignps-{data}-paper": ALIGNPS | dense("losses.") | {"losses.oim.queue_size": queue, "model.min_score": MIN_SCORES[data]}
        for data, queue in QUEUES.items()
    },
    **{
        f"roi-alignps-{data}-paper": ALIGNPS
        | dense("losses.dense.")
        | {"losses.dense.oim.queue_size": queue, "losses.oim.queue_size": queue, "losses.oim.scale": 10.0, "losses.mutual.information": 0.2}
        | {"model.min_score": MIN_SCORES[data]}
        for data, queue in QUEUES.items()
    },
    "alignps-prw-code": ALIGNPS_CODE
    | MMDET
    | {"optimizer.weight_decay": 1e-3, "losses.oim.scale": 15.0, "losses.oim.queue_scale": 10.0, "losses.oim.queue_channels": 64}
    | {"losses.oim.queue_size": 500, "model.min_score": 0.15},
    "alignps-plus-prw-code": ALIGNPS_CODE | {"optimizer.weight_decay": 7e-4, "network.backbone.deformable": [3, 4, 5]},
    "alignps-cuhk-code": ALIGNPS_CODE | {"optimizer.weight_decay": 1e-4, "losses.oim.queue_size": 5000, "model.min_score": 0.2},
    **{f"roi-alignps-{data}-code": ROI_CODE | {"losses.oim.queue_size": queue} for data, queue in QUEUES.items()},
    "alignps-prw-baseline": ALIGNPS | {"model.levels": (3, 4, 5, 6, 7), "network.structure": "T3", "network.aggregation": "sum"},
    "alignps-prw-res3": ALIGNPS | {"network.backbone.deformable": [3]},
    "alignps-prw-res3-res4": ALIGNPS | {"network.backbone.deformable": [3, 4]},
    **{
        f"trident-{data}": TRIDENT | {"epochs": epochs, "losses.reid.queue_size": QUEUES[data]}
        for data, epochs in (("cuhk", 14), ("prw", 10))
    },
    "trident-prw-with-norm": TRIDENT | {"network.encoder_norm": True, "epochs": 10, "losses.reid.queue_size": 500},
    "trident-cuhk-with-norm": TRIDENT | {"network.encoder_norm": True, "epochs": 14, "losses.reid.queue_size": 5000},
    **{
        f"{name}-{data}": SEQNEXT | {"losses.oim.queue_size": QUEUES[data], "optimizer.warmup_steps": steps}
        for name in ("gfn", "seqnext")
        for data, steps in (("cuhk", 1000), ("prw", "epoch_less_one"))  # src/engine/train.py: min(1000, len(data_loader) - 1)
    },
    "dkd-prw": DKD | {"epochs": 35, "optimizer.drops": (21,)},
    "dkd-cuhk": DKD | {"epochs": 18, "optimizer.drops": (11,)},
    "reid-prw": TEACHER | {"batch_size": 24},
    "reid-cuhk": TEACHER | {"batch_size": 48},
    "hybrid-resnet50": HYBRID,
    "hybrid-resnet50-1-sets": {"pretraining.detection": ("crowdhuman",), "pretraining.reid": ()},
    "hybrid-resnet50-2-sets": {"pretraining.detection": ("crowdhuman", "eurocity"), "pretraining.reid": ()},
    "hybrid-resnet50-3-sets": {"pretraining.detection": ("crowdhuman", "eurocity"), "pretraining.reid": ("msmt17",)},
    "hybrid-resnet50-4-sets": {"pretraining.reid": ("msmt17", "cuhk03")},
    "roi-alignps-posetrack21-pretrained": ALIGNPS
    | {"losses.oim.queue_size": 500, "model.min_score": 0.2, "model.backbone.style": "pytorch"},
}


SCHEDULE = ("optimizer", "epochs", "batch_size", "last_batch", "augment", "frozen")  # what a row of a paper's table shares with its model


def value_of(recipe: Any, path: str) -> Any:
    value = recipe
    if path.startswith("model."):
        value, path = FAMILIES[recipe.network["architecture"]][0].model_validate(recipe.network), path.removeprefix("model.")
    for part in path.split("."):
        value = value[part] if isinstance(value, dict) else getattr(value, part)
    return value


def model_of(name: str) -> str:
    """The recipe whose schedule a row of a paper's table has."""
    if name in NUMBERS or name.startswith("hybrid-"):
        return name if name in NUMBERS else "hybrid-resnet50"
    family, data = re.fullmatch(r"(.*?)-(cuhk|prw)\b.*", name).groups()  # type: ignore[union-attr]
    model = f"{family.removesuffix('-plus')}-{data}"
    return f"{model}-code" if name.endswith("-code") else model if model in NUMBERS else f"{model}-paper"


@pytest.mark.parametrize("name", NUMBERS)
def test_a_recipe_has_the_numbers_of_its_paper(name: str) -> None:
    recipe = recipes()[name]
    assert {path: value_of(recipe, path) for path in NUMBERS[name]} == NUMBERS[name]


def test_rows_of_a_table_have_the_schedule_of_their_model() -> None:
    others = [name for name in recipes() if not name.endswith("-scratch") and name not in NUMBERS]
    assert len(others) > 60
    differs = [
        (name, part) for name in others for part in SCHEDULE if value_of(recipes()[name], part) != value_of(recipes()[model_of(name)], part)
    ]
    # a ShuffleNet's stem has its norm in it
    assert differs == [(name, "frozen") for name in others if name.endswith("-shufflenet")]

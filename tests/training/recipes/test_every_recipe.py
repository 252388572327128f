"""Every named recipe builds its network, small, and gives finite losses of the right names, whose gradients reach all of it."""

import math
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from personsearch.training.checkpoint import save_trained
from personsearch.training.data.batches import AugmentRecipe, TrainBatch
from personsearch.training.learners.build import build_learner
from personsearch.training.pretraining import read_sub_tasks
from personsearch.training.recipes.catalogue import recipes
from personsearch.training.recipes.schema import Recipe
from tests.helpers.pretraining_scenes import write_sub_tasks
from tests.helpers.training_scenes import CONVNEXT, DENSE_NETWORK, HEIGHT, PROPOSALS, REGION_NETWORK, WIDTH, MadeUpScenes

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]

CROP = {"height": 64, "width": 32}
FEW = {"before_nms": 100, "after_nms": 20}
# The made-up crops are of two data sets; LUPerson's reader takes any folder of pictures
CROPS = {"msmt17": "msmt17", "cuhk03": "luperson", "luperson-30k": "luperson"}
# A recipe of CUHK-SYSU differs from PRW's in numbers alone
NAMES = [
    name for name in recipes() if not name.endswith("-scratch") and not ("-cuhk" in name and name.replace("-cuhk", "-prw") in recipes())
]
DETECTION = {"rpn_class", "rpn_box", "class", "box"}
DENSE = {"dense_class", "dense_box", "dense_centerness"}
ALIGNED = {f"detection_{name}" for name in ("image", "instance", "consistency")}
# Some of them by hand: which terms the row of the paper's table learns from
TERMS: dict[str, set[str]] = {
    "seqnet-prw": DETECTION | {"first_class", "first_box", "oim"},
    "alignps-prw-paper": DENSE | {"oim", "triplet"},
    "alignps-prw-code": DENSE | {"oim"},  # FCOSReidHeadFocalOimSub has no triplets
    "roi-alignps-prw-without-rpn": DENSE | {"oim", "triplet", "roi_class", "roi_box", "roi_oim"},
    "roi-alignps-prw-roi-only": DENSE | {"roi_class", "roi_box", "roi_oim"},
    "trident-prw": DETECTION | {"identity", "binary", "unlabelled", "part"},
    "trident-prw-without-parts": DETECTION | {"identity", "binary", "unlabelled"},
    "trident-prw-without-binary": DETECTION | {"identity", "unlabelled", "part"},
    "trident-prw-without-unlabelled": DETECTION | {"identity", "binary", "part"},
    "trident-prw-without-binary-and-unlabelled": DETECTION | {"identity", "part"},
    "dkd-prw": DETECTION | {"reid", "kd_probability", "kd_pairs", "kd_triplets"},
    "dkd-prw-ours-0": DETECTION | {"reid"},
    "dkd-prw-ours-3": DETECTION | {"reid", "kd_probability"},
    "dkd-prw-ours-4": DETECTION | {"reid", "kd_pairs"},
    "dkd-prw-ours-5": DETECTION | {"reid", "kd_triplets"},
    "dkd-prw-ours-6": DETECTION | {"reid", "kd_pairs", "kd_triplets"},
    "dkd-prw-ours-7": DETECTION | {"reid", "kd_probability", "kd_pairs"},
    "dkd-prw-ours-8": DETECTION | {"reid", "kd_probability", "kd_triplets"},
    "dkd-prw-d": DETECTION,
    "hybrid-resnet50-supervised": DETECTION | {"oim"} | ALIGNED | {name.replace("detection", "reid") for name in ALIGNED},
    "hybrid-resnet50-1-sets": DETECTION | {"oim", "contrast"},
    "hybrid-resnet50-2-sets": DETECTION | {"oim", "contrast"} | ALIGNED,
    "gfn-prw": DETECTION | {"first_class", "first_box", "oim", "scenes"},
    "seqnext-prw": DETECTION | {"first_class", "first_box", "oim"},
}
# Parts that a row of a paper's table leaves as they are
UNTAUGHT: dict[str, set[str]] = {
    "seqnet-cuhk-reid-only": {"second.boxes", "second.embedding.rescaler"},
    "seqnet-cuhk-reid-and-boxes": {"second.embedding.rescaler"},
    "seqnet-cuhk-reid-and-classes": {"second.boxes"},
    "dkd-prw-d": {"reid"},
    # of five levels the first alone has cells of the made-up people, who are small
    **{f"alignps-prw-baseline{ending}": {"head.scales"} for ending in ("", "-region", "-task", "-region-task")},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("recipes")


@cache
def sub_tasks(folder: Path) -> dict[str, Path]:
    return write_sub_tasks(folder / "sets")


@cache
def teacher(folder: Path) -> str:
    save_trained(folder / "teacher", *build_learner(small("reid-prw", folder), MadeUpScenes.identities).exported())
    return str(folder / "teacher")


def small(name: str, folder: Path) -> Recipe:
    """The recipe with a narrow backbone of its kind, live norms, and the size of the made-up scenes."""
    values = recipes()[name].model_dump(mode="json")
    network, losses, plan = values["network"], values["losses"], values["pretraining"]
    architecture, backbone = network["architecture"], network.get("backbone", {})
    narrow = {"name": backbone.get("name", "resnet50"), "width": 0.0625, "norm": "batch", "deformable": backbone.get("deformable", [])}
    size = CROP if architecture == "reid" else DENSE_NETWORK if architecture.endswith("alignps") else REGION_NETWORK
    network |= size | {"backbone": CONVNEXT if narrow["name"].startswith("convnext") else narrow}
    if architecture in ("dkd", "reid"):
        network["embedding_dim"] = 128
    if network.get("rpn"):
        network["rpn"] |= PROPOSALS
    if "proposals" in losses:
        losses["proposals"] |= FEW
    if architecture == "dkd" and losses["distillation"] and losses["reid_weight"]:
        losses["teacher"] = teacher(folder)
    if plan:
        plan["reid"] = list(dict.fromkeys(CROPS[one] for one in plan["reid"]))
        plan["unify"] |= {"size": [HEIGHT, WIDTH]}
    sizes = [[CROP["height"], CROP["width"]] if architecture == "reid" else [HEIGHT, WIDTH]]
    return Recipe.model_validate(values | {"frozen": [], "augment": {"sizes": sizes}, "batch_size": 2})


def step(recipe: Recipe, folder: Path) -> tuple[Any, dict[str, Tensor]]:
    """The learner, and its losses of one batch after backward. The memories of identities hold the people of that batch."""
    plan = recipe.pretraining
    people: Any = MadeUpScenes(2)
    if plan is not None:
        people = read_sub_tasks(plan, [(name, sub_tasks(folder)[name]) for name in (*plan.detection, *plan.reid)])
    learner: Any = build_learner(recipe, people.identities)
    items = learner.items(people, AugmentRecipe(sizes=recipe.augment.sizes), 0)
    every = range(0, len(people), max(1, len(people) // 4))  # a picture of each data set
    batch: TrainBatch = items.batch([items[0, number] for number in every][:4])
    with torch.no_grad():
        learner(batch)  # rows of an empty memory are 0, and so are their gradients
    losses = learner(batch)
    sum(losses.values()).backward()
    return learner, losses


@pytest.mark.parametrize("name", NAMES)
def test_a_named_recipe_takes_a_step(name: str, folder: Path) -> None:
    learner, losses = step(small(name, folder), folder)
    assert all(math.isfinite(float(loss.detach())) for loss in losses.values())
    assert losses.keys() == TERMS.get(name, losses.keys())
    parts = UNTAUGHT.get(name, set())
    learnable = [(key, one.grad) for key, one in learner.network.named_parameters() if one.requires_grad]
    untaught = [key for key, gradient in learnable if gradient is None or not gradient.any()]
    assert {next((part for part in parts if key.startswith(f"{part}.")), key) for key in untaught} == parts


def test_names_of_all_papers_are_tested() -> None:
    assert len(NAMES) > 70
    assert TERMS.keys() | UNTAUGHT.keys() <= set(NAMES)

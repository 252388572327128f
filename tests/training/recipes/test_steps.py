"""The recipes of the papers' tables build, learn for two steps, and save a model that searches."""

import math
from typing import Any

import numpy as np
import pytest

from personsearch.models import open_folder
from personsearch.training.checkpoint import MODEL_FOLDER
from personsearch.training.learners.build import build_learner
from personsearch.training.recipes import load_recipe
from personsearch.training.recipes.schema import Recipe
from personsearch.training.trainer import Trainer
from tests.helpers.training_scenes import DENSE_NETWORK, HEIGHT, PROPOSALS, REGION_NETWORK, WIDTH, MadeUpScenes

FEW: dict[str, Any] = {"before_nms": 100, "after_nms": 20}
NAMES = [
    "seqnet-prw-paper",
    "seqnet-oim-prw",
    "seqnet-cuhk-reid-only",
    "seqnet-cuhk-reid-and-boxes",
    "seqnet-cuhk-reid-and-classes",
    "seqnext-cuhk",
    "gfn-prw",
    "trident-prw-with-norm",
    "alignps-prw-baseline",
    "alignps-prw-baseline-scale-region",
    "alignps-prw-baseline-region-task",
    "alignps-prw-res3",
    "alignps-prw-res3-res4",
    "roi-alignps-prw-code",
    "roi-alignps-prw-without-rpn",
    "roi-alignps-prw-roi-only",
    "roi-alignps-prw-mi-kl-dv",
    "roi-alignps-posetrack21-pretrained",
]


def small(name: str) -> Recipe:
    """The recipe with a narrow backbone, live norms, and the size of the made-up scenes."""
    values = load_recipe(name).model_dump(mode="json")
    network, losses = values["network"], values["losses"]
    deformable = network.get("backbone", {}).get("deformable", [])
    backbone = {"name": "resnet50", "width": 0.0625, "norm": "batch", "deformable": deformable}
    size = DENSE_NETWORK if network["architecture"].endswith("alignps") else REGION_NETWORK
    network |= size | {"backbone": backbone}
    if network.get("rpn"):
        network["rpn"] = network["rpn"] | PROPOSALS
    if "proposals" in losses:
        losses["proposals"] |= FEW
    return Recipe.model_validate(values | {"frozen": [], "augment": {"sizes": [[HEIGHT, WIDTH]]}, "batch_size": 2, "epochs": 2})


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_learns(name: str, tmp_path: Any) -> None:
    recipe = small(name)
    data = MadeUpScenes(2)
    learner = build_learner(recipe, data.identities)
    before = {key: one.clone() for key, one in learner.network.named_parameters()}
    trainer = Trainer(recipe, learner, data, tmp_path)
    trainer.run(until=2)  # the first step of a warm-up from 0 moves nothing
    moved = [key for key, one in learner.network.named_parameters() if not (one == before[key]).all()]
    assert len(moved) > len(before) / 2
    assert all(math.isfinite(float(one.sum())) for one in learner.network.parameters())
    model = open_folder(tmp_path / MODEL_FOLDER, "cpu")
    (rows,) = model.embed([model.prepare(data[0].image)], [data[0].boxes])
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-4)


def test_a_second_head_that_learns_no_boxes_moves_none() -> None:
    """Table 3, below: the regressor is not trained, so a search must not use it."""
    for name, moves in (("seqnet-cuhk-reid-only", False), ("seqnet-cuhk-reid-and-classes", False), ("seqnet-cuhk", True)):
        assert load_recipe(name).network.get("second_boxes", True) is moves

"""A training step of every learner runs on CUDA with all its tensors there, on a stand-in for the device."""

import json
from pathlib import Path
from typing import Any

import pytest
from torch import Tensor

from personsearch.training.checkpoint import LOG_FILE
from personsearch.training.learners.build import build_learner
from personsearch.training.measure import search_scores
from personsearch.training.pretraining import PretrainingRecipe, read_sub_tasks
from personsearch.training.recipes.schema import Recipe
from personsearch.training.trainer import Trainer
from tests.helpers.pretraining_scenes import PLAN, pretraining_recipe, write_sub_tasks
from tests.helpers.stand_in_cuda import CUDA, OnCuda, stand_in_cuda
from tests.helpers.training_scenes import RECIPES, MadeUpScenes, recipe_of
from tests.training.learners.test_dkd import dkd_recipe, reid_recipe, saved_teacher

pytestmark = pytest.mark.slow

DEVICE = "cuda:0"


def step(recipe: Recipe, out: Path, data: Any, **options: Any) -> dict[str, float]:
    """The log line of one step on the stand-in."""
    with stand_in_cuda():
        trainer = Trainer(recipe, build_learner(recipe, data.identities), data, out, device=DEVICE, **options)
        trainer.run(until=1)
        state = trainer.learner.state_dict().values()  # GFN's memory of scenes, a dict in it, may stay on the CPU: it is moved at use
        assert {tensor.device for tensor in state if isinstance(tensor, Tensor)} == {CUDA}
        assert all(isinstance(tensor.grad, OnCuda) for tensor in trainer.learner.parameters() if tensor.grad is not None)
    lines: list[dict[str, float]] = [json.loads(line) for line in (out / LOG_FILE).read_text().splitlines()]
    return lines[0]


@pytest.mark.parametrize("name", RECIPES)
def test_a_step_of_every_network_runs_on_cuda(name: str, tmp_path: Path) -> None:
    recipe = recipe_of(name, epochs=1, batch_size=2)
    assert step(recipe, tmp_path, MadeUpScenes(2))["loss"] > 0


def test_a_step_of_the_crop_network_and_of_dkd_runs_on_cuda(tmp_path: Path) -> None:
    for number, recipe in enumerate((reid_recipe(), dkd_recipe(saved_teacher(tmp_path / "teacher")))):
        assert step(recipe, tmp_path / str(number), MadeUpScenes(2))["loss"] > 0


def test_a_step_of_pretraining_runs_on_cuda(tmp_path: Path) -> None:
    people = read_sub_tasks(PretrainingRecipe.model_validate(PLAN), list(write_sub_tasks(tmp_path / "data").items()))
    assert step(pretraining_recipe(), tmp_path / "out", people)["loss"] > 0


def test_a_measurement_during_training_runs_on_cuda(tmp_path: Path) -> None:
    data = MadeUpScenes(2)
    recipe = recipe_of("nae", epochs=1, batch_size=2)
    step(recipe, tmp_path, data, evaluate=lambda model: search_scores(model, data))
    assert "mAP" in (tmp_path / LOG_FILE).read_text()


def test_a_step_in_half_precision_runs_on_cuda(tmp_path: Path) -> None:
    recipe = recipe_of("alignps", epochs=1, batch_size=2, precision="bfloat16")
    assert step(recipe, tmp_path, MadeUpScenes(2))["loss"] > 0

"""The hybrid pre-training's recipes, and the way from its result to other networks."""

import json
from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import load_file

from personsearch.errors import WeightsError
from personsearch.training.checkpoint import save_trained
from personsearch.training.initialise import InitialRecipe
from personsearch.training.learners.build import build_learner
from personsearch.training.recipes.catalogue import recipes
from personsearch.training.recipes.hybrid import BACKBONES, VARIANTS
from personsearch.training.recipes.schema import Recipe
from personsearch.training.run import train
from tests.helpers.pretraining_scenes import pretraining_recipe, write_sub_tasks
from tests.helpers.training_scenes import QUIET, MadeUpScenes, recipe_of

pytestmark = pytest.mark.usefixtures("one_thread")


def test_every_backbone_and_every_ablation_has_a_name() -> None:
    names = {name for name in recipes() if name.startswith("hybrid-")}
    assert names == {
        *(f"hybrid-{backbone}{end}" for backbone in BACKBONES for end in ("", "-scratch")),
        *(f"hybrid-resnet50{end}" for end in VARIANTS),
        *(f"hybrid-resnet50-{count}-sets" for count in range(1, 5)),  # Fig. 6
    }
    changed = {end: recipes()[f"hybrid-resnet50{end}"].pretraining for end in VARIANTS}
    whole = changed[""]
    assert (whole.detection, whole.reid) == (("crowdhuman", "eurocity"), ("msmt17", "cuhk03", "luperson-30k"))
    assert (whole.unify.operation, changed["-random-paste"].unify.operation) == ("expand_resize", "random_paste")
    assert (whole.contrast is None, changed["-supervised"].contrast is None) == (False, True)
    assert (whole.alignment is None, changed["-without-alignment"].alignment is None) == (False, True)
    assert (whole.alignment.consistency, changed["-without-consistency"].alignment.consistency) == (1, 0)
    assert (whole.alignment.inter_task, changed["-inter-task"].alignment.inter_task) == (False, True)
    assert changed["-inter-task"].alignment.intra_task


@pytest.mark.parametrize("data", ["cuhk", "prw"])
def test_what_starts_from_a_pretraining_has_its_backbone(data) -> None:
    pairs = {
        f"nae-{data}": "resnet50",
        f"nae-{data}-resnet18": "resnet18",
        f"nae-{data}-shufflenet": "shufflenet",
        f"alignps-{data}-pretrained": "resnet50",
        f"roi-alignps-{data}-pretrained": "resnet50",
    }
    for name, backbone in pairs.items():
        wanted = recipes()[name].network.get("backbone", {})
        assert wanted.get("name", "resnet50") == recipes()[f"hybrid-{backbone}"].network["backbone"]["name"] == backbone
        assert wanted.get("style", "pytorch") == "pytorch"
    # all but the stride is the paper's AlignPS
    tuned, paper = recipes()[f"alignps-{data}-pretrained"], recipes()[f"alignps-{data}-paper"]
    assert tuned.network["backbone"] == paper.network["backbone"] | {"style": "pytorch"}
    assert (tuned.losses, tuned.optimizer, tuned.frozen) == (paper.losses, paper.optimizer, paper.frozen)


def half(name: str) -> Recipe:
    """A recipe with its backbone at half its width: the same tensors, of a quarter of the numbers."""
    network = recipes()[name].network
    return recipes()[name].model_copy(update={"network": network | {"backbone": network.get("backbone", {}) | {"width": 0.5}}})


@pytest.mark.slow
@pytest.mark.parametrize("backbone", BACKBONES)
def test_the_named_networks_take_a_pretrained_one(backbone, tmp_path) -> None:
    source = build_learner(half(f"hybrid-{backbone}"), 8)
    save_trained(tmp_path, *source.exported())
    ending = "" if backbone == "resnet50" else f"-{backbone}"
    starts = [(f"nae-prw{ending}", "whole"), (f"nae-prw{ending}", "backbone")]
    if not ending:
        starts += [
            (name, "backbone")
            for name in ("seqnet-prw", "trident-prw", "dkd-prw-d", "alignps-prw-pretrained", "roi-alignps-prw-pretrained")
        ]
        with pytest.raises(WeightsError, match="style"):
            build_learner(half("alignps-prw-paper").model_copy(update={"initial": InitialRecipe(folder=tmp_path)}), 8)
    for name, take in starts:
        learner = build_learner(half(name).model_copy(update={"initial": InitialRecipe(folder=tmp_path, take=take)}), 8)
        stages = [key for key in learner.network.state_dict() if key.startswith("backbone.") or "res5" in key]
        assert {key for key in stages if "num_batches" not in key} <= set(learner.taken.taken), name
        assert (take == "whole") == (not learner.taken.left), name


@pytest.mark.slow
def test_a_pretraining_learns_and_starts_other_networks(tmp_path) -> None:
    """The whole way on small files: what it learns from falls, and what it exports starts other networks, tensor for tensor."""
    recipe = pretraining_recipe(epochs=40, batch_size=4)
    source = train(recipe, list(write_sub_tasks(tmp_path / "sets", 1).items()), tmp_path / "out", QUIET)
    lines = map(json.loads, (tmp_path / "out" / "log.jsonl").read_text().splitlines())
    steps = [line for line in lines if "loss" in line]
    first, last = ({name: np.mean([step[name] for step in part]) for name in part[0]} for part in (steps[:5], steps[-5:]))
    assert len(steps) == 40
    assert last["rpn_class"] < first["rpn_class"] / 2
    assert last["class"] < 0.9 * first["class"]
    assert last["oim"] < first["oim"] / 10
    assert last["contrast"] < first["contrast"] - 0.1
    tensors = load_file(source / "model.safetensors")
    for name, take in (("nae", "whole"), ("oim", "backbone"), ("alignps", "backbone"), ("roi-alignps", "backbone"), ("seqnet", "backbone")):
        start = InitialRecipe(folder=source, take=take)
        learner = build_learner(recipe_of(name).model_copy(update={"initial": start}), 4)
        own = learner.network.state_dict()
        for key, origin in learner.taken.taken.items():
            if key not in learner.taken.adapted:
                np.testing.assert_array_equal(own[key].numpy(), tensors[origin], err_msg=f"{name} {key}")
    train(recipe_of("seqnet", epochs=1), MadeUpScenes(2), tmp_path / "fine", replace(QUIET, initial=start))
    assert (tmp_path / "fine" / "initial.json").is_file()

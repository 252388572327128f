import json

import pytest
import torch
from torch import nn

from personsearch.errors import ConfigError
from personsearch.models.parts.deform import DeformConv
from personsearch.training.learners.build import build_learner
from personsearch.training.optimize import build_optimizer, freeze, rate_factor, set_rate
from personsearch.training.recipes import catalogue, load_recipe
from personsearch.training.recipes.catalogue import builders, recipes
from personsearch.training.recipes.common import changed
from personsearch.training.recipes.schema import DenseLosses, OptimizerRecipe, Recipe, RegionLosses, SeqNeXtLosses, TwoBranchLosses


def test_names_tell_paper_and_code_apart() -> None:
    paper, code = recipes()["alignps-prw-paper"], recipes()["alignps-prw-code"]
    assert (paper.losses.oim.scale, code.losses.oim.scale) == (10, 15)
    assert (paper.losses.triplet is None, code.losses.triplet is None) == (False, True)
    assert (paper.optimizer.weight_decay, code.optimizer.weight_decay) == (5e-4, 1e-3)
    assert (paper.optimizer.warmup_steps, code.optimizer.warmup_steps) == (300, 500)
    decays = [recipes()[name].optimizer.weight_decay for name in ("alignps-plus-prw-code", "alignps-cuhk-code")]
    assert decays == [7e-4, 1e-4]
    roi = recipes()["roi-alignps-cuhk-code"]
    assert (roi.optimizer.warmup_steps, roi.optimizer.clip, roi.batch_size) == (1141, 10, 5)
    assert roi.losses.dense.triplet.skip_identity_zero
    assert roi.losses.dense.oim.queue_channels == 64


def test_scratch_recipes_without_embedding_norms_learn_slower() -> None:
    """And deformable offsets, of which only dense networks have any here, at a thousandth of that."""
    rates = {name: recipes()[f"{name}-prw-scratch"].optimizer for name in ("nae", "dkd", "alignps", "roi-alignps", "trident")}
    assert [one.learning_rate for one in rates.values()] == [1e-3, 1e-3, 3.33e-4, 3.33e-4, 3.33e-4]
    assert {one.offset_rate for one in rates.values()} == {1e-3}
    assert recipes()["alignps-prw-code"].optimizer.offset_rate == 1


def test_scratch_recipes_freeze_nothing_and_have_live_norms() -> None:
    for name, recipe in recipes().items():
        if name.endswith("-scratch"):
            assert recipe.frozen == ()
            assert recipe.network["backbone"]["norm"] == "batch"


@pytest.mark.parametrize("name", sorted(recipes()))
def test_a_recipe_survives_json(name, tmp_path) -> None:
    file = tmp_path / "recipe.json"
    file.write_text(recipes()[name].model_dump_json())
    assert load_recipe(file) == recipes()[name] == load_recipe(name)
    assert type(load_recipe(file).losses) is type(recipes()[name].losses)


@pytest.mark.parametrize(
    ("architecture", "losses"),
    [
        ("oim", RegionLosses),
        ("seqnet", RegionLosses),
        ("seqnext", SeqNeXtLosses),
        ("alignps", DenseLosses),
        ("roi-alignps", TwoBranchLosses),
    ],
)
def test_the_network_decides_the_losses(architecture, losses) -> None:
    assert isinstance(Recipe(name="x", network={"architecture": architecture}, losses={}).losses, losses)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epochz": 3}, "epochz"),
        ({"losses": {"triplet": {}}}, "triplet"),
        ({"network": {"architecture": "two-step"}}, "pass one of: oim"),
        ({"network": {"architecture": "nae", "backbon": {}}}, "network: backbon"),
        ({"optimizer": {"learning_rate": 0}}, r"optimizer\.learning_rate"),
    ],
)
def test_a_malformed_recipe_names_the_field(tmp_path, change, message) -> None:
    file = tmp_path / "recipe.json"
    file.write_text(json.dumps({"name": "x", "network": {"architecture": "nae"}} | change))
    with pytest.raises(ConfigError, match=message):
        load_recipe(file)


def test_an_unknown_name_lists_the_known_names() -> None:
    with pytest.raises(ConfigError, match=r"unknown recipe 'segnet-prw'.*seqnet-prw"):
        load_recipe("segnet-prw")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"bacth_size": 4}, "bacth_size"),
        ({"batch_size": "many"}, "batch_size"),
        ({"epochs": 0}, "epochs"),
        ({"losses": DenseLosses()}, "instance of RegionLosses"),
        ({"network": {"architecture": "nae", "bacbone": {}}}, "bacbone"),
    ],
)
def test_a_changed_recipe_is_checked_again(fields, message) -> None:
    recipe = load_recipe("nae-prw")
    with pytest.raises(ConfigError, match=message):
        changed(recipe, **fields)
    assert recipe == load_recipe("nae-prw")


def test_a_changed_recipe_keeps_the_other_fields() -> None:
    recipe = load_recipe("nae-prw")
    other = changed(recipe, epochs=3, optimizer=changed(recipe.optimizer, drops=(2,)))
    assert (other.epochs, other.optimizer.drops, other.optimizer.clip) == (3, (2,), recipe.optimizer.clip)
    assert other.model_dump(exclude={"epochs", "optimizer"}) == recipe.model_dump(exclude={"epochs", "optimizer"})


def test_loading_one_recipe_builds_only_that_one(monkeypatch) -> None:
    built = []
    monkeypatch.setattr(catalogue, "_rcnn", lambda *_: built.append("nae"))
    monkeypatch.setattr(catalogue, "_seqnet", lambda *_: built.append("seqnet"))
    catalogue.builders.cache_clear()
    try:
        load_recipe("seqnet-prw")
    finally:
        catalogue.builders.cache_clear()
    assert built == ["seqnet"]


def test_a_recipe_has_the_name_it_is_found_by() -> None:
    assert {name: recipe.name for name, recipe in recipes().items()} == {name: name for name in builders()}


def test_rate_by_hand() -> None:
    recipe = OptimizerRecipe(warmup_steps=4, warmup_start=0.2, drops=(2, 3))
    factors = [rate_factor(step, 5, 4, recipe) for step in (0, 2, 4, 9, 10, 15)]
    assert factors == pytest.approx([0.2, 0.6, 1, 1, 0.1, 0.01])
    assert rate_factor(1, 10, 4, OptimizerRecipe(warmup_steps="epoch", warmup_start=0)) == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("name", "factors"),
    [
        ("seqnet-prw", [0.001, 0.334, 0.667, 1.0, 1.0]),
        ("nae-prw", [0.001, 0.334, 0.667, 1.0, 1.0]),
        ("seqnet-prw-paper", [0.001, 0.25075, 0.5005, 0.75025, 1.0]),
    ],
)
def test_the_code_ends_its_warm_up_a_step_before_the_paper(name, factors) -> None:
    """Four steps an epoch; the codes' 1/1000 x (1 - a) + a with a = step / (steps - 1), 1 from there on; the paper's whole epoch."""
    recipe = recipes()[name]
    assert [rate_factor(step, 4, recipe.epochs, recipe.optimizer) for step in range(5)] == pytest.approx(factors)
    assert rate_factor(0, 1, 18, recipes()["seqnet-prw"].optimizer) == 1  # a single step: nothing to warm up


def test_cosine_by_hand() -> None:
    recipe = OptimizerRecipe(schedule="cosine")
    assert [rate_factor(step, 5, 4, recipe) for step in (0, 10, 20)] == pytest.approx([1, 0.5, 0])


class Mixed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.deform = nn.Conv2d(1, 1, 1), nn.GroupNorm(1, 1), DeformConv(1, 1, bias=True)


@pytest.mark.parametrize(
    ("biases", "own"),
    [
        ("none", set()),
        ("all", {"conv.bias", "norm.bias", "deform.bias", "deform.conv_offset.bias"}),
        ("plain", {"conv.bias", "deform.bias"}),
    ],
)
def test_biases_with_rules_of_their_own(biases, own) -> None:
    module = Mixed()
    optimizer = build_optimizer(module, OptimizerRecipe(learning_rate=1, weight_decay=0.5, biases=biases, bias_rate=2, bias_decay=0))
    set_rate(optimizer, 0.1)
    names = {id(parameter): name for name, parameter in module.named_parameters()}
    found = {names[id(p)]: (group["lr"], group["weight_decay"]) for group in optimizer.param_groups for p in group["params"]}
    assert found == {name: (0.2, 0) if name in own else (0.1, 0.5) for name in names.values()}


def test_offsets_have_a_rate_of_their_own() -> None:
    module = Mixed()
    recipe = OptimizerRecipe(learning_rate=1, weight_decay=0.5, offset_rate=0.25, biases="all", bias_rate=2, bias_decay=0)
    names = {id(parameter): name for name, parameter in module.named_parameters()}
    found = {
        names[id(p)]: (group["lr"], group["weight_decay"])
        for group in build_optimizer(module, recipe).param_groups
        for p in group["params"]
    }
    offsets = {"deform.conv_offset.weight": (0.25, 0.5), "deform.conv_offset.bias": (0.5, 0)}
    others = {name: (2, 0) if name.endswith("bias") else (1, 0.5) for name in names.values() if name not in offsets}
    assert found == others | offsets


def test_the_necks_offsets_start_as_the_recipe_says() -> None:
    """Zero from scratch, spread as the authors' code has it where the paper or the code is followed; the towers' are always zero."""
    for name, start in (("alignps-prw-paper", "spread"), ("roi-alignps-prw-code", "spread"), ("alignps-prw-scratch", "zero")):
        assert recipes()[name].neck_offsets == start, name
    for start in ("zero", "spread"):
        network = recipes()["alignps-prw-paper"].network | {"backbone": {"name": "resnet18", "width": 0.25}, "channels": 16}
        recipe = recipes()["alignps-prw-paper"].model_copy(update={"network": network, "neck_offsets": start, "frozen": ()})
        offsets = {
            name: one.abs().max().item() for name, one in build_learner(recipe, 5).named_parameters() if "conv_offset.weight" in name
        }
        assert len(offsets) == 6
        for name, largest in offsets.items():
            assert (largest > 0) == (start == "spread" and ".neck." in name), name


def test_frozen_parts_do_not_learn() -> None:
    module = Mixed()
    freeze(module, ("conv", "norm.weight"))
    assert [name for name, one in module.named_parameters() if not one.requires_grad] == ["conv.weight", "conv.bias", "norm.weight"]
    assert sum(len(group["params"]) for group in build_optimizer(module, OptimizerRecipe()).param_groups) == 5
    with pytest.raises(ConfigError, match="backbone"):
        freeze(module, ("backbone.",))


def test_adamw() -> None:
    optimizer = build_optimizer(Mixed(), OptimizerRecipe(name="adamw", momentum=0.8))
    assert isinstance(optimizer, torch.optim.AdamW)
    assert optimizer.param_groups[0]["betas"] == (0.8, 0.999)

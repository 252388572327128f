"""Starting from another model."""

import json
import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file
from torch import Tensor
from typer.testing import CliRunner

from personsearch.cli import app as cli
from personsearch.errors import ConfigError, WeightsError
from personsearch.models.alignps import dense_input
from personsearch.models.rcnn import region_input
from personsearch.training.checkpoint import save_trained
from personsearch.training.initialise import InitialRecipe, Taken
from personsearch.training.learners.base import Learner
from personsearch.training.learners.build import build_learner
from personsearch.training.recipes.schema import Recipe
from personsearch.training.run import train
from tests.helpers.training_scenes import HEIGHT, QUIET, WIDTH, MadeUpScenes, recipe_of

pytestmark = [pytest.mark.usefixtures("one_thread"), pytest.mark.slow]

SHUFFLENET = {"name": "shufflenet", "width": 0.5}


def saved(folder: Path, name: str, **changes) -> Path:
    """The folder of a model with weights of another seed than the recipes', norms included."""
    learner = build_learner(recipe_of(name, seed=77, **changes), 4)
    config, tensors = learner.exported()
    rng = np.random.default_rng(0)
    save_trained(folder, config, {key: np.asarray(one + rng.uniform(0.01, 0.1, one.shape), one.dtype) for key, one in tensors.items()})
    return folder


def started(name: str, folder: Path, take: str = "backbone", **changes) -> tuple[Learner, Taken]:
    recipe = recipe_of(name, **changes).model_copy(update={"initial": InitialRecipe(folder=folder, take=take)})
    learner = build_learner(recipe, 4)
    assert learner.taken is not None
    return learner, learner.taken


def names(learner: Learner, *beginnings: str) -> set[str]:
    return {key for key in learner.network.state_dict() if key.startswith(beginnings) and "num_batches" not in key}


def assert_taken(learner: Learner, taken: Taken, folder: Path) -> None:
    """What is listed is equal to the model's, what is kept to the recipe's own start, and nothing is missing from the lists."""
    own, source = learner.network.state_dict(), load_file(folder / "model.safetensors")
    for name, origin in taken.taken.items():
        if name not in taken.adapted:
            np.testing.assert_array_equal(own[name].numpy(), source[origin], err_msg=name)
    assert set(taken.taken) | set(taken.kept) == {name for name in own if "num_batches" not in name}
    assert not set(taken.taken) & set(taken.kept)
    assert set(taken.taken.values()) | set(taken.left) == set(source)
    assert not set(taken.taken.values()) & set(taken.left)


@pytest.mark.parametrize("name", ["oim", "nae", "nae+", "seqnet", "gfn"])
def test_the_same_network_takes_all(name, tmp_path) -> None:
    learner, taken = started(name, saved(tmp_path, name), "whole")
    assert_taken(learner, taken, tmp_path)
    assert (taken.adapted, taken.left, taken.kept) == ((), (), ())
    assert all(one == origin for one, origin in taken.taken.items())


def test_seqnet_takes_the_backbone_of_nae(tmp_path) -> None:
    learner, taken = started("seqnet", saved(tmp_path, "nae"))
    assert_taken(learner, taken, tmp_path)
    assert set(taken.taken) == names(learner, "backbone.", "first.res5.", "second.res5.")
    assert taken.taken["first.res5.layer4.0.conv1.weight"] == "head.res5.layer4.0.conv1.weight"
    assert {name.split(".")[0] for name in taken.left} == {"head", "rpn"}
    plain = build_learner(recipe_of("seqnet"), 4).network.state_dict()
    for name in taken.kept:
        assert torch.equal(learner.network.state_dict()[name], plain[name]), name
    assert not torch.equal(learner.network.state_dict()["backbone.conv1.weight"], plain["backbone.conv1.weight"])


@pytest.mark.parametrize("name", ["trident", "alignps", "roi-alignps"])
def test_any_other_network_takes_the_backbone(name, tmp_path) -> None:
    learner, taken = started(name, saved(tmp_path, "nae"))
    assert_taken(learner, taken, tmp_path)
    own = "backbone.layer4." if "align" in name else "head.res5.layer4."
    assert taken.taken[own + "1.conv2.weight"] == "head.res5.layer4.1.conv2.weight"
    assert taken.adapted == (("backbone.conv1.weight",) if "align" in name else ())


def test_the_head_that_embeds_gives_the_last_stage(tmp_path) -> None:
    _, taken = started("nae", saved(tmp_path, "seqnet"))
    assert taken.taken["head.res5.layer4.0.conv1.weight"] == "second.res5.layer4.0.conv1.weight"
    assert "first.res5.layer4.0.conv1.weight" in taken.left


def test_gfn_takes_the_backbone_of_gfn(tmp_path) -> None:
    learner, taken = started("gfn", saved(tmp_path, "gfn"))
    assert_taken(learner, taken, tmp_path)
    assert set(taken.taken) == names(learner, "backbone.", "first.res5.", "second.res5.", "scenes.res5.")


def test_a_backbone_with_its_last_stage_gives_that(tmp_path) -> None:
    _, taken = started("nae", saved(tmp_path, "roi-alignps"))
    assert taken.taken["head.res5.layer4.0.conv1.weight"] == "backbone.layer4.0.conv1.weight"


@pytest.mark.parametrize(("given", "name"), [("nae", "alignps"), ("alignps", "nae"), ("nae", "seqnet")])
def test_a_shufflenet_whatever_its_last_stage_is_called(given, name, tmp_path) -> None:
    learner, taken = started(name, saved(tmp_path, given, backbone=SHUFFLENET), backbone=SHUFFLENET)
    assert_taken(learner, taken, tmp_path)
    assert {taken.taken[one] for one in taken.taken if "stage4" in one or "layer4" in one} == {
        one for one in load_file(tmp_path / "model.safetensors") if "stage4" in one or "layer4" in one
    }
    assert taken.adapted == (("backbone.conv1.0.weight",) if {given, name} == {"nae", "alignps"} else ())


def maps_of(network: torch.nn.Module, pixels: Tensor) -> Tensor:
    with torch.no_grad():
        maps: Tensor = network.eval().get_submodule("backbone")(pixels[None])[4]
    return maps


@pytest.mark.parametrize("given", ["nae", "alignps"])
def test_an_adapted_backbone_sees_the_same_in_the_same_picture(given, tmp_path) -> None:
    # of the picture's own size, so that the two ways of resizing play no part
    image = MadeUpScenes(1)[0].image
    rgb, bgr = (prepare(image, HEIGHT, WIDTH).pixels for prepare in (region_input, dense_input))
    source = build_learner(recipe_of(given, seed=77), 4)
    save_trained(tmp_path, *source.exported())
    other, taken = started("alignps" if given == "nae" else "nae", tmp_path)
    expected = maps_of(source.network, rgb if given == "nae" else bgr)
    found = maps_of(other.network, bgr if given == "nae" else rgb)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)  # float32, through 15 layers
    other.network.state_dict()["backbone.conv1.weight"].copy_(source.network.state_dict()["backbone.conv1.weight"])
    assert not torch.allclose(maps_of(other.network, bgr if given == "nae" else rgb), expected, rtol=0.1)
    assert len(taken.adapted) == 1


def test_frozen_and_live_norms_are_the_same_tensors(tmp_path) -> None:
    frozen = {"name": "resnet18", "width": 0.125, "norm": "frozen"}
    learner, taken = started("nae", saved(tmp_path, "nae"), backbone=frozen)
    assert_taken(learner, taken, tmp_path)
    assert "backbone.bn1.running_var" in taken.taken


def test_offsets_of_deformable_convolutions_are_kept(tmp_path) -> None:
    fifty = {"name": "resnet50", "width": 0.125}
    learner, taken = started("alignps", saved(tmp_path, "nae", backbone=fifty), backbone=fifty | {"deformable": [5]})
    assert_taken(learner, taken, tmp_path)
    assert any("conv_offset" in name and "backbone" in name for name in taken.kept)


@pytest.mark.parametrize(
    ("backbone", "message"),
    [
        ({"name": "resnet18", "width": 0.25}, r"backbone's width is 0.125, the recipe's 0.25; set network.backbone.width to 0.125"),
        ({"name": "resnet50", "width": 0.125}, "backbone's name is 'resnet18'"),
        ({"name": "resnet18", "width": 0.125, "norm": "group"}, "backbone's norm is 'batch'"),
    ],
)
def test_another_backbone_is_refused(backbone, message, tmp_path) -> None:
    with pytest.raises(WeightsError, match=message):
        started("nae", saved(tmp_path, "nae"), backbone=backbone)


def test_another_place_of_the_stride_is_refused(tmp_path) -> None:
    fifty = {"name": "resnet50", "width": 0.125}
    with pytest.raises(WeightsError, match="style is 'pytorch', the recipe's 'caffe'"):
        started("alignps", saved(tmp_path, "nae", backbone=fifty), backbone=fifty | {"style": "caffe"})


def test_the_whole_of_another_network_is_refused(tmp_path) -> None:
    with pytest.raises(WeightsError, match='is a nae, not a seqnet; it can give its backbone: take "backbone"'):
        started("seqnet", saved(tmp_path, "nae"), "whole")
    with pytest.raises(WeightsError, match="does not fit a RCNN"):
        started("nae", tmp_path, "whole", embedding_dim=16)


def test_where_nothing_fits_is_told(tmp_path) -> None:
    folder = saved(tmp_path / "model", "nae")
    tensors = load_file(folder / "model.safetensors")
    save_file({name: one for name, one in tensors.items() if not name.startswith("backbone.")}, folder / "model.safetensors")
    with pytest.raises(WeightsError, match=r"conv1.weight is missing, backbone needs \(8, 3, 7, 7\)"):
        started("seqnet", folder)
    (folder / "config.json").write_text('{"architecture": "two-step"}')
    with pytest.raises(WeightsError, match="is a two-step without a backbone of ours"):
        started("seqnet", folder)
    with pytest.raises(ConfigError, match="not a model folder"):
        started("seqnet", tmp_path)


def test_two_starts_are_refused() -> None:
    with pytest.raises(ValueError, match="leave one out"):
        Recipe.model_validate(recipe_of("nae").model_dump() | {"initial": {"folder": "a"}, "backbone_weights": "b"})


def test_the_lists_are_logged_and_short_where_empty(tmp_path, caplog) -> None:
    with caplog.at_level(logging.INFO):
        learner, _ = started("seqnet", saved(tmp_path, "nae"))
    of_heads = [name for name in load_file(tmp_path / "model.safetensors") if not name.startswith("backbone.") and "res5" not in name]
    taken = names(learner, "backbone.", "first.res5.", "second.res5.")
    assert f"{tmp_path}: took {len(taken)} (backbone.conv1.weight, " in caplog.text
    assert f"adapted 0; left {len(of_heads)} (head.boxes.0.bias, " in caplog.text
    assert str(Taken({"a": "b"}, (), ("c", "d"), ())) == "took 1 (a); adapted 0; left 2 (c, d); kept 0"


def test_train_from_a_model_writes_what_it_took(tmp_path) -> None:
    source, data = saved(tmp_path / "source", "nae"), MadeUpScenes(2)
    model = train(recipe_of("nae", epochs=1), data, tmp_path / "out", replace(QUIET, initial=InitialRecipe(folder=source)))
    listed = json.loads((tmp_path / "out" / "initial.json").read_text())
    assert set(listed) == {"taken", "adapted", "left", "kept"}
    assert set(listed["taken"]) | set(listed["kept"]) == set(load_file(model / "model.safetensors"))


def test_train_from_a_model_on_the_command_line(tmp_path) -> None:
    source, recipe = saved(tmp_path / "source", "nae"), tmp_path / "recipe.json"
    recipe.write_text(recipe_of("nae", epochs=1).model_dump_json())
    arguments = ["train", str(recipe), str(tmp_path / "no data"), str(tmp_path / "out"), "--device", "cpu"]
    wrong = CliRunner().invoke(cli.app, [*arguments, "--whole"])
    assert isinstance(wrong.exception, ConfigError)
    assert "--initial" in str(wrong.exception)
    missing = CliRunner().invoke(cli.app, [*arguments, "--initial", str(source), "--whole"])
    assert "no data" in str(missing.exception)

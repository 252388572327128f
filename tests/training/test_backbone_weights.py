"""Every backbone starts from a classifier's weights, of torchvision's .pth or of safetensors, and from nothing else."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from safetensors.torch import save_file
from torch import Tensor

from personsearch.errors import ConfigError, WeightsError
from personsearch.models.config import BackboneConfig
from personsearch.models.parts.resnet import build_backbone
from personsearch.training.initialise import CLASSIFIER, InitialRecipe, match_stages
from personsearch.training.learners.build import build_learner
from personsearch.training.recipes import load_recipe
from personsearch.training.run import TrainOptions, prepare
from tests.helpers.training_scenes import QUIET, MadeUpScenes, recipe_of

BACKBONES: dict[str, dict[str, Any]] = {
    "resnet50": {"name": "resnet50", "width": 0.0625},
    "resnet18": {"name": "resnet18", "width": 0.125},
    "convnext-tiny": {"name": "convnext-tiny", "width": 0.09},
}
HEAD = {"fc.weight": torch.zeros(3, 5), "classifier.1.bias": torch.zeros(3)}


TORCHVISIONS = {
    "resnet50": "resnet50",
    "resnet18": "resnet18",
    "shufflenet": "shufflenet_v2_x1_0",
    "convnext-tiny": "convnext_tiny",
    "convnext-base": "convnext_base",
}


@pytest.mark.parametrize("name", TORCHVISIONS)
def test_torchvisions_own_file_fits_every_backbone(name: str) -> None:
    """At full size, without numbers: each tensor of the network takes one of the same shape, and only the classifier is left."""
    with torch.device("meta"):
        weights = getattr(torchvision.models, TORCHVISIONS[name])(weights=None).state_dict()
        network: Any = build_learner(recipe_of("seqnet", backbone={"name": name}), 4).network
    tensors = {key: one for key, one in weights.items() if not key.startswith(CLASSIFIER)}
    assert 0 < len(tensors) < len(weights)
    taken = set(match_stages(network, tensors, Path("file.pth")).values())
    assert all(key.endswith("num_batches_tracked") for key in tensors.keys() - taken)


def classifier(backbone: dict[str, Any], seed: int = 5) -> dict[str, Tensor]:
    """Random weights under torchvision's names, with a classifier's layers."""
    torch.manual_seed(seed)
    state = build_backbone(BackboneConfig.model_validate(backbone)).state_dict()
    return {name: torch.randn(one.shape) if one.is_floating_point() else one for name, one in state.items()} | HEAD


def written(folder: Path, weights: dict[str, Tensor], suffix: str) -> Path:
    file = folder / f"classifier{suffix}"
    if suffix == ".pth":
        torch.save(weights, file)
    else:
        save_file({name: one.contiguous() for name, one in weights.items()}, file)
    return file


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize(("name", "recipe"), [*((name, "seqnet") for name in BACKBONES), ("convnext-tiny", "gfn")])
def test_every_stage_starts_from_the_file(name: str, recipe: str, suffix: str, tmp_path: Path) -> None:
    weights = classifier(BACKBONES[name])
    network: Any = build_learner(
        recipe_of(recipe, backbone=BACKBONES[name], backbone_weights=written(tmp_path, weights, suffix)), 4
    ).network
    for key, tensor in network.backbone.state_dict().items():
        if "num_batches" not in key:
            assert torch.equal(tensor, weights[key])
    last = {"layer4.0.": "features.6.", "layer4.1.": "features.7."} if name.startswith("convnext") else {}
    for head in (network.first, network.second, *([network.scenes] if recipe == "gfn" else [])):
        for key, tensor in head.res5.state_dict().items():
            theirs = next((there + key.removeprefix(here) for here, there in last.items() if key.startswith(here)), key)
            if "num_batches" not in key:
                assert torch.equal(tensor, weights[theirs])


def test_rgb_weights_are_turned_for_bgr_pixels(tmp_path: Path) -> None:
    """AlignPS takes BGR pixels of 0..255 less their mean; torchvision's first layer is for RGB over its spread."""
    weights = classifier(BACKBONES["resnet18"])
    network: Any = build_learner(recipe_of("alignps", backbone_weights=written(tmp_path, weights, ".pth")), 4).network
    rgb = torch.rand(1, 3, 9, 9)
    bgr = (rgb * 255 * torch.tensor([0.229, 0.224, 0.225])[:, None, None]).flip(1)
    expected = torch.nn.functional.conv2d(rgb, weights["conv1.weight"])
    torch.testing.assert_close(torch.nn.functional.conv2d(bgr, network.backbone.conv1.weight), expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"layer2.0.conv1.weight": None}, r"layer2.0.conv1.weight is missing"),
        ({"conv1.weight": torch.zeros(8, 3, 5, 5)}, r"conv1.weight has shape \(8, 3, 5, 5\)"),
        ({"layer3.9.conv1.weight": torch.zeros(3)}, r"1 tensors that a resnet18 lacks \(layer3.9.conv1.weight"),
    ],
)
def test_another_networks_file_is_refused(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    weights = {name: one for name, one in (classifier(BACKBONES["resnet18"]) | change).items() if one is not None}
    with pytest.raises(WeightsError, match=message):
        build_learner(recipe_of("nae", backbone_weights=written(tmp_path, weights, ".pth")), 4)


def test_code_in_a_file_is_not_run(tmp_path: Path) -> None:
    torch.save({"conv1.weight": Path("a")}, tmp_path / "a.pth")
    with pytest.raises(WeightsError, match="code in a checkpoint is never run"):
        build_learner(recipe_of("nae", backbone_weights=tmp_path / "a.pth"), 4)
    with pytest.raises(WeightsError, match="is missing"):
        build_learner(recipe_of("nae", backbone_weights=tmp_path / "b.pth"), 4)


def test_torchvisions_resnet_does_not_start_caffes(tmp_path: Path) -> None:
    recipe = load_recipe("alignps-prw-paper").model_copy(update={"backbone_weights": tmp_path / "resnet50-0676ba61.pth"})
    with pytest.raises(WeightsError, match="ends in -pretrained"):
        build_learner(recipe, 4)


def test_the_option_starts_a_training(tmp_path: Path) -> None:
    weights = classifier(BACKBONES["resnet18"])
    recipe = recipe_of("nae").model_copy(update={"frozen": ("backbone.conv1",)})
    options = replace(QUIET, backbone_weights=written(tmp_path, weights, ".pth"))
    trainer = prepare(recipe, MadeUpScenes(2), tmp_path / "out", options)
    network: Any = trainer.learner.network
    assert torch.equal(network.backbone.conv1.weight, weights["conv1.weight"])
    with pytest.raises(ConfigError, match="--backbone-weights FILE"):
        prepare(recipe, MadeUpScenes(2), tmp_path / "other", QUIET)
    with pytest.raises(ConfigError, match="pass one of them"):
        TrainOptions(backbone_weights="a", initial=InitialRecipe(folder=Path("b")))

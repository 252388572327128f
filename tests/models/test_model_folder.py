import json
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torchvision.ops.misc import FrozenBatchNorm2d

from personsearch.errors import ConfigError, WeightsError
from personsearch.models import open_folder
from personsearch.models.config import BackboneConfig
from personsearch.models.fast.fuse import optimize_for_inference
from personsearch.models.folder import load_strict
from personsearch.models.parts.deform import DeformConv
from personsearch.models.parts.region_pool import RegionPoolCPU
from personsearch.models.parts.resnet import build_backbone
from personsearch.models.rcnn import RCNN, RCNNConfig
from personsearch.models.seqnet import SeqNet, SeqNetConfig
from personsearch.weights import save_model
from tests.data.synth_image import synth

TINY = {"backbone": {"name": "resnet18", "width": 0.25}, "short_side": 128, "long_side": 192, "proposals": {"after_nms": 20}}


def written(folder, network: nn.Module, config) -> None:
    tensors = {name: tensor.numpy() for name, tensor in network.state_dict().items() if not name.endswith("num_batches_tracked")}
    save_model(folder, config.model_dump(mode="json"), tensors)


def lively(network: nn.Module) -> nn.Module:
    """Set batch norms as after training, so that merging them changes weights."""
    for part in network.modules():
        if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d | FrozenBatchNorm2d):
            part.running_mean.normal_(std=0.1)
            part.running_var.uniform_(0.5, 2)
            part.weight.data.uniform_(0.5, 1.5)
            part.bias.data.normal_(std=0.1)
    return network.eval()


@pytest.mark.parametrize(("network", "config"), [(RCNN, RCNNConfig(**TINY, keep_score=0)), (SeqNet, SeqNetConfig(**TINY, keep_score=0))])
def test_a_folder_gives_the_saved_network(tmp_path, network, config) -> None:
    torch.manual_seed(0)
    plain = lively(network(config))
    written(tmp_path, plain, config)
    model: Any = open_folder(tmp_path, "cpu")
    assert (model.name, model.min_score, model.embedding_dim) == (config.name, 0.5, 256)
    assert isinstance(model.network.pool, RegionPoolCPU)
    assert model.network.backbone.conv1.weight.is_contiguous(memory_format=torch.channels_last)
    prepared = model.prepare(synth(100, 150, 1))
    box = np.array([[20, 10, 70, 95]], np.float32)
    (row,) = model.embed([prepared], [box])
    with torch.inference_mode():
        regions = torch.from_numpy(box * np.float32([prepared.resized[1] / 150, prepared.resized[0] / 100] * 2))
        expected = plain._embed(plain(prepared.pixels[None]), [regions])[0]
    np.testing.assert_allclose(row, expected, atol=1e-4)
    assert (model.detect([prepared])[0].scores > 0).all()


def test_fingerprints_follow_config_and_weights(tmp_path) -> None:
    prints = set()
    for seed, short_side in ((0, 128), (1, 128), (0, 96)):
        torch.manual_seed(seed)
        config = RCNNConfig(**TINY | {"short_side": short_side})
        written(tmp_path / f"{seed}{short_side}", RCNN(config), config)
        prints.add(open_folder(tmp_path / f"{seed}{short_side}", "cpu").fingerprint)
    assert len(prints) == 3


def test_a_config_with_an_unknown_field_is_refused(tmp_path) -> None:
    config = RCNNConfig(**TINY)
    written(tmp_path, RCNN(config), config)
    (tmp_path / "config.json").write_text(json.dumps(config.model_dump(mode="json") | {"nms_treshold": 0.5}))
    with pytest.raises(ConfigError, match="nms_treshold"):
        open_folder(tmp_path, "cpu")


def test_the_config_of_another_width_is_refused(tmp_path) -> None:
    written(tmp_path, RCNN(RCNNConfig(**TINY)), RCNNConfig())
    with pytest.raises(WeightsError, match=r"model\.safetensors does not fit a RCNN: .*missing .* and \d+ more.*of another shape"):
        open_folder(tmp_path, "cpu")


def test_loading_names_wrong_tensors() -> None:
    network = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    tensors = {name: value for name, value in network.state_dict().items() if name != "1.num_batches_tracked"}
    load_strict(network, tensors, source="x")
    for change, message in (
        ({"2.weight": torch.ones(1)}, r"1 unexpected \(2.weight\)"),
        ({"0.bias": torch.ones(4)}, r"1 of another shape \(0.bias \(4,\), not \(3,\)\)"),
    ):
        with pytest.raises(WeightsError, match=message):
            load_strict(network, tensors | change, source="x")
    del tensors["0.weight"]
    with pytest.raises(WeightsError, match=r"1 missing \(0.weight\)"):
        load_strict(network, tensors, source="x")


def test_loading_copies_and_does_not_share() -> None:
    network, weight = nn.Linear(1, 1, bias=False), np.ones((1, 1), np.float32)
    load_strict(network, {"weight": weight}, source="x")
    weight[:] = 5
    assert network.weight.item() == 1


@pytest.mark.parametrize(
    "values",
    [
        {"width": 0.25},
        {"width": 0.25, "norm": "frozen", "style": "caffe", "deformable": (4,)},
        {"name": "resnet18"},
        {"name": "shufflenet"},
    ],
)
def test_merged_backbones_give_the_same_maps(values) -> None:
    torch.manual_seed(0)
    backbone, pixels = lively(build_backbone(BackboneConfig(**values))), torch.rand(2, 3, 64, 96)
    with torch.inference_mode():
        expected = backbone(pixels)
        merged = optimize_for_inference(backbone)(pixels)
    for level, level_map in merged.items():
        torch.testing.assert_close(level_map, expected[level], atol=1e-4 * expected[level].abs().max().item(), rtol=0)
    assert not any(isinstance(part, nn.BatchNorm2d | FrozenBatchNorm2d) for part in backbone.modules())


def test_merging_by_hand() -> None:
    """(2 x + 1 - 3) / sqrt(4) * 10 + 5 = 10 x - 5."""
    block = nn.Sequential(nn.Linear(1, 1), nn.BatchNorm1d(1, eps=0), nn.ReLU())
    for tensor, value in zip([*block[0].parameters(), *block[1].parameters()], (2, 1, 10, 5), strict=True):
        nn.init.constant_(tensor, value)
    block[1].running_mean.fill_(3)
    block[1].running_var.fill_(4)
    optimize_for_inference(block.eval())
    assert isinstance(block[1], nn.Identity)
    assert (block[0].weight.item(), block[0].bias.item()) == (10, -5)


def test_other_norms_are_not_merged() -> None:
    block = nn.Sequential(nn.BatchNorm1d(2), nn.Linear(2, 2), nn.ReLU(), nn.BatchNorm1d(2), nn.Linear(2, 2), nn.LayerNorm(2))
    optimize_for_inference(block.eval())
    assert [type(part) for part in block] == [nn.BatchNorm1d, nn.Linear, nn.ReLU, nn.BatchNorm1d, nn.Linear, nn.LayerNorm]


def test_a_deformable_convolution_takes_its_norm() -> None:
    torch.manual_seed(0)
    block = lively(nn.Sequential(DeformConv(3, 4, modulated=True), nn.BatchNorm2d(4)))
    nn.init.normal_(block[0].conv_offset.weight)
    x = torch.rand(1, 3, 9, 7)
    with torch.inference_mode():
        expected = block(x)
        torch.testing.assert_close(optimize_for_inference(block)(x), expected, atol=1e-5, rtol=1e-5)
    assert isinstance(block[1], nn.Identity)

"""The backbone of the bundled crop networks."""

import pytest
import torch

from personsearch.models.parts.crop_backbone import OUTPUTS, STRIDE, CropBackbone, GatedBlock
from personsearch.models.reid import ReidConfig, ReidNetwork


@pytest.mark.parametrize("width", [1.0, 0.125])
def test_maps_have_their_channels_and_strides(width: float) -> None:
    backbone = CropBackbone(width).eval()
    with torch.inference_mode():
        maps = backbone(torch.randn(2, 3, 64, 36))
    assert {number: tuple(one.shape) for number, one in maps.items()} == {
        number: (2, round(channels * width), 64 // stride, 36 // stride + (36 % stride > 0))
        for number, channels, stride in zip((1, 2, 3), OUTPUTS, (4, 8, STRIDE), strict=True)
    }
    assert {number: one.shape[1] for number, one in maps.items()} == backbone.channels


def test_light_of_the_whole_picture_changes_nothing() -> None:
    torch.manual_seed(0)
    backbone, pixels = CropBackbone(0.125).eval(), torch.randn(1, 3, 64, 32)
    with torch.inference_mode():
        torch.testing.assert_close(backbone(pixels * 1.7 + 0.4)[3], backbone(pixels)[3], atol=1e-4, rtol=1e-4)


def test_a_block_with_a_closed_gate_gives_its_input() -> None:
    block, maps = GatedBlock(16).eval(), torch.rand(1, 16, 6, 4)
    torch.nn.init.constant_(block.gate.fc2.bias, -100)
    with torch.inference_mode():
        torch.testing.assert_close(block(maps), maps)


def test_a_crop_network_has_cells_of_its_last_map() -> None:
    values = {"name": "x", "backbone": {"name": "crop", "width": 0.125}, "height": 96, "width": 44, "embedding_dim": 8, "last_stride": 2}
    network = ReidNetwork(ReidConfig.model_validate(values | {"pooling": "weighted", "bnneck": False})).eval()
    with torch.inference_mode():
        rows = network(torch.randn(2, 3, 96, 44))
    assert network.pool.weight.shape[1:] == (12, 6)
    assert rows.norm(dim=1).tolist() == pytest.approx([1, 1])

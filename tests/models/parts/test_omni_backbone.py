"""The backbone that looks at several scales."""

import pytest
import torch
from torch import nn

from personsearch.models.parts.crop_backbone import OUTPUTS, STRIDE, CropBackbone
from personsearch.models.parts.omni_backbone import ContextGate, OmniBackbone, OmniBlock
from personsearch.models.reid import ReidConfig, ReidNetwork


@pytest.mark.parametrize("width", [1.0, 0.125])
def test_maps_have_their_channels_and_strides(width: float) -> None:
    backbone = OmniBackbone(width).eval()
    with torch.inference_mode():
        maps = backbone(torch.randn(2, 3, 64, 36))
    assert {number: tuple(one.shape) for number, one in maps.items()} == {
        number: (2, round(channels * width), 64 // stride, 36 // stride + (36 % stride > 0))
        for number, channels, stride in zip((1, 2, 3), OUTPUTS, (4, 8, STRIDE), strict=True)
    }


def test_streams_see_three_to_nine_cells() -> None:
    torch.manual_seed(0)
    block, maps = OmniBlock(4, 8, 8, groups=2).eval(), torch.zeros(1, 8, 15, 15, requires_grad=True)
    for stream, cells in zip(block.streams, (3, 5, 7, 9), strict=True):
        for part in stream.modules():
            if isinstance(part, nn.Conv2d):
                nn.init.ones_(part.weight)
        (seen,) = torch.autograd.grad(stream(maps + 1)[0, 0, 7, 7], maps)
        assert int((seen[0, 0] != 0).any(dim=0).sum()) == cells


def test_a_block_adds_the_gated_streams_to_its_input() -> None:
    torch.manual_seed(0)
    block, maps = OmniBlock(6, 16, 6).eval(), torch.rand(2, 6, 8, 4)
    with torch.inference_mode():
        reduced = block.reduce(maps)
        total = sum(gate(stream(reduced)) for gate, stream in zip(block.gates, block.streams, strict=True))
        torch.testing.assert_close(block(maps), (maps + block.expand(total)).relu())
        for gate in block.gates:
            nn.init.constant_(gate.fc2.bias, -100)
        torch.testing.assert_close(block(maps), maps)


def test_a_context_gate_compares_channels_of_a_group() -> None:
    """Means 1 and 3 of a group are -1 and 1 of its spread, whatever the other group has."""
    gate, maps = ContextGate(4, 2), torch.tensor([1.0, 3, 7, 7])[None, :, None, None].expand(1, 4, 2, 2)
    nn.init.ones_(gate.norm.weight)
    nn.init.zeros_(gate.norm.bias)
    with torch.inference_mode():
        expected = torch.tensor([-1.0, 1, 0, 0]).sigmoid() * torch.tensor([1.0, 3, 7, 7])
        torch.testing.assert_close(gate(maps)[0, :, 0, 0], expected, atol=1e-4, rtol=1e-5)


def test_extra_blocks_of_the_first_stage_give_their_input_at_first() -> None:
    torch.manual_seed(0)
    plain, omni = CropBackbone(0.25).eval(), OmniBackbone(0.25).eval()
    omni.stem.load_state_dict(plain.stem.state_dict())
    for own, other in zip((omni.stage1[0], omni.stage1[1], omni.stage1[-1]), plain.stage1, strict=True):
        own.load_state_dict(other.state_dict())
    with torch.inference_mode():
        pixels = torch.randn(1, 3, 32, 16)
        torch.testing.assert_close(omni(pixels)[1], plain(pixels)[1])


def test_a_crop_network_has_cells_of_its_last_map() -> None:
    values = {"name": "x", "backbone": {"name": "omni", "width": 0.125}, "height": 96, "width": 44, "embedding_dim": 8, "last_stride": 2}
    network = ReidNetwork(ReidConfig.model_validate(values | {"pooling": "weighted", "bnneck": False})).eval()
    with torch.inference_mode():
        rows = network(torch.randn(2, 3, 96, 44))
    assert network.pool.weight.shape[1:] == (12, 6)
    assert rows.norm(dim=1).tolist() == pytest.approx([1, 1])

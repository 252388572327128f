import pytest
import torch
from torch import Tensor, nn
from torchvision.models import resnet18, resnet50, shufflenet_v2_x0_5, shufflenet_v2_x1_0
from torchvision.ops.misc import FrozenBatchNorm2d

from personsearch.models.config import BackboneConfig, SceneConfig
from personsearch.models.parts.deform import DeformConv
from personsearch.models.parts.resnet import LastStage, build_backbone, level_channels

THEIRS = {
    "resnet50": (resnet50, {"name": "resnet50"}),
    "resnet18": (resnet18, {"name": "resnet18"}),
    "shufflenet": (shufflenet_v2_x1_0, {"name": "shufflenet"}),
    "half a shufflenet": (shufflenet_v2_x0_5, {"name": "shufflenet", "width": 0.5}),
}
ALL = [
    {"name": "resnet50", "width": 0.25},
    {"name": "resnet50", "width": 0.25, "style": "caffe"},
    {"name": "resnet18", "width": 0.25},
    {"name": "shufflenet", "width": 0.25},
    {"name": "shufflenet", "width": 1.5},
]


def pixels(height: int = 64, width: int = 96) -> Tensor:
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", [pytest.param("resnet50", marks=pytest.mark.slow), *(name for name in THEIRS if name != "resnet50")])
def test_torchvisions_weights_fit_and_give_its_maps(name) -> None:
    make, values = THEIRS[name]
    torch.manual_seed(0)
    theirs, ours = make().eval(), build_backbone(BackboneConfig(**values)).eval()
    weights = {key: value for key, value in theirs.state_dict().items() if not key.startswith(("fc.", "conv5."))}
    ours.load_state_dict(weights)
    last = theirs.layer4 if "resnet" in name else theirs.stage4
    outputs = []
    last.register_forward_hook(lambda _, __, output: outputs.append(output))
    with torch.inference_mode():
        theirs(pixels())
        torch.testing.assert_close(ours(pixels())[5], outputs[0])


@pytest.mark.parametrize("values", ALL)
@pytest.mark.parametrize("norm", ["frozen", "batch", "group"])
def test_levels_have_their_strides_and_channels(values, norm) -> None:
    config = BackboneConfig(**values, norm=norm)
    backbone = build_backbone(config).eval()
    maps = backbone(pixels())
    assert list(maps) == [2, 3, 4, 5]
    for level, level_map in maps.items():
        assert level_map.shape == (1, backbone.channels[level], 64 // 2**level, 96 // 2**level)
        assert level_channels(config, level) == backbone.channels[level]
    kinds = {type(part) for part in backbone.modules()} & {FrozenBatchNorm2d, nn.BatchNorm2d, nn.GroupNorm}
    assert kinds == {{"frozen": FrozenBatchNorm2d, "batch": nn.BatchNorm2d, "group": nn.GroupNorm}[norm]}


@pytest.mark.parametrize("name", ["crop", "omni"])
def test_the_crop_backbones_are_for_crops_only(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} is for crop networks"):
        SceneConfig(architecture="x", name="x", backbone={"name": name})


def test_a_backbone_ends_at_the_requested_level() -> None:
    backbone = build_backbone(BackboneConfig(width=0.25), 4)
    assert list(backbone(pixels())) == [2, 3, 4]
    assert not any(name.startswith("layer4") for name in backbone.state_dict())


@pytest.mark.parametrize("values", ALL)
def test_the_last_stage_halves_regions_of_level_4(values) -> None:
    config = BackboneConfig(**values)
    stage = LastStage(config).eval()
    regions = torch.rand(3, level_channels(config, 4), 14, 14)
    assert stage(regions).shape == (3, stage.channels, 7, 7)
    assert stage(regions[:0]).shape == (0, stage.channels, 7, 7)


def test_the_style_decides_the_position_of_the_stride() -> None:
    for style, strides in (("pytorch", ((1, 1), (2, 2))), ("caffe", ((2, 2), (1, 1)))):
        backbone = build_backbone(BackboneConfig(width=0.25, style=style))
        for stage in (backbone.layer2, backbone.layer3, backbone.layer4):
            assert (stage[0].conv1.stride, stage[0].conv2.stride) == strides
        assert backbone.layer1[0].conv1.stride == backbone.layer1[0].conv2.stride == (1, 1)


def test_deformable_stages_take_any_offset() -> None:
    backbone = build_backbone(BackboneConfig(width=0.25, style="caffe", deformable=(4, 5))).eval()
    for name, stage in backbone.named_children():
        if name.startswith("layer"):
            assert {isinstance(block.conv2, DeformConv) for block in stage.children()} == {name in ("layer3", "layer4")}
    assert backbone(pixels())[5].shape == (1, 512, 2, 3)


def test_narrow_networks_are_small() -> None:
    sizes = [
        sum(p.numel() for p in build_backbone(BackboneConfig(name="resnet18", width=width)).parameters()) for width in (1.0, 0.5, 0.25)
    ]
    assert sizes[0] == 11_176_512  # torchvision's, without its classifier
    assert sizes[1] < sizes[0] / 3.9
    assert sizes[2] < sizes[1] / 3.9

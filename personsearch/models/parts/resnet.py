"""Backbones: ResNet-50, ResNet-18 and ShuffleNet v2, built of torchvision's blocks with torchvision's names."""

import math
from collections.abc import Callable

from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, Bottleneck
from torchvision.models.shufflenetv2 import InvertedResidual
from torchvision.ops.misc import FrozenBatchNorm2d

from personsearch.models.config import BackboneConfig, Norm
from personsearch.models.parts.convnext import CONVNEXT_BLOCKS, convnext_channels, convnext_stage
from personsearch.models.parts.deform import DeformConv
from personsearch.models.parts.region_pool import LazyRegions, cells_of

RESNET_BLOCKS = {"resnet50": (Bottleneck, (3, 4, 6, 3)), "resnet18": (BasicBlock, (2, 2, 2, 2))}
SHUFFLENET_BLOCKS = (4, 8, 4)
SHUFFLENET_CHANNELS = {0.5: 48, 1.0: 116, 1.5: 176, 2.0: 244}  # of the first stage, as published; each next stage doubles them
NORM_GROUPS = 32
DEEPEST = 5  # level of the last stage: stride 32

ConvFactory = Callable[[int, int, int], nn.Module]  # (inputs, outputs, stride) -> a 3x3 convolution


class Backbone(nn.Module):
    """Maps of an image by level: level n has stride 2**n.

    `channels` holds the number of channels of each level that `forward` returns.
    """

    channels: dict[int, int]

    def forward(self, pixels: Tensor) -> dict[int, Tensor]:
        """Level -> (B, C, H / 2**level, W / 2**level) for (B, 3, H, W) pixels."""
        raise NotImplementedError


class ResNet(Backbone):
    """ResNet up to level `deepest`, with torchvision's names: conv1, bn1, layer1, ... layer4.

    Source: arXiv 1512.03385; style "pytorch" is torchvision's ResNet v1.5, "caffe" the paper's.
    """

    def __init__(self, config: BackboneConfig, deepest: int = DEEPEST) -> None:
        super().__init__()
        norm = norm_factory(config.norm)
        base = _resnet_base(config)
        self.conv1 = nn.Conv2d(3, base, 7, stride=2, padding=3, bias=False)
        self.bn1 = norm(base)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.channels = {}
        for level in range(2, deepest + 1):
            setattr(self, f"layer{level - 1}", resnet_stage(config, level))
            self.channels[level] = level_channels(config, level)
        init_weights(self)

    def forward(self, pixels: Tensor) -> dict[int, Tensor]:
        """Levels 2 to `deepest`."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(pixels))))
        maps = {}
        for level in self.channels:
            x = maps[level] = getattr(self, f"layer{level - 1}")(x)
        return maps


class ShuffleNet(Backbone):
    """ShuffleNet v2 up to level `deepest`, with torchvision's names: conv1, stage2, stage3, stage4.

    Source: arXiv 1807.11164.
    """

    def __init__(self, config: BackboneConfig, deepest: int = DEEPEST) -> None:
        super().__init__()
        stem = level_channels(config, 2)
        self.conv1 = nn.Sequential(nn.Conv2d(3, stem, 3, 2, 1, bias=False), norm_factory(config.norm)(stem), nn.ReLU(inplace=True))
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.channels = {level: level_channels(config, level) for level in range(2, deepest + 1)}
        for level in range(3, deepest + 1):
            setattr(self, f"stage{level - 1}", shufflenet_stage(config, level))
        init_weights(self)

    def forward(self, pixels: Tensor) -> dict[int, Tensor]:
        """Levels 2 to `deepest`."""
        x = self.maxpool(self.conv1(pixels))
        maps = {2: x}
        for level in list(self.channels)[1:]:
            x = maps[level] = getattr(self, f"stage{level - 1}")(x)
        return maps


class ConvNeXt(Backbone):
    """ConvNeXt up to level `deepest`, with torchvision's names: features.0, features.1, ...; it has layer norms whatever the config's norm.

    Source: arXiv 2201.03545.
    """

    def __init__(self, config: BackboneConfig, deepest: int = DEEPEST) -> None:
        super().__init__()
        self.channels = {level: convnext_channels(config, level) for level in range(2, deepest + 1)}
        self.features = nn.Sequential(*(part for level in self.channels for part in convnext_stage(config, level)))

    def forward(self, pixels: Tensor) -> dict[int, Tensor]:
        """Levels 2 to `deepest`."""
        maps, x = {}, pixels
        for level in self.channels:
            first = 2 * (level - 2)
            x = maps[level] = self.features[first : first + 2](x)
        return maps


class LastStage(nn.Module):
    """The backbone's last stage (res5) with its own weights, for regions of level 4."""

    def __init__(self, config: BackboneConfig) -> None:
        super().__init__()
        self.layer4 = build_stage(config, DEEPEST)
        self.channels = level_channels(config, DEEPEST)
        init_weights(self)

    def forward(self, regions: Tensor | LazyRegions) -> Tensor:
        """(N, C5, H / 2, W / 2) for (N, C4, H, W) regions."""
        output: Tensor = self.layer4(cells_of(regions))
        return output


def build_backbone(config: BackboneConfig, deepest: int = DEEPEST) -> Backbone:
    """The backbone of a config, with random weights, up to level `deepest` (2..5)."""
    if config.name in CONVNEXT_BLOCKS:
        return ConvNeXt(config, deepest)
    return ShuffleNet(config, deepest) if config.name == "shufflenet" else ResNet(config, deepest)


def build_stage(config: BackboneConfig, level: int) -> nn.Sequential:
    """The backbone's stage that makes `level` (3..5) of the one before it."""
    if config.name in CONVNEXT_BLOCKS:
        return convnext_stage(config, level)
    return shufflenet_stage(config, level) if config.name == "shufflenet" else resnet_stage(config, level)


def level_channels(config: BackboneConfig, level: int) -> int:
    """Channels of the backbone's map at `level` (2..5)."""
    if config.name in CONVNEXT_BLOCKS:
        return convnext_channels(config, level)
    if config.name == "shufflenet":
        first = SHUFFLENET_CHANNELS.get(config.width, 4 * max(2, round(29 * config.width)))
        return 24 if level == 2 else first * 2 ** (level - 3)
    expansion: int = RESNET_BLOCKS[config.name][0].expansion
    channels: int = _resnet_base(config) * 2 ** (level - 2) * expansion
    return channels


def resnet_stage(config: BackboneConfig, level: int) -> nn.Sequential:
    """The stage of a ResNet from the level before to `level` (2..5)."""
    block, numbers = RESNET_BLOCKS[config.name]
    norm = norm_factory(config.norm)
    stride = 1 if level == 2 else 2
    inputs = _resnet_base(config) if level == 2 else level_channels(config, level - 1)
    outputs = level_channels(config, level)
    shortcut = None
    if stride != 1 or inputs != outputs:
        shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False), norm(outputs))
    planes = outputs // block.expansion
    blocks = [block(inputs, planes, stride, shortcut, norm_layer=norm)]
    blocks += [block(outputs, planes, norm_layer=norm) for _ in range(1, numbers[level - 2])]
    if config.style == "caffe":
        blocks[0].conv1.stride, blocks[0].conv2.stride = blocks[0].conv2.stride, blocks[0].conv1.stride
    if level in config.deformable:
        replace_conv2(blocks, lambda inputs, outputs, stride: DeformConv(inputs, outputs, stride=stride, modulated=True))
    return nn.Sequential(*blocks)


def shufflenet_stage(config: BackboneConfig, level: int) -> nn.Sequential:
    """The stage of a ShuffleNet from the level before to `level` (3..5)."""
    inputs, outputs = level_channels(config, level - 1), level_channels(config, level)
    blocks = [InvertedResidual(inputs, outputs, 2)]
    blocks += [InvertedResidual(outputs, outputs, 1) for _ in range(1, SHUFFLENET_BLOCKS[level - 3])]
    stage = nn.Sequential(*blocks)
    _replace_norms(stage, norm_factory(config.norm))
    return stage


def replace_conv2(blocks: list[Bottleneck], make: ConvFactory) -> None:
    """Replace the 3x3 convolution of every bottleneck, in place."""
    for block in blocks:
        old = block.conv2
        block.conv2 = make(old.in_channels, old.out_channels, old.stride[0])


def norm_factory(norm: Norm) -> Callable[[int], nn.Module]:
    """Function from a number of channels to their normalisation; eps is always 1e-5."""
    if norm == "group":
        return lambda channels: nn.GroupNorm(math.gcd(NORM_GROUPS, channels), channels)
    return FrozenBatchNorm2d if norm == "frozen" else nn.BatchNorm2d


def init_weights(module: nn.Module) -> None:
    """Random convolutions for training from scratch (He et al., arXiv 1502.01852, by fan out)."""
    for part in module.modules():
        if isinstance(part, nn.Conv2d) and part.bias is None:
            nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu")


def _resnet_base(config: BackboneConfig) -> int:
    return max(8, 8 * round(64 * config.width / 8))


def _replace_norms(module: nn.Module, make: Callable[[int], nn.Module]) -> None:
    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm2d):
            setattr(module, name, make(child.num_features))
        else:
            _replace_norms(child, make)

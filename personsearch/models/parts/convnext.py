"""ConvNeXt: stages of torchvision's blocks, under the names that they have in its `features`.

Source: Liu et al., A ConvNet for the 2020s (arXiv 2201.03545); torchvision's models/convnext.py.
"""

from functools import partial

from torch import nn
from torchvision.models.convnext import CNBlock, LayerNorm2d

from personsearch.models.config import BackboneConfig

CONVNEXT_BLOCKS = {"convnext-tiny": (96, (3, 3, 9, 3)), "convnext-base": (128, (3, 3, 27, 3))}  # channels of level 2, blocks of levels 2..5
LAYER_SCALE = 1e-6  # how much a block adds at the start of training
LayerNorm = partial(LayerNorm2d, eps=1e-6)


def convnext_channels(config: BackboneConfig, level: int) -> int:
    """Channels of the map at `level` (2..5)."""
    base, _ = CONVNEXT_BLOCKS[config.name]
    channels: int = max(8, 8 * round(base * config.width / 8)) * 2 ** (level - 2)
    return channels


def convnext_stage(config: BackboneConfig, level: int) -> nn.Sequential:
    """What makes `level` (2..5) of the one before it, level 2 of the pixels: a convolution that shrinks the map, then the blocks."""
    channels = convnext_channels(config, level)
    if level == 2:
        shrink = nn.Sequential(nn.Conv2d(3, channels, 4, stride=4), LayerNorm(channels))
    else:
        before = convnext_channels(config, level - 1)
        shrink = nn.Sequential(LayerNorm(before), nn.Conv2d(before, channels, 2, stride=2))
    _, numbers = CONVNEXT_BLOCKS[config.name]
    stage = nn.Sequential(shrink, nn.Sequential(*(CNBlock(channels, LAYER_SCALE, 0.0) for _ in range(numbers[level - 2]))))
    for layer in stage.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.trunc_normal_(layer.weight, std=0.02)
            nn.init.zeros_(layer.get_parameter("bias"))
    return stage

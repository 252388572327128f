"""A backbone of crop networks: few and wide layers, which a CPU runs fast."""

import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops.misc import Conv2dNormActivation, SqueezeExcitation

STEM_KERNEL = 5
INNER = (32, 64, 96)  # channels of the stem, and of the blocks before and after the stride of the second stage
OUTPUTS = (192, 288, 384)  # channels of the map after each stage
SQUEEZE = 8  # channels of a block over those of its gate
STRIDE = 8  # of the last map


class CropBackbone(nn.Module):
    """Residual blocks with gated channels in three stages; instance norms of the pixels and after the first layer take the light away.

    Each stage ends in a wide map, which can be compared with a map of another network.
    Sources: He et al., arXiv 1512.03385 (residual blocks); Hu et al., arXiv 1709.01507 (gates); Pan et al., IBN-Net, arXiv 1807.09441
    (instance norm in the first layers).

    Args:
        width: Factor on all channel numbers but the three of the pixels.
    """

    def __init__(self, width: float = 1.0) -> None:
        super().__init__()
        stem, inner, middle, first, second, third = (max(1, round(channels * width)) for channels in (*INNER, *OUTPUTS))
        self.channels = {1: first, 2: second, 3: third}
        self.stem = nn.Sequential(
            nn.InstanceNorm2d(3),
            nn.Conv2d(3, stem, STEM_KERNEL, stride=2, padding=STEM_KERNEL // 2, bias=False),
            nn.InstanceNorm2d(stem, affine=True),
            nn.ReLU(inplace=True),
        )
        self.stage1 = nn.Sequential(conv(stem, inner, 3, 2), GatedBlock(inner), conv(inner, first))
        self.stage2 = nn.Sequential(
            *(conv(first, inner), GatedBlock(inner)),  # at stride 4
            *(conv(inner, middle, 3, 2), GatedBlock(middle), conv(middle, second)),
        )
        self.stage3 = nn.Sequential(conv(second, middle), GatedBlock(middle), GatedBlock(middle), conv(middle, third))

    def forward(self, pixels: Tensor) -> dict[int, Tensor]:
        """Stage (1, 2, 3) -> its map, of stride 4, 8 and 8, of (N, 3, H, W) pixels."""
        maps, x = {}, self.stem(pixels)
        for number, stage in enumerate(self.stages(), start=1):
            x = maps[number] = stage(x)
        return maps

    def stages(self) -> tuple[nn.Sequential, nn.Sequential, nn.Sequential]:
        """The stages behind the stem."""
        return self.stage1, self.stage2, self.stage3


class GatedBlock(nn.Module):
    """Two 3x3 convolutions whose result, times a gate of each channel, is added to the input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(conv(channels, channels, 3), conv(channels, channels, 3, activation=None))
        self.gate = SqueezeExcitation(channels, max(1, channels // SQUEEZE))

    def forward(self, maps: Tensor) -> Tensor:
        """Maps of the same shape."""
        return F.relu(maps + self.gate(self.layers(maps)))


def conv(
    inputs: int, channels: int, kernel: int = 1, stride: int = 1, *, groups: int = 1, activation: type[nn.Module] | None = nn.ReLU
) -> nn.Module:
    """Convolution, batch norm, activation."""
    layers: nn.Module = Conv2dNormActivation(inputs, channels, kernel, stride, groups=groups, activation_layer=activation)
    return layers

"""The backbone of the bundled crop networks, which looks at several scales at once: slower than `CropBackbone`, better across cameras."""

import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops.misc import SqueezeExcitation

from personsearch.models.parts.crop_backbone import INNER, CropBackbone, GatedBlock, conv

BOTTLENECKS = (72, 96)  # channels of the streams, in the second and the third stage
STREAMS = 4  # of a block; their layers see 3, 5, 7 and 9 cells
EXTRA_BLOCKS = 2  # of the first stage, beyond those of `CropBackbone`
SQUEEZE = 16  # channels of a stream over those of its gate
GROUPS = (8, 16)  # of the channels that a linear context gate compares, in the second and the third stage


class OmniBackbone(CropBackbone):
    """`CropBackbone` whose second and third stage look at many scales at once.

    Sources: Zhou et al., Omni-Scale Feature Learning (OSNet), arXiv 1905.00953, Sec. 3.2; Ruan et al., Linear Context Transform Block,
    arXiv 1909.03834. Differences from OSNet: a gate of each stream instead of one for all; a block's second gates are linear context
    transforms; the first stage is one of `GatedBlock`s.

    Args:
        width: Factor on all channel numbers but the three of the pixels.
    """

    def __init__(self, width: float = 1.0) -> None:
        super().__init__(width)
        inner = max(1, round(INNER[1] * width))
        enter, block, leave = self.stage1
        extra = [GatedBlock(inner) for _ in range(EXTRA_BLOCKS)]
        for added in extra:
            nn.init.zeros_(added.layers[1].get_submodule("1").get_parameter("weight"))  # gives its input at first
        self.stage1 = nn.Sequential(enter, block, *extra, leave)
        first, second, third = self.channels.values()
        bottlenecks = [
            max(2 * groups, round(channels * width / groups) * groups) for channels, groups in zip(BOTTLENECKS, GROUPS, strict=True)
        ]
        self.stage2 = nn.Sequential(*omni_blocks(first, bottlenecks[0], second, GROUPS[0]), nn.AvgPool2d(2, ceil_mode=True))
        self.stage3 = nn.Sequential(*omni_blocks(second, bottlenecks[1], third, GROUPS[1]))


class OmniBlock(nn.Module):
    """A residual block of streams of 1 to 4 light convolutions; each stream's channels are gated by what it sees of the whole map.

    Args:
        inputs: Channels of the input.
        inner: Channels of the streams.
        outputs: Channels of the output.
        groups: Groups of channels that the gates compare; None for squeeze-and-excitation.
    """

    def __init__(self, inputs: int, inner: int, outputs: int, groups: int | None = None) -> None:
        super().__init__()
        self.reduce = conv(inputs, inner)
        self.streams = nn.ModuleList([nn.Sequential(*(light(inner) for _ in range(count + 1))) for count in range(STREAMS)])
        self.gates = nn.ModuleList([gate(inner, groups) for _ in range(STREAMS)])
        self.expand = conv(inner, outputs, activation=None)
        self.skip = conv(inputs, outputs, activation=None) if inputs != outputs else nn.Identity()

    def forward(self, maps: Tensor) -> Tensor:
        """(N, outputs, h, w) of (N, inputs, h, w)."""
        reduced = self.reduce(maps)
        scales = [gated(stream(reduced)) for gated, stream in zip(self.gates, self.streams, strict=True)]
        return F.relu(self.expand(sum(scales[1:], start=scales[0])) + self.skip(maps))


class ContextGate(nn.Module):
    """Scales each channel by how its mean differs from those of the other channels of its group.

    Source: Ruan et al., arXiv 1909.03834, Eq. 2 to 4.

    Args:
        channels: Channels of the map.
        groups: Number of groups.
    """

    def __init__(self, channels: int, groups: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(groups, channels)
        nn.init.zeros_(self.norm.weight)
        nn.init.ones_(self.norm.bias)

    def forward(self, maps: Tensor) -> Tensor:
        """Maps of the same shape."""
        scale: Tensor = self.norm(maps.mean(dim=(2, 3))).sigmoid()
        return maps * scale[..., None, None]


def omni_blocks(inputs: int, inner: int, outputs: int, groups: int) -> tuple[nn.Module, ...]:
    """Two blocks and the 1x1 convolution behind them."""
    return OmniBlock(inputs, inner, outputs), OmniBlock(outputs, inner, outputs, groups), conv(outputs, outputs)


def light(channels: int) -> nn.Module:
    """A 1x1 convolution and one of 3x3 within each channel, which need about a ninth of a 3x3 convolution's operations."""
    return nn.Sequential(nn.Conv2d(channels, channels, 1, bias=False), conv(channels, channels, 3, groups=channels))


def gate(channels: int, groups: int | None) -> nn.Module:
    """The gate of a stream."""
    return SqueezeExcitation(channels, max(1, channels // SQUEEZE)) if groups is None else ContextGate(channels, groups)

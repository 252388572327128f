"""A small CSP backbone with a two-way feature pyramid, of depthwise convolutions: maps of strides 8, 16 and 32.

Source: YOLOX (arXiv 2107.08430), Sec. 3, YOLOX-Nano; Megvii-BaseDetection/YOLOX (`CSPDarknet`, `YOLOPAFPN`, width 0.25,
depth 0.33, depthwise). Its batch norms are merged into the convolutions here, in training too.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

POOLS = (5, 9, 13)  # pixels; window sizes of the max pooling in the deepest stage
STRIDES = (8, 16, 32)
PATCH = ((0, 0), (1, 0), (0, 1), (1, 1))  # row and column of the stem's pixels, in the order of its channels


class Conv(nn.Sequential):
    """Convolution with bias, then SiLU; keeps the size, or halves it with stride 2."""

    def __init__(self, inputs: int, outputs: int, size: int = 1, *, stride: int = 1, groups: int = 1) -> None:
        super().__init__(nn.Conv2d(inputs, outputs, size, stride, (size - 1) // 2, groups=groups), nn.SiLU(inplace=True))


class FocusStem(Conv):
    """A 3x3 over the four pixels of each 2x2 patch, concatenated as channels: half the size of (B, 3, H, W)."""

    def __init__(self, outputs: int) -> None:
        super().__init__(len(PATCH) * 3, outputs, 3)

    def forward(self, pixels: Tensor) -> Tensor:
        """(B, outputs, H / 2, W / 2)."""
        output: Tensor = super().forward(_focus(pixels))  # type: ignore[no-untyped-call]
        return output

    def as_one(self) -> Conv:
        """The same computation as one 6x6 convolution of stride 2 over the pixels; its padding equals the 3x3's over patches."""
        weight, bias = (tensor.detach() for tensor in self.parameters())
        whole = Conv(3, len(weight), 6, stride=2)
        whole[1] = self[1]
        whole_weight, whole_bias = (tensor.detach() for tensor in whole.parameters())
        for (row, column), part in zip(PATCH, torch.split(weight, 3, dim=1), strict=True):
            whole_weight[:, :, row::2, column::2] = part
        whole_bias.copy_(bias)
        return whole


class DepthwiseConv(nn.Sequential):
    """A 3x3 for each channel, then a 1x1 over all channels."""

    def __init__(self, inputs: int, outputs: int, *, stride: int = 1) -> None:
        super().__init__(Conv(inputs, inputs, 3, stride=stride, groups=inputs), Conv(inputs, outputs))


class Bottleneck(nn.Module):
    """A 1x1 and a depthwise 3x3, with or without a shortcut."""

    def __init__(self, channels: int, *, shortcut: bool) -> None:
        super().__init__()
        self.reduce = Conv(channels, channels)
        self.spread = DepthwiseConv(channels, channels)
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) of (B, C, H, W)."""
        y: Tensor = self.spread(self.reduce(x))
        return x + y if self.shortcut else y


class CrossStage(nn.Module):
    """Half of the channels go through bottlenecks, the other half past them."""

    def __init__(self, inputs: int, outputs: int, depth: int, *, shortcut: bool = True) -> None:
        super().__init__()
        self.main = Conv(inputs, outputs // 2)
        self.past = Conv(inputs, outputs // 2)
        self.blocks = nn.Sequential(*(Bottleneck(outputs // 2, shortcut=shortcut) for _ in range(depth)))
        self.merge = Conv(outputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(B, outputs, H, W) of (B, inputs, H, W)."""
        past = self.past(x)
        merged: Tensor = self.merge(torch.cat([self.blocks(self.main(x)), past], dim=1))
        return merged


class PyramidPool(nn.Module):
    """Each cell concatenated with the maximum of its surroundings at three sizes."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.reduce = Conv(channels, channels // 2)
        self.merge = Conv(channels // 2 * (len(POOLS) + 1), channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) of (B, C, H, W)."""
        x = self.reduce(x)
        merged: Tensor = self.merge(torch.cat([x, *(F.max_pool2d(x, size, 1, size // 2) for size in POOLS)], dim=1))
        return merged


class CSPDarknet(nn.Module):
    """Backbone and neck.

    Args:
        width: Channels of the first map; the maps of strides 8, 16 and 32 have 4, 8 and 16 times as many. 16 is YOLOX-Nano.

    Attributes:
        channels: Channels of the three maps.
    """

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        c2, c3, c4, c5 = (width * factor for factor in (2, 4, 8, 16))
        self.channels = (c3, c4, c5)
        self.stem = FocusStem(width)
        self.stage2 = nn.Sequential(DepthwiseConv(width, c2, stride=2), CrossStage(c2, c2, 1))
        self.stage3 = nn.Sequential(DepthwiseConv(c2, c3, stride=2), CrossStage(c3, c3, 3))
        self.stage4 = nn.Sequential(DepthwiseConv(c3, c4, stride=2), CrossStage(c4, c4, 3))
        self.stage5 = nn.Sequential(DepthwiseConv(c4, c5, stride=2), PyramidPool(c5), CrossStage(c5, c5, 1, shortcut=False))
        self.lateral5 = Conv(c5, c4)
        self.down4 = CrossStage(2 * c4, c4, 1, shortcut=False)
        self.lateral4 = Conv(c4, c3)
        self.down3 = CrossStage(2 * c3, c3, 1, shortcut=False)
        self.step3 = DepthwiseConv(c3, c3, stride=2)
        self.up4 = CrossStage(2 * c3, c4, 1, shortcut=False)
        self.step4 = DepthwiseConv(c4, c4, stride=2)
        self.up5 = CrossStage(2 * c4, c5, 1, shortcut=False)

    def forward(self, pixels: Tensor) -> list[Tensor]:
        """The maps (B, channels[k], H / STRIDES[k], W / STRIDES[k]).

        Args:
            pixels: Images (B, 3, H, W), BGR 0..255 as for the pre-trained weights; H and W are multiples of 32.
        """
        return self.neck(self.stages(pixels))

    def stages(self, pixels: Tensor) -> list[Tensor]:
        """The backbone's maps of strides 8, 16 and 32."""
        x3 = self.stage3(self.stage2(self.stem(pixels)))
        x4 = self.stage4(x3)
        return [x3, x4, self.stage5(x4)]

    def neck(self, stages: list[Tensor]) -> list[Tensor]:
        """The same maps after the top-down and the bottom-up path."""
        x3, x4, x5 = stages
        lateral5 = self.lateral5(x5)
        lateral4 = self.lateral4(self.down4(torch.cat([_twice(lateral5), x4], dim=1)))
        p3 = self.down3(torch.cat([_twice(lateral4), x3], dim=1))
        p4 = self.up4(torch.cat([self.step3(p3), lateral4], dim=1))
        p5 = self.up5(torch.cat([self.step4(p4), lateral5], dim=1))
        return [p3, p4, p5]


def with_activation(network: nn.Module, kind: type[nn.Hardswish | nn.ReLU]) -> None:
    """Replace every SiLU, in place: by hard swish (arXiv 1905.02244, Sec. 5.2), or by ReLU, which ONNX Runtime fuses with convolutions."""
    for module in network.modules():
        for name, child in module.named_children():
            if isinstance(child, nn.SiLU):
                setattr(module, name, kind(inplace=True))


def _focus(pixels: Tensor) -> Tensor:
    """(B, 12, H / 2, W / 2) patches of (B, 3, H, W)."""
    return torch.cat([pixels[..., row::2, column::2] for row, column in PATCH], dim=1)


def _twice(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2.0, mode="nearest")

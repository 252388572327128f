"""Deformable 3x3 convolutions: the plain form, on torchvision's operator."""

import math

import torch
from torch import Tensor, nn
from torchvision.ops import deform_conv2d

TAPS = 9  # of a 3x3 kernel, row by row


class DeformConv(nn.Module):
    """A 3x3 convolution, padding 1, whose nine taps move by offsets that a plain convolution reads off its input.

    Offset channels are (y, x) of tap 0, (y, x) of tap 1, ... With `modulated` (DCNv2) nine more channels give
    each tap a weight in 0..1 through a sigmoid. The offset convolution starts at zero, so that training starts
    from an ordinary convolution (with all taps at half weight if modulated).

    Source: Deformable ConvNets (arXiv 1703.06211) and v2 (arXiv 1811.11168); one deformable group, as in
        daodaofr/AlignPS@5d62dbc.
    """

    def __init__(self, inputs: int, outputs: int, *, stride: int = 1, modulated: bool = False, bias: bool = False) -> None:
        super().__init__()
        self.stride = stride
        self.modulated = modulated
        bound = 1 / math.sqrt(TAPS * inputs)
        self.weight = nn.Parameter(torch.empty(outputs, inputs, 3, 3).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None
        self.conv_offset = nn.Conv2d(inputs, (3 if modulated else 2) * TAPS, 3, stride=stride, padding=1)
        nn.init.zeros_(self.conv_offset.weight)
        nn.init.zeros_(self.conv_offset.bias)  # type: ignore[arg-type]  # Conv2d has a bias here

    def forward(self, x: Tensor) -> Tensor:
        """(B, outputs, H', W') of (B, inputs, H, W)."""
        offset, mask = split_offsets(self.conv_offset(x))
        dtype = self.weight.dtype  # the operator has no autocast rule on a CPU: all its inputs must agree
        mask = None if mask is None else mask.to(dtype)
        output: Tensor = deform_conv2d(x.to(dtype), offset.to(dtype), self.weight, self.bias, stride=self.stride, padding=1, mask=mask)
        return output


def split_offsets(channels: Tensor) -> tuple[Tensor, Tensor | None]:
    """Offsets (B, 18, H, W) in pixels and the weights of the taps (B, 9, H, W) in 0..1, None if there are none."""
    if channels.shape[1] == 2 * TAPS:
        return channels, None
    return channels[:, : 2 * TAPS], channels[:, 2 * TAPS :].sigmoid()

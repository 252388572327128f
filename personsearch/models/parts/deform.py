"""Deformable 3x3 convolution on torchvision's operator."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import deform_conv2d

from personsearch.models.parts.deform_taps import TAPS, split_offsets, sum_taps, tap_neighbours


class DeformConv(nn.Module):
    """A 3x3 convolution, padding 1, whose nine taps move by offsets that a plain convolution computes from its input.

    Offset channels are (y, x) of tap 0, (y, x) of tap 1, ... With `modulated` (DCNv2), nine more channels give
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
        if self.training and x.device.type == "cpu":  # the operator's backward pass is slow on a CPU: it runs on one core
            return self._multiply_then_sample(x, offset, mask)
        dtype = self.weight.dtype  # the operator has no autocast rule on a CPU: all its inputs must agree
        mask = None if mask is None else mask.to(dtype)
        output: Tensor = deform_conv2d(x.to(dtype), offset.to(dtype), self.weight, self.bias, stride=self.stride, padding=1, mask=mask)
        return output

    def _multiply_then_sample(self, x: Tensor, offset: Tensor, mask: Tensor | None) -> Tensor:
        outputs, inputs = self.weight.shape[:2]
        rows, shares = tap_neighbours(offset.float(), mask, x.shape[2:], self.stride)
        products = F.linear(x.permute(0, 2, 3, 1), self.weight.permute(2, 3, 0, 1).reshape(-1, inputs))
        output = sum_taps(products, rows, shares).view(len(x), *offset.shape[2:], outputs).permute(0, 3, 1, 2)
        return output if self.bias is None else output + self.bias[:, None, None]

"""Deformable convolution for CPUs, several times as fast as torchvision's operator."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from personsearch.models.parts.deform import DeformConv
from personsearch.models.parts.deform_taps import split_offsets, sum_taps, tap_neighbours

CHANNELS_AT_ONCE = 32  # output channels per product: nine maps of a 900x1500 image (25 MB) then stay in the cache


class DeformConvCPU(nn.Module):
    """A `DeformConv` for inference that multiplies first and samples second.

    Bilinear sampling and the product with a tap's weight are both linear and act on different axes, so they
    commute: a 1x1 convolution computes nine maps, one per tap, and each output is the weighted sum of four
    neighbours in each (`deform_taps.py`). torchvision's operator interpolates every input channel separately,
    on one core, before it multiplies.
    """

    def __init__(self, conv: DeformConv) -> None:
        super().__init__()
        self.stride = conv.stride
        self.conv_offset = conv.conv_offset
        inputs = conv.weight.shape[1]
        by_tap = conv.weight.detach().permute(2, 3, 0, 1)  # (3, 3, outputs, inputs)
        self.products = nn.ParameterList(
            nn.Parameter(part.reshape(-1, inputs, 1, 1).contiguous(memory_format=torch.channels_last), requires_grad=False)
            for part in torch.split(by_tap, CHANNELS_AT_ONCE, dim=2)
        )
        self.bias = None if conv.bias is None else nn.Parameter(conv.bias.detach(), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, outputs, H', W') of (B, inputs, H, W), in channels-last memory."""
        offset, mask = split_offsets(self.conv_offset(x))
        rows, shares = tap_neighbours(offset.float(), mask, x.shape[2:], self.stride)
        maps = [sum_taps(F.conv2d(x, weight).permute(0, 2, 3, 1), rows, shares) for weight in self.products]
        output = torch.cat(maps, dim=1)
        if self.bias is not None:
            output += self.bias
        return output.view(len(x), *offset.shape[2:], output.shape[1]).permute(0, 3, 1, 2)


def use_cpu_form(network: nn.Module) -> None:
    """Replace every deformable convolution by its CPU form; the network cannot be trained or saved after this."""
    for module in list(network.modules()):
        for name, child in module.named_children():
            if isinstance(child, DeformConv):
                setattr(module, name, DeformConvCPU(child))

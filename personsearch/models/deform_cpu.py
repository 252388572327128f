"""Deformable convolution on a CPU: what torchvision's operator computes, several times as fast."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from personsearch.models.deform import TAPS, DeformConv, split_offsets

CHANNELS_AT_ONCE = 32  # outputs per product: its nine maps of a 900x1500 image (25 MB) then stay near the processor


class DeformConvCPU(nn.Module):
    """A `DeformConv` for inference that multiplies first and samples after.

    Bilinear sampling and the product with a tap's weight are both linear and act on different axes, so they
    commute: a 1x1 convolution makes nine maps, one per tap, and each output is the weighted sum of four
    neighbours in each. Those 36 rows per output are what `embedding_bag` sums. torchvision's operator
    interpolates every input channel on its own, on one core, before it multiplies.
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
        rows, shares = neighbours(offset.float(), mask, x.shape[2:], self.stride)
        maps = [self._sum(F.conv2d(x, weight), rows, shares) for weight in self.products]
        output = torch.cat(maps, dim=1)
        if self.bias is not None:
            output += self.bias
        return output.view(len(x), *offset.shape[2:], output.shape[1]).permute(0, 3, 1, 2)

    @staticmethod
    def _sum(products: Tensor, rows: Tensor, shares: Tensor) -> Tensor:
        table = products.permute(0, 2, 3, 1).reshape(-1, products.shape[1] // TAPS)
        return F.embedding_bag(rows, table.float(), per_sample_weights=shares, mode="sum")


def neighbours(offset: Tensor, mask: Tensor | None, size: torch.Size, stride: int) -> tuple[Tensor, Tensor]:
    """Which rows of the (B * H * W * 9, C) table of products make an output, and with what share.

    Args:
        offset: (B, 18, H', W') float32, pixels of the input.
        mask: (B, 9, H', W') or None.
        size: (H, W) of the input.
        stride: of the convolution.

    Returns:
        Rows, (B * H' * W', 36) int64, and shares, float32; a neighbour outside the input has share 0.
    """
    (batch, _, out_height, out_width), (height, width) = offset.shape, size
    tap = torch.arange(TAPS)
    moved = offset.permute(0, 2, 3, 1).reshape(batch, out_height, out_width, TAPS, 2)
    y = moved[..., 0] + (torch.arange(out_height) * stride)[:, None, None] + tap // 3 - 1
    x = moved[..., 1] + (torch.arange(out_width) * stride)[:, None] + tap % 3 - 1
    top, left = y.floor(), x.floor()
    weight = 1.0 if mask is None else mask.float().permute(0, 2, 3, 1)
    image = (torch.arange(batch) * height)[:, None, None, None]
    rows, shares = [], []
    for row, share_y in ((top, 1 - (y - top)), (top + 1, y - top)):
        for column, share_x in ((left, 1 - (x - left)), (left + 1, x - left)):
            inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
            cell = (image + row.clamp(0, height - 1)).long() * width + column.clamp(0, width - 1).long()
            rows.append(cell * TAPS + tap)
            shares.append(weight * share_y * share_x * inside)
    return torch.stack(rows, -1).view(-1, 4 * TAPS), torch.stack(shares, -1).view(-1, 4 * TAPS)


def use_cpu_form(network: nn.Module) -> None:
    """Put the CPU form in the place of every deformable convolution; the network cannot be trained or saved after this."""
    for module in list(network.modules()):
        for name, child in module.named_children():
            if isinstance(child, DeformConv):
                setattr(module, name, DeformConvCPU(child))

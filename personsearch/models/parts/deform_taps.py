"""The nine taps of a deformable 3x3 convolution: sampling positions, and their sum on a CPU."""

import torch
import torch.nn.functional as F
from torch import Tensor

TAPS = 9  # positions of a 3x3 kernel, row by row


def split_offsets(channels: Tensor) -> tuple[Tensor, Tensor | None]:
    """Offsets (B, 18, H, W) in pixels, and weights of the taps (B, 9, H, W) in 0..1; None without modulation."""
    if channels.shape[1] == 2 * TAPS:
        return channels, None
    return channels[:, : 2 * TAPS], channels[:, 2 * TAPS :].sigmoid()


def tap_neighbours(offset: Tensor, mask: Tensor | None, size: torch.Size, stride: int) -> tuple[Tensor, Tensor]:
    """Rows of the (B * H * W * 9, C) table of products that sum to each output, and their shares.

    Args:
        offset: Offsets of the taps, (B, 18, H', W') float32, pixels of the input.
        mask: Weights of the taps, (B, 9, H', W'), or None.
        size: (H, W) of the input.
        stride: Stride of the convolution.

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


def sum_taps(products: Tensor, rows: Tensor, shares: Tensor) -> Tensor:
    """(B * H' * W', C) of the products of each tap, (B, H, W, 9 * C) with all of the first tap first; differentiable.

    Each output is the weighted sum of 36 rows, four neighbours in each of nine maps; `embedding_bag` computes such sums.
    """
    table = products.reshape(-1, products.shape[-1] // TAPS)
    return F.embedding_bag(rows, table.float(), per_sample_weights=shares, mode="sum")

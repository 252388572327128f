"""RoIAlign of the level-4 map: torchvision's operator, and a CPU form of the same, several times as fast."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import roi_align

STRIDE = 16
SIZE = 14  # cells of a region along each side; res5 halves them
SAMPLES = 2  # along each side of a cell


class RegionPool(nn.Module):
    """The map at boxes, each box as height x width cells."""

    def __init__(self, height: int = SIZE, width: int = SIZE) -> None:
        super().__init__()
        self.height, self.width = height, width

    def forward(self, c4: Tensor, boxes: Sequence[Tensor], step: int = 1) -> Tensor:
        """(N, C, height / step, width / step) float32 regions of all images' boxes.

        Args:
            c4: (B, C, H, W), stride 16.
            boxes: (N_i, 4) xyxy pixels of each resized image; N is their sum.
            step: 2 gives every second cell of every second row.
        """
        if self.training and c4.device.type == "cpu":  # the operator's backward pass is slow there
            return sum_places(c4, boxes, (self.height, self.width), step)
        # aligned=False is the older RoIAlign that the networks were trained with: half a cell to the lower right
        regions: Tensor = roi_align(c4.float(), list(boxes), (self.height, self.width), 1 / STRIDE, SAMPLES, aligned=False)
        return regions if step == 1 else regions[:, :, ::step, ::step]


class RegionPoolCPU(RegionPool):
    """What `RegionPool` computes, in channels-last memory (see `sum_places`)."""

    def forward(self, c4: Tensor, boxes: Sequence[Tensor], step: int = 1) -> Tensor:
        """(N, C, height / step, width / step) float32, see `RegionPool`."""
        return sum_places(c4, boxes, (self.height, self.width), step)


def sum_places(c4: Tensor, boxes: Sequence[Tensor], size: tuple[int, int], step: int = 1) -> Tensor:
    """RoIAlign's (N, C, size / step) float32 on a CPU, in channels-last memory; arguments as of `RegionPool`.

    A cell is the weighted sum of 16 places of the map: 2 x 2 samples with 4 neighbours each. That is what
    `embedding_bag` sums, all channels of a place at once and on every core; torchvision's operator takes one
    channel at a time on one core. No gradient flows to the boxes, as in torchvision's.
    """
    batch, channels, height, width = c4.shape
    table = c4.permute(0, 2, 3, 1).reshape(-1, channels).float()
    corners = torch.cat(list(boxes)).detach() / STRIDE
    counts = torch.tensor([len(one) for one in boxes])
    first = torch.arange(batch).repeat_interleave(counts) * (height * width)
    row, share_y = (one[:, ::step] for one in neighbours(corners[:, 1], corners[:, 3], height, size[0]))
    column, share_x = (one[:, ::step] for one in neighbours(corners[:, 0], corners[:, 2], width, size[1]))
    places = first[:, None, None, None, None] + row[:, :, None, :, None] * width + column[:, None, :, None, :]
    shares = share_y[:, :, None, :, None] * share_x[:, None, :, None, :]
    cells = F.embedding_bag(places.view(-1, 16), table, per_sample_weights=shares.view(-1, 16), mode="sum")
    return cells.view(-1, *places.shape[1:3], channels).permute(0, 3, 1, 2)


@dataclass(frozen=True)
class Regions:
    """Boxes of maps, cut into cells when they are asked for."""

    pool: RegionPool
    c4: Tensor  # (B, C, H, W), stride 16
    boxes: Sequence[Tensor]  # (N_i, 4) xyxy pixels of each resized image; N is their sum

    @cached_property
    def cells(self) -> Tensor:
        """(N, C, height, width) float32."""
        cells: Tensor = self.pool(self.c4, self.boxes)
        return cells

    def every(self, step: int) -> Tensor:
        """(N, C, height / step, width / step) of every `step`th cell in both directions; no others are computed."""
        if step == 1 or "cells" in vars(self):
            return self.cells[:, :, ::step, ::step]
        cells: Tensor = self.pool(self.c4, self.boxes, step)
        return cells

    def saving(self, step: int) -> float:
        """How many cells, every `step`th in both directions, all regions have for each cell of the maps."""
        batch, _, height, width = self.c4.shape
        cells = -(-self.pool.height // step) * -(-self.pool.width // step)
        return sum(len(one) for one in self.boxes) * cells / (batch * height * width)

    def after(self, conv: nn.Conv2d) -> Tensor:
        """What a 1x1 convolution makes of the cells, (N, outputs, height / stride, width / stride), computed before RoIAlign.

        Both are linear and act on different axes, so they commute; only the bias has to wait, because a sample outside the
        map is 0.
        """
        regions: Tensor = self.pool(F.conv2d(self.c4, conv.weight), self.boxes, conv.stride[0])
        return regions if conv.bias is None else regions.add_(conv.bias[:, None, None])


def cells_of(regions: Tensor | Regions) -> Tensor:
    """The cells of regions that may have been cut already."""
    return regions.cells if isinstance(regions, Regions) else regions


def neighbours(start: Tensor, end: Tensor, size: int, cells: int) -> tuple[Tensor, Tensor]:
    """Along one axis, the four places that make each cell of a region, and their shares of it.

    Args:
        start: (N,) first side of each box, in cells of the map.
        end: (N,) second side.
        size: cells of the map.
        cells: of the region.

    Returns:
        (N, cells, 4) int64 places, and (N, cells, 4) float32 shares; a sample outside the map has share 0.
    """
    step = (end - start).clamp(min=1) / (cells * SAMPLES)
    at = start[:, None] + step[:, None] * (torch.arange(cells * SAMPLES) + 0.5)
    inside = (at >= -1) & (at <= size)
    at = at.clamp(0, size - 1)
    low = at.floor()
    places = torch.stack([low, (low + 1).clamp(max=size - 1)], dim=2).long()
    shares = torch.stack([1 - (at - low), at - low], dim=2) * inside[:, :, None] / SAMPLES
    return places.view(-1, cells, 2 * SAMPLES), shares.view(-1, cells, 2 * SAMPLES)


def use_cpu_pooling(network: nn.Module) -> None:
    """Put the CPU form in the place of every `RegionPool`."""
    for module in list(network.modules()):
        for name, child in module.named_children():
            if isinstance(child, RegionPool):
                setattr(module, name, RegionPoolCPU(child.height, child.width))

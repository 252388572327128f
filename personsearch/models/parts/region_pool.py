"""RoIAlign of the level-4 map: torchvision's operator, and an equal CPU form that is several times as fast."""

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
    """RoIAlign: the map at boxes, each box as height x width cells."""

    def __init__(self, height: int = SIZE, width: int = SIZE) -> None:
        super().__init__()
        self.height, self.width = height, width

    def forward(self, c4: Tensor, boxes: Sequence[Tensor], step: int = 1) -> Tensor:
        """(N, C, height / step, width / step) float32 regions of all images' boxes.

        Args:
            c4: Map (B, C, H, W) of stride 16.
            boxes: Boxes (N_i, 4), xyxy pixels of each resized image; N is their sum.
            step: 2 for every second cell of every second row.
        """
        if self.training and c4.device.type == "cpu":  # the operator's backward pass is slow on a CPU
            return pool_by_sums(c4, boxes, (self.height, self.width), step)
        # aligned=False is the older RoIAlign that the networks were trained with, half a cell to the lower right
        regions: Tensor = roi_align(c4.float(), list(boxes), (self.height, self.width), 1 / STRIDE, SAMPLES, aligned=False)
        return regions if step == 1 else regions[:, :, ::step, ::step]


class RegionPoolCPU(RegionPool):
    """`RegionPool` for CPUs, in channels-last memory (see `pool_by_sums`)."""

    def forward(self, c4: Tensor, boxes: Sequence[Tensor], step: int = 1) -> Tensor:
        """(N, C, height / step, width / step) float32, see `RegionPool`."""
        return pool_by_sums(c4, boxes, (self.height, self.width), step)


def pool_by_sums(c4: Tensor, boxes: Sequence[Tensor], size: tuple[int, int], step: int = 1) -> Tensor:
    """RoIAlign's (N, C, size / step) float32 on a CPU, in channels-last memory; arguments as for `RegionPool`.

    A region cell is the weighted sum of 16 cells of the map: 2 x 2 samples with 4 neighbours each. `embedding_bag`
    computes such sums for all channels at once and on every core; torchvision's operator takes one channel at a time
    on one core. Boxes get no gradient, as in torchvision's operator.
    """
    batch, channels, height, width = c4.shape
    table = c4.permute(0, 2, 3, 1).reshape(-1, channels).float()
    corners = torch.cat(list(boxes)).detach() / STRIDE
    counts = torch.tensor([len(image_boxes) for image_boxes in boxes])
    first = torch.arange(batch).repeat_interleave(counts) * (height * width)
    row, share_y = (values[:, ::step] for values in axis_neighbours(corners[:, 1], corners[:, 3], height, size[0]))
    column, share_x = (values[:, ::step] for values in axis_neighbours(corners[:, 0], corners[:, 2], width, size[1]))
    map_cells = first[:, None, None, None, None] + row[:, :, None, :, None] * width + column[:, None, :, None, :]
    shares = share_y[:, :, None, :, None] * share_x[:, None, :, None, :]
    cells = F.embedding_bag(map_cells.view(-1, 16), table, per_sample_weights=shares.view(-1, 16), mode="sum")
    return cells.view(-1, *map_cells.shape[1:3], channels).permute(0, 3, 1, 2)


@dataclass(frozen=True)
class LazyRegions:
    """Boxes on maps whose cells are computed on first use."""

    pool: RegionPool
    c4: Tensor  # (B, C, H, W), stride 16
    boxes: Sequence[Tensor]  # (N_i, 4) xyxy pixels of each resized image; N is their sum

    @cached_property
    def cells(self) -> Tensor:
        """(N, C, height, width) float32."""
        cells: Tensor = self.pool(self.c4, self.boxes)
        return cells

    def every(self, step: int) -> Tensor:
        """(N, C, height / step, width / step): every `step`th cell in both directions; the others are not computed."""
        if step == 1 or "cells" in vars(self):
            return self.cells[:, :, ::step, ::step]
        cells: Tensor = self.pool(self.c4, self.boxes, step)
        return cells

    def saving(self, step: int) -> float:
        """Region cells, every `step`th in both directions, for each cell of the maps."""
        batch, _, height, width = self.c4.shape
        cells = -(-self.pool.height // step) * -(-self.pool.width // step)
        return sum(len(image_boxes) for image_boxes in self.boxes) * cells / (batch * height * width)

    def after(self, conv: nn.Conv2d) -> Tensor:
        """A 1x1 convolution of the cells, (N, outputs, height / stride, width / stride), computed before RoIAlign.

        Both are linear and act on different axes, so they commute; only the bias must be added after RoIAlign, because a
        sample outside the map is 0.
        """
        regions: Tensor = self.pool(F.conv2d(self.c4, conv.weight), self.boxes, conv.stride[0])
        return regions if conv.bias is None else regions.add_(conv.bias[:, None, None])


def cells_of(regions: Tensor | LazyRegions) -> Tensor:
    """The cells of regions, lazy or not."""
    return regions.cells if isinstance(regions, LazyRegions) else regions


def axis_neighbours(start: Tensor, end: Tensor, size: int, cells: int) -> tuple[Tensor, Tensor]:
    """Along one axis, the four map cells that sum to each cell of a region, and their shares.

    Args:
        start: First side of each box, (N,), in cells of the map.
        end: Second side, (N,).
        size: Cells of the map.
        cells: Cells of the region.

    Returns:
        (N, cells, 4) int64 map cells, and (N, cells, 4) float32 shares; a sample outside the map has share 0.
    """
    step = (end - start).clamp(min=1) / (cells * SAMPLES)
    at = start[:, None] + step[:, None] * (torch.arange(cells * SAMPLES) + 0.5)
    inside = (at >= -1) & (at <= size)
    at = at.clamp(0, size - 1)
    low = at.floor()
    map_cells = torch.stack([low, (low + 1).clamp(max=size - 1)], dim=2).long()
    shares = torch.stack([1 - (at - low), at - low], dim=2) * inside[:, :, None] / SAMPLES
    return map_cells.view(-1, cells, 2 * SAMPLES), shares.view(-1, cells, 2 * SAMPLES)


def use_cpu_pooling(network: nn.Module) -> None:
    """Replace every `RegionPool` by its CPU form, in place."""
    for module in list(network.modules()):
        for name, child in module.named_children():
            if isinstance(child, RegionPool):
                setattr(module, name, RegionPoolCPU(child.height, child.width))

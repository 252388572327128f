"""COAT's head: the cells of a region look at each other, at two scales.

Source: Yu et al., Cascade Transformers for End-to-End Person Search (CVPR 2022, arXiv 2203.09642); Kitware/COAT@369d934, which decides
wherever the paper leaves a choice.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from personsearch.models.parts.heads import strongest
from personsearch.models.parts.region_pool import LazyRegions, cells_of

KERNELS = (1, 3)  # cells along each side of a token, one for each scale


class TransformerFeatures(NamedTuple):
    """Features of N regions."""

    before: Tensor  # (N, C), the strongest cells before the transformer
    after: Tensor  # (N, 2 C), and after it


class Attention(nn.Module):
    """Each token of a region takes from the others by similarity, in several heads."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value, self.output = (nn.Linear(dim, dim) for _ in range(4))

    def forward(self, tokens: Tensor) -> Tensor:
        """(N, T, D) of (N, T, D)."""
        query, key, value = (layer(tokens).unflatten(2, (self.heads, -1)).transpose(1, 2) for layer in (self.query, self.key, self.value))
        mixed: Tensor = self.output(F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2))
        return mixed


class TokenBlock(nn.Module):
    """Attention, then two layers on each token; unlike the usual block it adds attention to the normalised tokens."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.attention = Attention(dim, heads)
        self.wide = nn.Sequential(nn.Linear(dim, 4 * dim), nn.ReLU(inplace=True), nn.Linear(4 * dim, dim))

    def forward(self, tokens: Tensor) -> Tensor:
        """(N, T, D) of (N, T, D)."""
        tokens = self.norm1(tokens)
        tokens = tokens + self.attention(tokens)
        added: Tensor = tokens + self.wide(self.norm2(tokens))
        return added


class Scale(nn.Module):
    """A map as tokens of kernel x kernel cells, one at each cell, through a `TokenBlock`, and added to the map."""

    def __init__(self, channels: int, dim: int, heads: int, kernel: int) -> None:
        super().__init__()
        self.kernel = kernel
        self.tokens = nn.Conv2d(channels, dim, kernel, padding=kernel // 2)
        self.block = TokenBlock(dim, heads)
        self.cells = nn.Linear(dim, channels * kernel**2)

    def forward(self, maps: Tensor) -> Tensor:
        """(N, C, H, W) of (N, C, H, W)."""
        tokens = self.block(self.tokens(maps).flatten(2).transpose(1, 2))
        cells = self.cells(tokens).transpose(1, 2)  # where tokens overlap, they are summed
        added: Tensor = maps + F.fold(cells, maps.shape[2:], self.kernel, padding=self.kernel // 2)
        return added


class TransformerHead(nn.Module):
    """LazyRegions of level 4 through a transformer of half their channels.

    Args:
        channels: C of the regions.
        heads: of the attention.
        skips: whether what is taken before the transformer goes through a convolution first (all heads but the first).
    """

    def __init__(self, channels: int, heads: int, *, skips: bool) -> None:
        super().__init__()
        inner = channels // 2
        self.skip = nn.Conv2d(channels, channels, 1, bias=False) if skips else None
        self.shrink = nn.Conv2d(channels, inner, 1, bias=False)
        self.scales = nn.ModuleList(Scale(inner // len(KERNELS), inner // 4, heads, kernel) for kernel in KERNELS)
        self.widen = nn.Conv2d(inner, 2 * channels, 1, bias=False)

    def forward(self, regions: Tensor | LazyRegions) -> TransformerFeatures:
        """Strongest cells of (N, C, H, W) regions, before and after the transformer."""
        before = cells_of(regions) if self.skip is None else self.through(self.skip, regions)
        return TransformerFeatures(strongest(before), self.after(regions))

    def after(self, regions: Tensor | LazyRegions) -> Tensor:
        """(N, 2 C), the strongest cells after the transformer."""
        maps = self.through(self.shrink, regions)
        parts = [scale(part) for scale, part in zip(self.scales, maps.chunk(len(self.scales), dim=1), strict=True)]
        return strongest(self.widen(torch.cat(parts, dim=1) + maps))

    @staticmethod
    def through(conv: nn.Conv2d, regions: Tensor | LazyRegions) -> Tensor:
        """What a 1x1 convolution makes of the cells."""
        output: Tensor = conv(cells_of(regions))
        return output

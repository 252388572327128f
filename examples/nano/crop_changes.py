"""Changes that make crops of rendered people as various as real ones; whole batches at a time, on any device."""

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from personsearch.models.rcnn import RGB_MEAN, RGB_STD

GREY = (0.299, 0.587, 0.114)


def change(crops: Tensor, rng: Generator) -> Tensor:
    """Normalised float32 crops (N, 3, H, W), each changed at random, of uint8 RGB ones.

    Mirror, frame (scale .87..1.15, shift up to 6 %), light and colour, grey, blur or coarse pixels, noise, an erased rectangle.
    """
    x = _frame(crops.float() / 255, rng)
    x = _coarse(_colours(x, rng), rng)
    x = x + torch.randn(x.shape, generator=rng) * _uniform(len(x), 0.0, 0.04, rng)
    mean, std = torch.tensor(RGB_MEAN)[:, None, None], torch.tensor(RGB_STD)[:, None, None]
    return _erase((x.clamp(0, 1) - mean) / std, rng).contiguous(memory_format=torch.channels_last)


def _uniform(n: int, low: float, high: float, rng: Generator) -> Tensor:
    return low + (high - low) * torch.rand(n, 1, 1, 1, generator=rng)


def _chosen(n: int, share: float, rng: Generator) -> Tensor:
    return torch.rand(n, 1, 1, 1, generator=rng) < share


def _frame(x: Tensor, rng: Generator) -> Tensor:
    n = len(x)
    mirror = 1 - 2 * (torch.rand(n, generator=rng) < 0.5).float()
    theta = torch.zeros(n, 2, 3)
    theta[:, 0, 0] = mirror * (0.87 + 0.28 * torch.rand(n, generator=rng))
    theta[:, 1, 1] = 0.87 + 0.28 * torch.rand(n, generator=rng)
    theta[:, :, 2] = 0.12 * (2 * torch.rand(n, 2, generator=rng) - 1)
    grid = F.affine_grid(theta, list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, padding_mode="border", align_corners=False)


def _colours(x: Tensor, rng: Generator) -> Tensor:
    n = len(x)
    x = x * _uniform(n, 0.65, 1.35, rng) * (1 + 0.08 * torch.randn(n, 3, 1, 1, generator=rng))  # light, white balance
    middle = x.mean(dim=(1, 2, 3), keepdim=True)
    x = middle + (x - middle) * _uniform(n, 0.7, 1.3, rng)
    grey = (x * torch.tensor(GREY)[:, None, None]).sum(dim=1, keepdim=True)
    saturation = torch.where(_chosen(n, 0.06, rng), torch.zeros(n, 1, 1, 1), _uniform(n, 0.5, 1.4, rng))
    x = grey + (x - grey) * saturation
    return x.clamp(1e-3, 1) ** torch.exp(0.25 * torch.randn(n, 1, 1, 1, generator=rng)).clamp(0.6, 1.7)


def _coarse(x: Tensor, rng: Generator) -> Tensor:
    """Some crops as if cut from far away; one scale a batch for each half, so that it is quick."""
    size = x.shape[2:]
    for half in (slice(0, None, 4), slice(1, None, 4)):
        height = int(torch.randint(24, 110, (), generator=rng))
        small = F.interpolate(x[half], size=(height, max(8, height // 2)), mode="bilinear", antialias=True)
        x = x.clone()
        x[half] = F.interpolate(small, size=size, mode="bilinear")
    return x


def _erase(x: Tensor, rng: Generator) -> Tensor:
    """A rectangle of noise or of the mean colour, 2..30 % of the crop, in half of the crops."""
    n, _, height, width = x.shape
    area = 0.02 + 0.28 * torch.rand(n, generator=rng)
    ratio = torch.exp(0.6 * torch.randn(n, generator=rng))
    h = (height * (area * ratio).sqrt()).clamp(2, height)[:, None]
    w = (width * (area / ratio).sqrt()).clamp(2, width)[:, None]
    top = torch.rand(n, 1, generator=rng) * (height - h)
    left = torch.rand(n, 1, generator=rng) * (width - w)
    y, z = torch.arange(height)[None], torch.arange(width)[None]
    inside = ((y >= top) & (y < top + h))[:, None, :, None] & ((z >= left) & (z < left + w))[:, None, None, :]
    inside &= _chosen(n, 0.5, rng)
    filling = torch.randn(n, 3, 1, 1, generator=rng) * 0.7
    return torch.where(inside, filling, x)

"""Cloth patterns as small tiles that repeat, and noise that repeats too."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np

from personsearch.boxes import Array
from personsearch.images import opencv

cv2 = opencv()

TILE = 64
NOISE = 256
Color = tuple[float, float, float]  # sRGB, 0..1
Pattern = Literal["plain", "heather", "stripes", "pinstripes", "check", "plaid", "dots", "camouflage", "blocks", "gradient"]
PATTERNS: tuple[Pattern, ...] = ("plain", "heather", "stripes", "pinstripes", "check", "plaid", "dots", "camouflage", "blocks", "gradient")
PATTERN_SHARES = (0.44, 0.12, 0.1, 0.06, 0.05, 0.08, 0.03, 0.05, 0.03, 0.04)


@dataclass(frozen=True)
class Fabric:
    """What a piece of cloth looks like."""

    pattern: Pattern
    colors: tuple[Color, Color, Color]
    period: float  # dm over which the tile repeats
    seed: int


def tile(fabric: Fabric) -> Array:
    """(64, 64, 3) float32 sRGB of a fabric; rows run down the body, columns around it, and both wrap."""
    rng = np.random.default_rng(fabric.seed)
    first, second, third = (np.array(color, np.float32) for color in fabric.colors)
    amount = _amount(fabric.pattern, rng)
    result = first + (second - first) * amount[0][..., None] + (third - first) * amount[1][..., None]
    return np.asarray(np.clip(result, 0.0, 1.0), np.float32)


def _amount(pattern: Pattern, rng: np.random.Generator) -> tuple[Array, Array]:
    """How much of the second and of the third colour each point of the tile has."""
    v, u = np.mgrid[0:TILE, 0:TILE] / TILE
    none = np.zeros((TILE, TILE))
    if pattern == "plain":
        return none, none
    if pattern == "heather":
        return rng.random((TILE, TILE)) * 0.6, none
    if pattern in ("stripes", "pinstripes"):
        along = v if pattern == "stripes" else u
        width = rng.uniform(0.2, 0.6) if pattern == "stripes" else rng.uniform(0.08, 0.3)
        second = (along < width).astype(float)
        thin = ((along > 0.75) & (along < 0.85)).astype(float) if rng.random() < 0.4 else none
        return second, thin
    if pattern == "check":
        return ((u < 0.5) ^ (v < 0.5)).astype(float), none
    if pattern == "plaid":
        width = rng.uniform(0.3, 0.6)
        second = ((u < width) * 0.45 + (v < width) * 0.45).astype(float)
        line = ((np.abs(u - 0.8) < 0.04) | (np.abs(v - 0.8) < 0.04)).astype(float) * 0.8
        return second * (line == 0), line
    if pattern == "dots":
        near = np.hypot(u % 0.5 - 0.25, v % 0.5 - 0.25)
        return (near < rng.uniform(0.09, 0.18)).astype(float), none
    if pattern == "camouflage":
        field = smooth_noise(TILE, 6, rng)
        return (field > 0.6).astype(float), (field < 0.35).astype(float)
    if pattern == "blocks":
        cells = rng.integers(0, 3, (4, 4)).repeat(TILE // 4, 0).repeat(TILE // 4, 1)
        return (cells == 1).astype(float), (cells == 2).astype(float)
    # gradient: there and back, so that the tile wraps
    return np.abs(2 * v - 1), none


def smooth_noise(size: int, cells: int, rng: np.random.Generator) -> Array:
    """(size, size) float64 noise in 0..1 with about `cells` bumps a side; opposite edges meet."""
    grid = rng.random((cells, cells))
    wrapped = np.pad(grid, 2, mode="wrap").astype(np.float32)
    step = size / cells
    where = (np.arange(size, dtype=np.float32) + 0.5) / step - 0.5 + 2
    x, y = np.meshgrid(where, where)
    field = cv2.remap(wrapped, x.astype(np.float32), y.astype(np.float32), cv2.INTER_CUBIC)
    low, high = float(field.min()), float(field.max())
    return np.asarray((field - low) / max(high - low, 1e-9), np.float64)


@lru_cache(maxsize=1)
def noise_tile() -> Array:
    """(256, 256) float32 fractal noise in 0..1, the same in every process; opposite edges meet."""
    rng = np.random.default_rng(20240229)
    total = np.zeros((NOISE, NOISE))
    for octave, cells in enumerate((4, 8, 16, 32, 64, 128)):
        total += smooth_noise(NOISE, cells, rng) * 0.62**octave
    low, high = np.percentile(total, (1, 99))
    return np.asarray(np.clip((total - low) / (high - low), 0.0, 1.0), np.float32)

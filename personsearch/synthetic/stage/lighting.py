"""Light of a scene: a sun or none, the sky, the light thrown back by the ground, and the sun's shadow map."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from personsearch.boxes import Array
from personsearch.synthetic.kernels.raster import rasterize

SHADOW_SIZE = 1536


@dataclass(frozen=True)
class Light:
    """Linear light; colours are (3,) and about 1."""

    to_sun: Array  # (3,) unit
    sun: Array
    sky: Array
    ground: Array

    def arrays(self, shadow: "ShadowMap", eye: Array) -> "LightArrays":
        """This light, its shadow map, and a camera at `eye` (3,)."""
        return LightArrays(np.stack([self.to_sun, self.sun, self.sky, self.ground, eye]), shadow.depth, shadow.frame)


@dataclass(frozen=True)
class ShadowMap:
    """Depth seen from the sun."""

    depth: Array  # (S, S) float32 metres; (1, 1) when nothing casts a shadow
    frame: Array  # (3, 4) world to column, row and depth


class LightArrays(NamedTuple):
    """Light and shadow map as compiled functions take them."""

    table: Array  # (5, 3) direction to the sun, its colour, the sky's, the ground's, and the camera's position
    shadow: Array  # (S, S) float32 depth seen from the sun; (1, 1) for none
    frame: Array  # (3, 4) world to shadow columns, rows and depth


NO_SHADOW = ShadowMap(np.zeros((1, 1), np.float32), np.zeros((3, 4)))


def draw_light(rng: np.random.Generator, *, indoors: bool = False) -> Light:
    """A random light: bright or overcast outdoors, lamps from above indoors."""
    tint = np.exp(rng.normal(0, 0.025, 3))
    overcast = rng.random() < 0.4
    strength = 0.0 if indoors else rng.uniform(0.0, 0.3) if overcast else rng.uniform(0.6, 1.9)
    elevation, around = np.radians(rng.uniform(18, 75)), rng.uniform(0, 2 * np.pi)
    if indoors:
        strength, elevation = rng.uniform(0.15, 0.4), np.radians(rng.uniform(65, 88))
    to_sun = np.array([np.cos(elevation) * np.sin(around), np.sin(elevation), np.cos(elevation) * np.cos(around)])
    warm = np.array([1.0, 0.95, 0.86]) ** rng.uniform(0.2, 2.0)
    sky = rng.uniform(0.55, 1.0) * np.array([0.93, 0.98, 1.06]) ** rng.uniform(0, 2)
    return Light(to_sun, strength * warm * tint, sky * tint, sky * rng.uniform(0.35, 0.6) * tint)


def shadow_map(light: Light, casters: list[tuple[Array, Array]], receivers: Array, size: int = SHADOW_SIZE) -> ShadowMap:
    """What the sun sees.

    Args:
        light: Gives the direction.
        casters: Meshes as (V, 3) metres and (T, 3) triangles.
        receivers: (N, 3) points whose surroundings the map must cover.
        size: Side of the map.
    """
    if not casters or not len(receivers) or light.sun.max() <= 0:
        return NO_SHADOW
    side = np.cross(light.to_sun, np.array([0.0, 0.0, 1.0]) if abs(light.to_sun[2]) < 0.9 else np.array([1.0, 0.0, 0.0]))
    side /= np.linalg.norm(side)
    axes = np.stack([side, np.cross(light.to_sun, side), -light.to_sun])
    placed = receivers @ axes.T
    low, high = placed[:, :2].min(axis=0) - 1.0, placed[:, :2].max(axis=0) + 1.0
    scale = size / (high - low)
    frame = np.concatenate([axes, np.zeros((3, 1))], axis=1)
    frame[:2] *= scale[:, None]
    frame[:2, 3] = -low * scale
    depth, nearest = np.full((size, size), np.inf, np.float32), np.empty((size, size), np.int32)
    for vertices, triangles in casters:
        rasterize(vertices @ frame[:, :3].T + frame[:, 3], triangles, depth, nearest)
    return ShadowMap(depth, frame)

"""Pinhole cameras hung as surveillance cameras are."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from personsearch.boxes import Array


class Pinhole(NamedTuple):
    """Position, direction and focal length of a camera; see `Camera`."""

    position: Array  # (3,)
    axes: Array  # (3, 3)
    focal: float  # pixels


@dataclass(frozen=True)
class Camera:
    """Where a camera is, where it looks and how wide; metres and pixels, y up, the ground at y = 0."""

    position: Array  # (3,)
    axes: Array  # (3, 3) rows: right, down and forward of the picture in the world
    focal: float  # pixels
    width: int
    height: int

    @property
    def pinhole(self) -> Pinhole:
        """The camera as compiled functions take it."""
        return Pinhole(self.position, self.axes, float(self.focal))

    def project(self, points: Array, scale: int = 1) -> Array:
        """(N, 3) x and y in pixels times `scale`, and -1 / depth, of (N, 3) world points in front of the camera."""
        seen = (points - self.position) @ self.axes.T
        depth = seen[:, 2]
        x = (seen[:, 0] / depth * self.focal + self.width / 2) * scale
        y = (seen[:, 1] / depth * self.focal + self.height / 2) * scale
        return np.stack([x, y, -1.0 / depth], axis=1)

    def rays(self, x: Array, y: Array) -> Array:
        """(N, 3) world directions through pixels, of depth 1 along the camera's axis."""
        across, down = (x - self.width / 2) / self.focal, (y - self.height / 2) / self.focal
        return np.asarray(across[:, None] * self.axes[0] + down[:, None] * self.axes[1] + self.axes[2])

    def on_ground(self, x: float, y: float) -> Array | None:
        """(3,) the ground point seen at a pixel; None at or above the horizon."""
        ray = self.rays(np.array([x]), np.array([y]))[0]
        if ray[1] > -1e-4:
            return None
        return np.asarray(self.position - ray * (self.position[1] / ray[1]))


def aim(position: Array, pitch: float, yaw: float, roll: float, *, field: float, width: int, height: int) -> Camera:
    """A camera that looks along +z at yaw 0, turned by angles in radians.

    Args:
        position: (3,) metres.
        pitch: Downwards.
        yaw: About the vertical, towards +x.
        roll: About the line of sight.
        field: Vertical field of view.
        width: Pixels.
        height: Pixels.
    """
    forward = np.array([np.sin(yaw) * np.cos(pitch), -np.sin(pitch), np.cos(yaw) * np.cos(pitch)])
    # with y up and the look along +z, the picture's right is the world's -x
    level_right = np.array([-np.cos(yaw), 0.0, np.sin(yaw)])
    level_down = np.cross(forward, level_right)
    right = np.cos(roll) * level_right + np.sin(roll) * level_down
    down = np.cos(roll) * level_down - np.sin(roll) * level_right
    return Camera(np.asarray(position, float), np.stack([right, down, forward]), height / 2 / np.tan(field / 2), width, height)


def draw_camera(width: int, height: int, rng: np.random.Generator) -> Camera:
    """A random camera: 2 to 6 m up, now and then at eye level, looking slightly down."""
    eye_level = rng.random() < 0.25
    up = rng.uniform(1.4, 2.0) if eye_level else rng.uniform(2.2, 6.0)
    field = np.radians(rng.uniform(28, 55))
    # the horizon lies in the upper third: people fill the rest
    horizon = rng.uniform(0.1, 0.42) if eye_level else rng.uniform(-0.1, 0.3)
    pitch = np.arctan((0.5 - horizon) * 2 * np.tan(field / 2))
    roll = float(rng.normal(0, np.radians(1.2)))
    return aim(np.array([0.0, up, 0.0]), float(pitch), 0.0, roll, field=float(field), width=width, height=height)

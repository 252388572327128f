"""Triangle meshes of a place's solids, which the sun's shadow map is drawn from."""

import numpy as np

from personsearch.boxes import Array
from personsearch.synthetic.stage import scenery as s


def solid_meshes(solids: Array) -> list[tuple[Array, Array]]:
    """(V, 3) metres and (T, 3) triangles of each row of (N, 17) solids."""
    meshes = []
    for row in solids:
        unit, triangles = _ball() if row[s.KIND] == s.ELLIPSOID else _prism(4 if row[s.KIND] == s.BOX else 12)
        meshes.append((unit * row[s.HALF : s.HALF + 3] + row[s.CENTER : s.CENTER + 3], triangles))
    return meshes


def _prism(sides: int) -> tuple[Array, Array]:
    """An upright prism in the unit cube; four sides make the cube itself."""
    angles = (np.arange(sides) + 0.5) * 2 * np.pi / sides
    reach = np.sqrt(2.0) if sides == 4 else 1.0
    x, z = reach * np.cos(angles), reach * np.sin(angles)
    rings = [np.stack([x, np.full(sides, y), z], axis=1) for y in (-1.0, 1.0)]
    a = np.arange(sides)
    b = (a + 1) % sides
    walls = np.concatenate([np.stack([a, b, a + sides], axis=1), np.stack([b, b + sides, a + sides], axis=1)])
    fan = np.stack([np.zeros(sides - 2, int), np.arange(1, sides - 1), np.arange(2, sides)], axis=1)
    return np.concatenate(rings), np.concatenate([walls, fan, fan + sides])


def _ball() -> tuple[Array, Array]:
    """A coarse unit sphere."""
    latitude, longitude = np.linspace(-np.pi / 2, np.pi / 2, 7), np.linspace(0, 2 * np.pi, 12, endpoint=False)
    ring, height = np.cos(latitude)[:, None], np.broadcast_to(np.sin(latitude)[:, None], (7, 12))
    vertices = np.stack([ring * np.cos(longitude), height, ring * np.sin(longitude)], axis=2).reshape(-1, 3)
    row, column = np.mgrid[0:6, 0:12]
    a, b = (row * 12 + column).ravel(), (row * 12 + (column + 1) % 12).ravel()
    return vertices, np.concatenate([np.stack([a, b, a + 12], axis=1), np.stack([b, b + 12, a + 12], axis=1)])

"""Places without people, built of boxes, ellipsoids and upright cylinders on a patterned ground."""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from personsearch.boxes import Array

BOX, ELLIPSOID, CYLINDER = range(3)
PLAIN, TILES, BRICKS, WINDOWS, PANELS, LEAVES, PATCHES, GOODS, ROAD = range(9)
# columns of a solid's row; a colour and a vector take three
KIND, CENTER, HALF, PATTERN, FIRST, SECOND, SCALE_U, SCALE_V, DIRT = 0, 1, 4, 7, 8, 11, 14, 15, 16
COLUMNS = 17
Tint = tuple[float, float, float]  # linear
PlaceKind = Literal["street", "square", "hall", "park"]
PLACES: tuple[PlaceKind, ...] = ("street", "square", "hall", "park")


@dataclass(frozen=True)
class Scenery:
    """Scenery without people, in metres; the camera is at x = z = 0 and looks along +z."""

    solids: Array  # (N, 17) float64
    ground: Array  # (2, 17): left and right of the ground's border; only pattern columns count
    border: tuple[float, float, float]  # cosine and sine of the border's direction, and where it runs
    indoors: bool


@dataclass
class _Builder:
    """Solids that are being collected."""

    rng: np.random.Generator
    rows: list[Array] = field(default_factory=list)

    def add(self, kind: int, center: Tint, half: Tint, color: Tint, pattern: int = PLAIN) -> Array:
        row = np.zeros(COLUMNS)
        row[KIND], row[CENTER : CENTER + 3], row[HALF : HALF + 3] = kind, center, half
        row[PATTERN], row[SCALE_U], row[SCALE_V], row[DIRT] = pattern, 1.0, 1.0, 0.3
        row[FIRST : FIRST + 3] = color
        row[SECOND : SECOND + 3] = np.array(color) * self.rng.uniform(0.4, 0.8)
        self.rows.append(row)
        return row


def draw_scenery(rng: np.random.Generator, *, clutter_only: bool = False) -> Scenery:
    """A random place; `clutter_only` leaves out walls, trees and cars, for use before a photograph."""
    place = PLACES[int(rng.choice(len(PLACES), p=(0.36, 0.26, 0.24, 0.14)))]
    build = _Builder(rng)
    if clutter_only:
        _clutter(build, int(rng.integers(0, 3)))
    elif place == "street":
        _street(build)
    elif place == "square":
        _square(build)
    elif place == "hall":
        _hall(build)
    else:
        _park(build)
    angle = rng.normal(0, 0.25) if place != "square" else rng.uniform(-1.5, 1.5)
    border = (float(np.cos(angle)), float(np.sin(angle)), float(rng.uniform(-6, 6) if place != "hall" else 99.0))
    solids = np.stack(build.rows) if build.rows else np.zeros((0, COLUMNS))
    return Scenery(solids, _ground(place, rng), border, place == "hall" and not clutter_only)


def _ground(place: PlaceKind, rng: np.random.Generator) -> Array:
    """Pattern rows of the two halves of the ground."""
    build = _Builder(rng)
    for half in range(2):
        grey = rng.uniform(0.08, 0.4)
        color = _near_grey(grey, rng, 0.12)
        pattern = int(rng.choice([TILES, PATCHES, PLAIN, BRICKS], p=(0.45, 0.3, 0.15, 0.1)))
        if place == "park" and half == 1:
            color, pattern = (0.06 * rng.uniform(0.8, 1.3), 0.11 * rng.uniform(0.8, 1.3), 0.03), PATCHES
        if place == "street" and half == 1:
            color, pattern = _near_grey(rng.uniform(0.06, 0.16), rng, 0.05), ROAD
        row = build.add(BOX, (0, 0, 0), (1, 1, 1), color, pattern)
        size = float(np.exp(rng.uniform(np.log(0.25), np.log(1.5))))
        row[SCALE_U], row[SCALE_V], row[DIRT] = size, size * rng.choice([1.0, 1.0, 2.0]), rng.uniform(0.4, 1.1)
        row[SECOND : SECOND + 3] = np.array(color) * rng.uniform(0.5, 1.35)
    return np.stack(build.rows)


def _near_grey(level: float, rng: np.random.Generator, spread: float) -> Tint:
    """A grey with a little colour, linear."""
    red, green, blue = (float(np.clip(level * np.exp(rng.normal(0, spread)), 0.02, 0.85)) for _ in range(3))
    return red, green, blue


def _wall(build: _Builder, x: float, z: float, half_x: float, half_z: float, height: float) -> None:
    """A building; its pattern is brick, windows, panels or a shop's front."""
    rng = build.rng
    pattern = int(rng.choice([WINDOWS, BRICKS, PANELS, PLAIN, TILES], p=(0.45, 0.2, 0.15, 0.1, 0.1)))
    # most walls are grey, sandy or brick red
    color = _near_grey(rng.uniform(0.1, 0.5), rng, 0.09)
    if pattern == BRICKS or rng.random() < 0.35:
        shade = rng.uniform(0.1, 0.45)
        color = (shade, shade * rng.uniform(0.5, 0.9), shade * rng.uniform(0.3, 0.7))
    row = build.add(BOX, (x, height / 2, z), (half_x, height / 2, half_z), color, pattern)
    row[SCALE_U], row[SCALE_V] = {WINDOWS: (2.2, 3.0), BRICKS: (0.5, 0.22), PANELS: (0.9, 3.0)}.get(pattern, (1.2, 0.8))
    row[[SCALE_U, SCALE_V]] *= rng.uniform(0.7, 1.4)
    row[SECOND : SECOND + 3] = _near_grey(rng.uniform(0.02, 0.2), rng, 0.12)
    if rng.random() < 0.5:  # a plinth or a shop window along the ground floor
        base = build.add(BOX, (x, 1.4, z), (half_x + 0.08, 1.4, half_z + 0.08), _near_grey(rng.uniform(0.05, 0.4), rng, 0.15), WINDOWS)
        base[SCALE_U], base[SCALE_V] = rng.uniform(1.5, 4.0), 2.8
        base[SECOND : SECOND + 3] = _near_grey(rng.uniform(0.01, 0.12), rng, 0.12)


def _street(build: _Builder) -> None:
    """Houses along one side, perhaps the other, a row of cars, trees and lamps."""
    rng = build.rng
    side = float(rng.choice([-1.0, 1.0]))
    near = rng.uniform(3.5, 9)
    z = -10.0
    while z < 70:
        length = rng.uniform(6, 18)
        _wall(build, side * (near + 5 + rng.uniform(0, 0.6)), z + length / 2, 5, length / 2, rng.uniform(6, 16))
        z += length
    if rng.random() < 0.6:
        _wall(build, -side * (near + rng.uniform(9, 16) + 5), 25, 5, 40, rng.uniform(6, 14))
    _wall(build, 0, rng.uniform(45, 80), 40, 4, rng.uniform(8, 20))
    line = -side * rng.uniform(4, 9)
    for k in range(int(rng.integers(0, 5))):
        _car(build, line, 9 + 6.2 * k + rng.uniform(-0.5, 0.5))
    for k in range(int(rng.integers(0, 4))):
        _tree(build, side * (near - 1.2), 8 + 9 * k + rng.uniform(-1, 1))
    _clutter(build, int(rng.integers(1, 5)))


def _square(build: _Builder) -> None:
    """Houses far away around an open ground with planters, benches and lamps."""
    rng = build.rng
    _wall(build, rng.uniform(-15, 15), rng.uniform(28, 50) + 5, 30, 5, rng.uniform(7, 18))
    for side in (-1.0, 1.0):
        if rng.random() < 0.7:
            _wall(build, side * (rng.uniform(9, 20) + 5), 25, 5, rng.uniform(12, 30), rng.uniform(6, 15))
    for _ in range(int(rng.integers(0, 4))):
        _tree(build, rng.uniform(-12, 12), rng.uniform(12, 30))
    for _ in range(int(rng.integers(0, 2))):
        _car(build, rng.uniform(-12, 12), rng.uniform(18, 32))
    _clutter(build, int(rng.integers(2, 7)))


def _hall(build: _Builder) -> None:
    """A room with a ceiling, pillars and shelves or counters."""
    rng = build.rng
    half, depth, height = rng.uniform(6, 13), rng.uniform(18, 40), rng.uniform(6.5, 9)
    for x in (-half - 0.5, half + 0.5):
        _wall(build, x, depth / 2, 0.5, depth / 2 + 5, height)
    _wall(build, 0, depth + 0.5, half + 2, 0.5, height)
    ceiling = build.add(BOX, (0, height + 0.3, depth / 2), (half + 2, 0.3, depth), _near_grey(0.6, rng, 0.05), TILES)
    ceiling[SCALE_U] = ceiling[SCALE_V] = rng.uniform(0.6, 2.0)
    spacing = rng.uniform(5, 9)
    if rng.random() < 0.6:
        color = _near_grey(rng.uniform(0.2, 0.6), rng, 0.1)
        for k in range(1, int(depth / spacing)):
            for x in (-half * 0.5, half * 0.5):
                radius = 0.35
                build.add(CYLINDER, (x, height / 2, k * spacing + 2), (radius, height / 2, radius), color)
    for _ in range(int(rng.integers(0, 5))):
        x, z = rng.uniform(-half, half), rng.uniform(9, depth)
        shelf = build.add(BOX, (x, 0.9, z), (rng.uniform(0.4, 2.2), 0.9, 0.35), _near_grey(0.3, rng, 0.3), GOODS)
        shelf[SCALE_U] = shelf[SCALE_V] = rng.uniform(0.15, 0.4)
    _clutter(build, int(rng.integers(0, 4)))


def _park(build: _Builder) -> None:
    """Trees, hedges and a wall of leaves behind."""
    rng = build.rng
    hedge = build.add(BOX, (0, 2.0, rng.uniform(35, 60)), (60, rng.uniform(1.5, 5), 2), (0.05, 0.1, 0.03), LEAVES)
    hedge[SECOND : SECOND + 3] = (0.015, 0.03, 0.01)
    for _ in range(int(rng.integers(4, 12))):
        _tree(build, rng.uniform(-18, 18), rng.uniform(10, 34))
    _clutter(build, int(rng.integers(1, 5)))


def _tree(build: _Builder, x: float, z: float) -> None:
    rng = build.rng
    height, thick = rng.uniform(2.2, 3.5), rng.uniform(0.1, 0.25)
    build.add(CYLINDER, (x, height / 2, z), (thick, height / 2, thick), (0.08, 0.06, 0.045))
    green = (0.05 * rng.uniform(0.7, 1.8), 0.1 * rng.uniform(0.7, 1.4), 0.03)
    for _ in range(int(rng.integers(3, 6))):
        size = rng.uniform(0.8, 1.6)
        center = (x + rng.normal(0, 0.7), height + rng.uniform(0.2, 1.8), z + rng.normal(0, 0.7))
        build.add(ELLIPSOID, center, (size, size * 0.8, size), green, LEAVES)


def _car(build: _Builder, x: float, z: float) -> None:
    """A car along z: body, bonnet line, dark windows, roof and four wheels."""
    rng = build.rng
    color = _near_grey(rng.uniform(0.02, 0.7), rng, 0.05 if rng.random() < 0.75 else 0.6)
    build.add(BOX, (x, 0.58, z), (0.88, 0.3, 2.15), color)
    build.add(BOX, (x, 0.85, z - 0.1), (0.84, 0.12, 1.6), color)
    build.add(BOX, (x, 1.15, z - 0.25), (0.74, 0.2, 1.15), (0.025, 0.03, 0.035))
    build.add(BOX, (x, 1.37, z - 0.3), (0.7, 0.05, 0.95), color)
    for wheel_x in (-0.8, 0.8):
        for wheel_z in (-1.3, 1.35):
            build.add(ELLIPSOID, (x + wheel_x, 0.32, z + wheel_z), (0.14, 0.32, 0.32), (0.02, 0.02, 0.02))


def _clutter(build: _Builder, count: int) -> None:
    """Things that people walk behind: bins, bollards, poles, planters, benches and signs."""
    rng = build.rng
    for _ in range(count):
        z = rng.uniform(5, 22)
        x = rng.uniform(-0.4, 0.4) * z
        color = _near_grey(rng.uniform(0.03, 0.4), rng, 0.1 if rng.random() < 0.7 else 0.6)
        kind = rng.choice(["bin", "bollard", "pole", "planter", "bench", "sign"])
        if kind == "bin":
            build.add(CYLINDER, (x, 0.5, z), (0.28, 0.5, 0.28), color)
        elif kind == "bollard":
            for k in range(int(rng.integers(2, 6))):
                build.add(CYLINDER, (x + 1.5 * k, 0.45, z), (0.08, 0.45, 0.08), color)
        elif kind == "pole":
            build.add(CYLINDER, (x, 2.5, z), (0.07, 2.5, 0.07), color)
        elif kind == "planter":
            build.add(BOX, (x, 0.3, z), (0.8, 0.3, 0.5), color, TILES)
            build.add(ELLIPSOID, (x, 0.8, z), (0.7, 0.45, 0.45), (0.05, 0.11, 0.03), LEAVES)
        elif kind == "bench":
            build.add(BOX, (x, 0.42, z), (0.9, 0.05, 0.22), (0.2, 0.12, 0.06), PANELS)
            build.add(BOX, (x, 0.2, z), (0.75, 0.18, 0.12), color)
        else:
            sign = build.add(BOX, (x, 1.1, z), (rng.uniform(0.3, 0.7), 0.9, 0.05), color, GOODS)
            sign[SCALE_U] = sign[SCALE_V] = rng.uniform(0.2, 0.6)
            sign[SECOND : SECOND + 3] = _near_grey(rng.uniform(0.1, 0.7), rng, 0.5)

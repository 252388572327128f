"""The colour of a person's surface at each sample, from material, pattern and light."""

from typing import NamedTuple

import numpy as np

from personsearch.boxes import Array
from personsearch.synthetic.body import anatomy
from personsearch.synthetic.kernels.jit import compiled
from personsearch.synthetic.people import materials as m
from personsearch.synthetic.stage.lighting import LightArrays

# numba bakes module constants in; names without a dot are what it accepts everywhere
_SKIN, _CLOTH, _HAIR, _SOLID = m.KIND_SKIN, m.KIND_CLOTH, m.KIND_HAIR, m.KIND_SOLID
_KIND, _PERIOD, _ARM_END, _LEG_END, _SPLIT_Y, _OPENING = m.KIND, m.PERIOD, m.ARM_END, m.LEG_END, m.SPLIT_Y, m.OPENING
_LOGO_X, _LOGO_Y, _LOGO_SIZE, _STRAPS, _GLOSS, _FOLDS, _SOLE_Y = m.LOGO_X, m.LOGO_Y, m.LOGO_SIZE, m.STRAPS, m.GLOSS, m.FOLDS, m.SOLE_Y
_SLEEVES, _BEARD, _NECK_Y, _WAIST_Y, _ARM_RADIUS, _LEG_RADIUS = m.SLEEVES, m.BEARD, m.NECK_Y, m.WAIST_Y, m.ARM_RADIUS, m.LEG_RADIUS
_BASE, _UNDER, _SPLIT, _INNER, _LOGO, _STRAP, _SLEEVE, _HAIRY = (
    m.BASE_COLOR, m.UNDER_COLOR, m.SPLIT_COLOR, m.INNER_COLOR, m.LOGO_COLOR, m.STRAP_COLOR, m.SLEEVE_COLOR, m.HAIR_COLOR,
)  # fmt: skip
_EYE_X, _EYE_Y, _EYE_Z = m.EYE_X, m.EYE_Y, m.EYE_Z
_TWO_STRAPS, _SLING = m.TWO_STRAPS, m.SLING
_TORSO, _ARM, _LEG, _HEAD, _SKIRT = anatomy.TORSO, anatomy.ARM, anatomy.LEG, anatomy.HEAD, anatomy.SKIRT
# rows of a light: see lighting.py
_SUN, _SUN_COLOR, _SKY_COLOR, _GROUND_COLOR, _EYE = range(5)


class ScreenMesh(NamedTuple):
    """The mesh of one posed person, in front of a camera."""

    screen: Array  # (V, 3) as `rasterize` takes it, the third -1 / distance
    world: Array  # (V, 3) metres
    normals: Array  # (V, 3) unit
    flat: Array  # (V, 3) points on the unmorphed body, dm
    limb: Array  # (V, 3) limb coordinates, dm
    triangles: Array  # (T, 3)
    material: Array  # (T,) row of the material table
    part: Array  # (T,) part of the body


class MaterialTables(NamedTuple):
    """The materials and patterns of one person."""

    rows: Array  # (M, 46) float32, see materials.py
    tiles: Array  # (M, 64, 64, 3) float32 patterns
    noise: Array  # (256, 256) float32, 0..1


@compiled
def shade(mesh: ScreenMesh, tables: MaterialTables, lighting: LightArrays, nearest: Array, color: Array) -> None:
    """Fill `color` where a triangle was drawn, in place; linear light.

    Args:
        mesh: vertices and triangles.
        tables: materials.
        lighting: light and shadow map.
        nearest: (H, W) int32 triangles, -1 where none.
        color: (H, W, 3) float32.
    """
    screen, world, normals, flat, limb, triangles = mesh.screen, mesh.world, mesh.normals, mesh.flat, mesh.limb, mesh.triangles
    rows, tiles, noise = tables.rows, tables.tiles, tables.noise
    light, shadow, shadow_frame = lighting.table, lighting.shadow, lighting.frame
    height, width = nearest.shape
    point, normal, flat_point, way = np.zeros(3), np.zeros(3), np.zeros(3), np.zeros(3)
    for row in range(height):
        for column in range(width):
            t = nearest[row, column]
            if t < 0:
                continue
            a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
            wa, wb, wc = _corner_weights(screen, a, b, c, column + 0.5, row + 0.5)
            for axis in range(3):
                point[axis] = wa * world[a, axis] + wb * world[b, axis] + wc * world[c, axis]
                normal[axis] = wa * normals[a, axis] + wb * normals[b, axis] + wc * normals[c, axis]
                flat_point[axis] = wa * flat[a, axis] + wb * flat[b, axis] + wc * flat[c, axis]
                way[axis] = wa * limb[a, axis] + wb * limb[b, axis] + wc * limb[c, axis]
            surface = rows[mesh.material[t]]
            part = mesh.part[t]
            u, v = _texture_place(part, flat_point, way, surface)
            red, green, blue = _albedo(surface, tiles[mesh.material[t]], noise, part, flat_point, way, u, v)
            _bend(normal, noise, u, v, surface[_FOLDS])
            _face_camera(normal, point, light)
            lit = shadow_share(shadow, shadow_frame, point[0], point[1], point[2], 0.04)
            sun = max(0.0, normal[0] * light[_SUN, 0] + normal[1] * light[_SUN, 1] + normal[2] * light[_SUN, 2]) * lit
            shine = surface[_GLOSS] * _highlight(normal, point, light) * lit
            up = 0.5 + 0.5 * normal[1]
            # the nearer to the ground, the less sky is seen
            open_sky = min(1.0, 0.62 + 0.3 * point[1])
            for channel, albedo in ((0, red), (1, green), (2, blue)):
                ambient = light[_SKY_COLOR, channel] * up + light[_GROUND_COLOR, channel] * (1.0 - up)
                sunlight = light[_SUN_COLOR, channel]
                color[row, column, channel] = albedo * (ambient * open_sky + sunlight * sun) + shine * sunlight


@compiled
def shadow_share(shadow: Array, frame: Array, x: float, y: float, z: float, bias: float) -> float:
    """How much of the sun a point sees, 0..1: the mean of four looks into the shadow map."""
    size = shadow.shape[0]
    if size <= 1:
        return 1.0
    column = frame[0, 0] * x + frame[0, 1] * y + frame[0, 2] * z + frame[0, 3]
    row = frame[1, 0] * x + frame[1, 1] * y + frame[1, 2] * z + frame[1, 3]
    depth = frame[2, 0] * x + frame[2, 1] * y + frame[2, 2] * z + frame[2, 3]
    seen = 0
    for down in range(2):
        for right in range(2):
            i, j = int(np.floor(row - 0.5)) + down, int(np.floor(column - 0.5)) + right
            if i < 0 or j < 0 or i >= size or j >= size or shadow[i, j] >= depth - bias:
                seen += 1
    return seen / 4.0


@compiled
def _corner_weights(screen: Array, a: int, b: int, c: int, x: float, y: float) -> tuple[float, float, float]:
    """Perspective-correct shares of a triangle's corners at a sample."""
    ax, ay, bx, by, cx, cy = screen[a, 0], screen[a, 1], screen[b, 0], screen[b, 1], screen[c, 0], screen[c, 1]
    area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
    wa = ((bx - x) * (cy - y) - (by - y) * (cx - x)) / area * screen[a, 2]
    wb = ((cx - x) * (ay - y) - (cy - y) * (ax - x)) / area * screen[b, 2]
    wc = ((ax - x) * (by - y) - (ay - y) * (bx - x)) / area * screen[c, 2]
    total = wa + wb + wc
    return wa / total, wb / total, wc / total


@compiled
def _texture_place(part: int, flat_point: Array, way: Array, surface: Array) -> tuple[float, float]:
    """Dm around and along a part of the body.

    Around limbs the way is an angle times a fixed radius with a whole number of repeats per turn, so no seam
    shows. Around the torso it is |x| - 0.3 z: roughly the way around a box, mirrored left and right, which neither
    fans out at the collar nor has a seam.
    """
    if part in (_ARM, _LEG):
        radius = surface[_ARM_RADIUS] if part == _ARM else surface[_LEG_RADIUS]
        period = max(surface[_PERIOD], 0.01)
        turns = max(1.0, np.round(6.2832 * radius / period))
        return np.arctan2(way[1], way[0]) / 6.2832 * turns * period, way[2]
    if part == _SKIRT:
        period = max(surface[_PERIOD], 0.01)
        turns = max(1.0, np.round(9.0 / period))
        return np.arctan2(flat_point[0], flat_point[2]) / 6.2832 * turns * period, -flat_point[1]
    return abs(flat_point[0]) - 0.3 * flat_point[2], -flat_point[1]


@compiled
def _albedo(
    surface: Array, tile: Array, noise: Array, part: int, flat_point: Array, way: Array, u: float, v: float
) -> tuple[float, float, float]:
    """The colour of the surface itself."""
    kind = surface[_KIND]
    if kind == _CLOTH:
        return _cloth(surface, tile, noise, part, flat_point, way, u, v)
    if kind == _SKIN:
        return _skin(surface, noise, part, flat_point)
    base = _BASE
    gain = 1.0
    if kind == _HAIR:
        strands = noise[int(flat_point[1] * 9.0) & 255, int(np.arctan2(flat_point[0], flat_point[2]) * 160.0) & 255]
        gain = 0.45 + 1.1 * strands
    elif kind == _SOLID:
        if flat_point[1] < surface[_SOLE_Y]:
            base = _UNDER
        gain = 0.8 + 0.35 * noise[int(v * 40.0) & 255, int(u * 40.0) & 255]
    else:
        # the iris looks ahead
        away = np.hypot(abs(flat_point[0]) - surface[_EYE_X], flat_point[1] - surface[_EYE_Y])
        gain = 0.05 if away < 0.07 else 1.0
    return surface[base] * gain, surface[base + 1] * gain, surface[base + 2] * gain


@compiled
def _skin(surface: Array, noise: Array, part: int, flat_point: Array) -> tuple[float, float, float]:
    """Skin with brows, lips, beard and a little redness, placed from the eyes."""
    base = _UNDER if part == _LEG else _BASE
    red, green, blue = surface[base], surface[base + 1], surface[base + 2]
    gain = 0.92 + 0.16 * noise[int(flat_point[1] * 30.0) & 255, int(flat_point[0] * 30.0) & 255]
    red, green, blue = red * gain, green * gain, blue * gain
    if part != _HEAD or flat_point[2] < surface[_EYE_Z] - 1.2:
        return red, green, blue
    across, above = abs(flat_point[0]), flat_point[1] - surface[_EYE_Y]
    hair = 0.0
    if flat_point[2] > surface[_EYE_Z] - 0.6:
        if 0.14 < above < 0.26 and 0.1 < across < 0.55:
            hair = 0.75
        elif abs(above + 0.72) < 0.09 and across < 0.24 - abs(above + 0.72):
            return red * 0.75, green * 0.45, blue * 0.45
    if above < -0.5 and surface[_BEARD] > 0.0:
        hair = surface[_BEARD] * min(1.0, (-0.5 - above) * 6.0)
    keep = 1.0 - hair
    return red * keep + surface[_HAIRY] * hair, green * keep + surface[_HAIRY + 1] * hair, blue * keep + surface[_HAIRY + 2] * hair


@compiled
def _cloth(
    surface: Array, tile: Array, noise: Array, part: int, flat_point: Array, way: Array, u: float, v: float
) -> tuple[float, float, float]:
    """Cloth: its pattern, and what is sewn, printed or worn on it."""
    dirt = 0.9 + 0.2 * noise[int(v * 23.0) & 255, int(u * 23.0) & 255]
    if (part == _ARM and way[2] > surface[_ARM_END]) or (part == _LEG and way[2] > surface[_LEG_END]):
        return surface[_UNDER], surface[_UNDER + 1], surface[_UNDER + 2]
    base = _cloth_detail(surface, part, flat_point)
    if base >= 0:
        return surface[base] * dirt, surface[base + 1] * dirt, surface[base + 2] * dirt
    size = tile.shape[0]
    i = int(np.floor(v / surface[_PERIOD] * size)) % size
    j = int(np.floor(u / surface[_PERIOD] * size)) % size
    # the edge of an open jacket is darker
    edge = surface[_OPENING] > 0.0 and part == _TORSO and flat_point[2] > 0.2 and abs(abs(flat_point[0]) - surface[_OPENING]) < 0.1
    if edge:
        dirt *= 0.6
    return tile[i, j, 0] * dirt, tile[i, j, 1] * dirt, tile[i, j, 2] * dirt


@compiled
def _cloth_detail(surface: Array, part: int, flat_point: Array) -> int:
    """The column of the colour that covers the pattern here, or -1."""
    if part == _ARM:
        return _SLEEVE if surface[_SLEEVES] > 0.0 else -1
    if part != _TORSO:
        return -1
    front = flat_point[2] > 0.2
    across, height = flat_point[0], flat_point[1]
    if surface[_STRAPS] == _TWO_STRAPS and front and 0.62 < abs(across) < 0.98 and height > surface[_NECK_Y] - 3.2:
        return _STRAP
    if surface[_STRAPS] == _SLING:
        # from the right shoulder to the left hip
        line = (across + 1.0) / 2.6 - (surface[_NECK_Y] - 0.4 - height) / (surface[_NECK_Y] - surface[_WAIST_Y])
        if abs(line) < 0.06:
            return _STRAP
    # lapels open wider at the top
    wide = surface[_OPENING] * (0.6 + 0.8 * (height - surface[_WAIST_Y]) / (surface[_NECK_Y] - surface[_WAIST_Y]))
    if surface[_OPENING] > 0.0 and front and abs(across) < wide:
        return _INNER
    if front and abs(across - surface[_LOGO_X]) < surface[_LOGO_SIZE] and abs(height - surface[_LOGO_Y]) < 0.7 * surface[_LOGO_SIZE]:
        return _LOGO
    return _SPLIT if height > surface[_SPLIT_Y] else -1


@compiled
def _bend(normal: Array, noise: Array, u: float, v: float, folds: float) -> None:
    """Tilt the normal as wrinkles of the cloth would, in place."""
    if folds <= 0.0:
        return
    i, j = int(np.floor(v * 14.0)) & 255, int(np.floor((u + 0.35 * v) * 22.0)) & 255
    down, right = (i + 4) & 255, (j + 4) & 255
    slope_u, slope_v = noise[i, right] - noise[i, j], noise[down, j] - noise[i, j]
    # the horizontal tangent; straight up there is none, and the cloth stays smooth
    length = np.hypot(normal[0], normal[2])
    if length > 0.2:
        normal[0] += folds * 0.9 * slope_u * normal[2] / length
        normal[2] -= folds * 0.9 * slope_u * normal[0] / length
        normal[1] += folds * 0.7 * slope_v


@compiled
def _face_camera(normal: Array, point: Array, light: Array) -> None:
    """Unit length, and towards the camera: clothes are open surfaces and both sides are seen."""
    length = np.sqrt(normal[0] ** 2 + normal[1] ** 2 + normal[2] ** 2) + 1e-12
    toward = 0.0
    for axis in range(3):
        normal[axis] /= length
        toward += normal[axis] * (light[_EYE, axis] - point[axis])
    if toward < 0.0:
        for axis in range(3):
            normal[axis] = -normal[axis]


@compiled
def _highlight(normal: Array, point: Array, light: Array) -> float:
    """Blinn's highlight of the sun, exponent 16."""
    dot, length, view = 0.0, 0.0, 0.0
    for axis in range(3):
        view += (light[_EYE, axis] - point[axis]) ** 2
    view = np.sqrt(view)
    for axis in range(3):
        half = light[_SUN, axis] + (light[_EYE, axis] - point[axis]) / view
        dot += half * normal[axis]
        length += half * half
    return float(max(0.0, dot / np.sqrt(length + 1e-12)) ** 16)

"""A place without people seen by a camera: colour, normal and depth of every pixel."""

from typing import NamedTuple

import numpy as np

from personsearch.boxes import Array
from personsearch.synthetic.kernels.jit import compiled
from personsearch.synthetic.kernels.textures import noise_tile
from personsearch.synthetic.paint.shading import shadow_share
from personsearch.synthetic.stage import scenery as s
from personsearch.synthetic.stage.camera import Camera, Pinhole
from personsearch.synthetic.stage.lighting import LightArrays
from personsearch.synthetic.stage.scenery import Scenery

SKY, GROUND, SOLID = range(3)
FAR = 1e6
_KIND, _CENTER, _HALF, _PATTERN = s.KIND, s.CENTER, s.HALF, s.PATTERN
_FIRST, _SECOND, _SCALE_U, _SCALE_V, _DIRT = s.FIRST, s.SECOND, s.SCALE_U, s.SCALE_V, s.DIRT
_BOX, _ELLIPSOID = s.BOX, s.ELLIPSOID
_TILES, _BRICKS, _WINDOWS, _PANELS, _LEAVES, _PATCHES, _GOODS, _ROAD = (
    s.TILES, s.BRICKS, s.WINDOWS, s.PANELS, s.LEAVES, s.PATCHES, s.GOODS, s.ROAD,
)  # fmt: skip


class Backdrop(NamedTuple):
    """What a camera sees of the scenery before people enter it, in any light."""

    albedo: Array  # (H, W, 3) float32 linear
    normal: Array  # (H, W, 3) float32 unit
    depth: Array  # (H, W) float32 metres along the camera's axis, FAR for the sky
    kind: Array  # (H, W) int8: SKY, GROUND or SOLID
    open_sky: Array  # (H, W) float32, 0..1: less near a solid


def look(camera: Camera, scenery: Scenery) -> Backdrop:
    """Cast one ray through every pixel."""
    size = (camera.height, camera.width)
    albedo, normal = np.zeros((*size, 3), np.float32), np.zeros((*size, 3), np.float32)
    depth, kind, open_sky = np.full(size, FAR, np.float32), np.zeros(size, np.int8), np.ones(size, np.float32)
    solids, border = _in_sight(camera, scenery.solids), np.array(scenery.border)
    backdrop = Backdrop(albedo, normal, depth, kind, open_sky)
    _cast(camera.pinhole, solids, _windows(camera, solids), scenery.ground, border, noise_tile(), backdrop)
    return backdrop


def _in_sight(camera: Camera, solids: Array) -> Array:
    """The solids whose bounding sphere, 1.5 m wider for the dark ground around them, meets the cone of view."""
    offset = solids[:, s.CENTER : s.CENTER + 3] - camera.position
    radius = np.linalg.norm(solids[:, s.HALF : s.HALF + 3], axis=1) + 1.5
    distance = np.linalg.norm(offset, axis=1)
    half_view = np.arctan(np.hypot(camera.width, camera.height) / 2 / camera.focal)
    angle = np.arccos(np.clip(offset @ camera.axes[2] / np.maximum(distance, 1e-9), -1, 1))
    around = np.arcsin(np.clip(radius / np.maximum(distance, 1e-9), 0, 1))
    return np.asarray(solids[(distance <= radius) | (angle < half_view + around)])


def _windows(camera: Camera, solids: Array) -> Array:
    """(N, 4) first and last column and row of the pixels that may see each solid; all of them when it reaches behind the camera."""
    windows = np.tile([0.0, camera.width, 0.0, camera.height], (len(solids), 1))
    signs = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)])
    corners = solids[:, None, s.CENTER : s.CENTER + 3] + signs * solids[:, None, s.HALF : s.HALF + 3]  # (N, 8, 3)
    ahead = (((corners - camera.position) @ camera.axes[2]) > 0.1).all(axis=1)
    if ahead.any():
        seen = camera.project(corners[ahead].reshape(-1, 3)).reshape(-1, 8, 3)
        low, high = np.floor(seen.min(axis=1)), np.ceil(seen.max(axis=1))
        windows[ahead] = np.stack([low[:, 0], high[:, 0], low[:, 1], high[:, 1]], axis=1)
    return windows


@compiled
def light_backdrop(pinhole: Pinhole, backdrop: Backdrop, lighting: LightArrays, feet: Array, color: Array) -> None:
    """Fill `color` (H, W, 3) with the lit backdrop, in place.

    Args:
        pinhole: camera.
        backdrop: scenery that it sees.
        lighting: light and shadow map.
        feet: (M, 3) x, z and radius of what touches the ground: a soft dark spot each.
        color: (H, W, 3) float32.
    """
    position, axes, focal = pinhole.position, pinhole.axes, pinhole.focal
    albedo, normal, depth, kind, open_sky = backdrop.albedo, backdrop.normal, backdrop.depth, backdrop.kind, backdrop.open_sky
    light, shadow, shadow_frame = lighting.table, lighting.shadow, lighting.frame
    height, width = depth.shape
    point = np.zeros(3)
    for row in range(height):
        for column in range(width):
            across, down = (column + 0.5 - width / 2) / focal, (row + 0.5 - height / 2) / focal
            if kind[row, column] == SKY:
                gradient = 1.15 - 0.25 * min(1.0, max(0.0, -down))
                for channel in range(3):
                    color[row, column, channel] = light[2, channel] * gradient
                continue
            far = depth[row, column]
            for axis in range(3):
                point[axis] = position[axis] + far * (across * axes[0, axis] + down * axes[1, axis] + axes[2, axis])
            x, y, z = point[0], point[1], point[2]
            facing = 0.0
            for axis in range(3):
                facing += normal[row, column, axis] * light[0, axis]
            sun = 0.0
            if facing > 0.0 and light[1, 0] > 0.0:
                sun = facing * shadow_share(shadow, shadow_frame, x, y, z, 0.06)
            sky = open_sky[row, column]
            if kind[row, column] == GROUND:
                for k in range(feet.shape[0]):
                    near = ((x - feet[k, 0]) ** 2 + (z - feet[k, 1]) ** 2) / (feet[k, 2] * feet[k, 2])
                    if near < 9.0:
                        sky *= 1.0 - 0.5 * np.exp(-near)
            up = 0.5 + 0.5 * normal[row, column, 1]
            for channel in range(3):
                ambient = (light[2, channel] * up + light[3, channel] * (1.0 - up)) * sky
                color[row, column, channel] = albedo[row, column, channel] * (ambient + light[1, channel] * sun)


@compiled
def _cast(pinhole: Pinhole, solids: Array, windows: Array, ground: Array, border: Array, noise: Array, backdrop: Backdrop) -> None:
    """Fill the arrays of a backdrop, in place."""
    position, axes, focal = pinhole.position, pinhole.axes, pinhole.focal
    albedo, normal, depth, kind, open_sky = backdrop.albedo, backdrop.normal, backdrop.depth, backdrop.kind, backdrop.open_sky
    height, width = depth.shape
    ray, hit, out = np.zeros(3), np.zeros(3), np.zeros(3)
    for row in range(height):
        for column in range(width):
            across, down = (column + 0.5 - width / 2) / focal, (row + 0.5 - height / 2) / focal
            for axis in range(3):
                ray[axis] = across * axes[0, axis] + down * axes[1, axis] + axes[2, axis]
            best, which = FAR, -1
            if ray[1] < -1e-5:
                best = -position[1] / ray[1]
            for k in range(solids.shape[0]):
                if not (windows[k, 0] <= column <= windows[k, 1] and windows[k, 2] <= row <= windows[k, 3]):
                    continue
                distance = _meet(solids[k], position, ray, out)
                if 0.3 < distance < best:
                    best, which = distance, k
                    normal[row, column, 0], normal[row, column, 1], normal[row, column, 2] = out[0], out[1], out[2]
            if best > 400.0 and which < 0:
                continue
            depth[row, column] = best
            for axis in range(3):
                hit[axis] = position[axis] + best * ray[axis]
            if which < 0:
                kind[row, column] = GROUND
                normal[row, column, 1] = 1.0
                _paint_ground(ground, border, noise, hit, best, albedo[row, column])
                open_sky[row, column] = _open_sky(solids, hit[0], hit[2])
            else:
                kind[row, column] = SOLID
                u, v = _surface_place(solids[which], hit, normal[row, column])
                _paint(solids[which], noise, u, v, best, albedo[row, column])
                open_sky[row, column] = min(1.0, 0.65 + 0.2 * hit[1])


@compiled
def _meet(solid: Array, position: Array, ray: Array, out: Array) -> float:
    """Distance along the ray to a solid, negative for none; `out` gets the surface's normal."""
    kind = solid[_KIND]
    px, py, pz = position[0] - solid[_CENTER], position[1] - solid[_CENTER + 1], position[2] - solid[_CENTER + 2]
    hx, hy, hz = solid[_HALF], solid[_HALF + 1], solid[_HALF + 2]
    if kind == _BOX:
        return _meet_box(px, py, pz, ray, hx, hy, hz, out)
    # ellipsoid and cylinder: a quadratic in the distance, scaled to the unit sphere or circle
    lift = 1.0 / hy if kind == _ELLIPSOID else 0.0
    dx, dy, dz, ox, oy, oz = ray[0] / hx, ray[1] * lift, ray[2] / hz, px / hx, py * lift, pz / hz
    a, b, c = dx * dx + dy * dy + dz * dz, dx * ox + dy * oy + dz * oz, ox * ox + oy * oy + oz * oz - 1.0
    inside = b * b - a * c
    if inside <= 0.0:
        return -1.0
    distance = (-b - np.sqrt(inside)) / a
    if kind != _ELLIPSOID and abs(py + distance * ray[1]) > hy:
        cap = (hy - py) / ray[1] if ray[1] < 0 else -1.0
        if cap > 0 and (px + cap * ray[0]) ** 2 / (hx * hx) + (pz + cap * ray[2]) ** 2 / (hz * hz) < 1.0:
            out[0], out[1], out[2] = 0.0, 1.0, 0.0
            return cap
        return -1.0
    out[0], out[1], out[2] = (ox + distance * dx) / hx, (oy + distance * dy) * lift, (oz + distance * dz) / hz
    length = np.sqrt(out[0] ** 2 + out[1] ** 2 + out[2] ** 2)
    for axis in range(3):
        out[axis] /= length
    return float(distance)


@compiled
def _meet_box(px: float, py: float, pz: float, ray: Array, hx: float, hy: float, hz: float, out: Array) -> float:
    """Slab test of a box around the origin."""
    near, far, side = -FAR, FAR, 0
    for axis in range(3):
        p = px if axis == 0 else py if axis == 1 else pz
        h = hx if axis == 0 else hy if axis == 1 else hz
        if abs(ray[axis]) < 1e-12:
            if abs(p) > h:
                return -1.0
            continue
        low, high = (-h - p) / ray[axis], (h - p) / ray[axis]
        if low > high:
            low, high = high, low
        if low > near:
            near, side = low, axis
        far = min(far, high)
    if near > far or near < 0.0:
        return -1.0
    out[0], out[1], out[2] = 0.0, 0.0, 0.0
    out[side] = -1.0 if ray[side] > 0 else 1.0
    return near


@compiled
def _open_sky(solids: Array, x: float, z: float) -> float:
    """Darker ground near a solid."""
    share = 1.0
    for k in range(solids.shape[0]):
        if solids[k, _CENTER + 1] - solids[k, _HALF + 1] > 0.5:
            continue
        dx = max(0.0, abs(x - solids[k, _CENTER]) - solids[k, _HALF])
        dz = max(0.0, abs(z - solids[k, _CENTER + 2]) - solids[k, _HALF + 2])
        if dx + dz < 1.5:
            share = min(share, 1.0 - 0.55 * np.exp(-np.hypot(dx, dz) / 0.35))
    return share


@compiled
def _surface_place(solid: Array, hit: Array, normal: Array) -> tuple[float, float]:
    """Metres across and up on a solid's surface."""
    if solid[_KIND] != _BOX:
        angle = np.arctan2(hit[0] - solid[_CENTER], hit[2] - solid[_CENTER + 2])
        return angle * solid[_HALF], hit[1]
    if abs(normal[1]) > 0.5:
        return hit[0], hit[2]
    return (hit[2] if abs(normal[0]) > 0.5 else hit[0]), hit[1]


@compiled
def _paint_ground(ground: Array, border: Array, noise: Array, hit: Array, distance: float, color: Array) -> None:
    """The ground's colour: two surfaces and a kerb between them."""
    u = hit[0] * border[0] + hit[2] * border[1]
    v = hit[2] * border[0] - hit[0] * border[1]
    side = u - border[2]
    if abs(side) < 0.12:
        for channel in range(3):
            color[channel] = 0.3
        return
    _paint(ground[1 if side > 0 else 0], noise, side, v, distance, color)


@compiled
def _paint(surface: Array, noise: Array, u: float, v: float, distance: float, color: Array) -> None:
    """A surface's colour at a place on it; fine patterns fade with distance so that they do not flicker."""
    second, gain = _pattern(int(surface[_PATTERN]), noise, u / surface[_SCALE_U], v / surface[_SCALE_V], u, v)
    fade = 1.0 / (1.0 + (distance / (40.0 * max(surface[_SCALE_U], 0.25))) ** 2)
    rough = noise[int(np.floor(v * 37.0)) & 255, int(np.floor(u * 37.0)) & 255]
    broad = noise[int(np.floor(v * 3.1)) & 255, int(np.floor(u * 3.1)) & 255]
    dirt = 1.0 + surface[_DIRT] * (0.5 * (rough - 0.5) * fade + 0.7 * (broad - 0.5))
    gain = 1.0 + (gain - 1.0) * (0.3 + 0.7 * fade)
    for channel in range(3):
        mixed = surface[_FIRST + channel] * (1.0 - second) + surface[_SECOND + channel] * second
        color[channel] = mixed * gain * dirt


@compiled
def _pattern(pattern: int, noise: Array, a: float, b: float, u: float, v: float) -> tuple[float, float]:
    """Share of the second colour and a gain; `a`, `b` count repeats, `u`, `v` metres."""
    row = np.floor(b)
    if pattern == _BRICKS:
        a += 0.5 * (row % 2)
    column = np.floor(a)
    x, y = a - column, b - row
    cell = noise[int(row * 7 + column * 13) & 255, int(column * 31 - row * 17) & 255]
    if pattern in (_TILES, _BRICKS):
        joint = min(x, 1.0 - x) < 0.03 or min(y, 1.0 - y) < 0.05
        return (0.0 if cell < 0.6 else 0.6), (0.6 if joint else 0.85 + 0.3 * cell)
    if pattern == _WINDOWS:
        if 0.2 < x < 0.8 and 0.22 < y < 0.82:
            frame = abs(x - 0.5) < 0.03 or y > 0.79 or x < 0.23 or x > 0.77
            return 1.0, (1.6 if frame else 0.5 + 0.9 * cell + 0.3 * y)
        return 0.0, 1.0
    if pattern == _PANELS:
        return 0.0, (0.65 if x < 0.06 else 0.9 + 0.2 * cell)
    if pattern == _LEAVES:
        leaf = noise[int(np.floor(v * 60.0)) & 255, int(np.floor(u * 60.0)) & 255]
        return (1.0 if leaf < 0.45 else 0.0), 0.5 + leaf
    if pattern == _PATCHES:
        blend = noise[int(np.floor(v * 11.0)) & 255, int(np.floor(u * 11.0)) & 255]
        return min(1.0, max(0.0, 2.5 * blend - 0.8)), 1.0
    if pattern == _GOODS:
        shade = 0.6 if min(x, y) < 0.08 else 0.5 + 1.3 * noise[int(row * 57 + column * 3) & 255, int(column * 91 + row) & 255]
        return cell, shade
    if pattern == _ROAD:
        line = 0.35 < u < 0.47 or (3.3 < u < 3.42 and (v % 6.0) < 3.0)
        crossing = 9.0 < v < 12.0 and u > 0.8 and (u % 1.0) < 0.5
        return 0.0, (4.0 if line or crossing else 1.0)
    return 0.0, 1.0

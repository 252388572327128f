"""Positions of people: spread over the visible ground, alone, in pairs or in small groups, mostly walking one of a few ways."""

from dataclasses import dataclass

import numpy as np

from personsearch.boxes import Array
from personsearch.synthetic.paint.raycast import GROUND, Backdrop
from personsearch.synthetic.stage.camera import Camera
from personsearch.synthetic.stage.scenery import CENTER, HALF

NEAREST, FARTHEST = 4.0, 34.0  # metres from the camera
APART = 0.55  # metres between feet
BODY = 0.25  # metres from a person's middle to the next thing
TRIES = 40


@dataclass(frozen=True)
class Spot:
    """A place on the ground and a direction to face."""

    at: Array  # (3,) metres
    yaw: float


def place_people(camera: Camera, backdrop: Backdrop, solids: Array, count: int, smallest: float, rng: np.random.Generator) -> list[Spot]:
    """Up to `count` spots on the visible ground; fewer when it is too small.

    Args:
        camera: Camera that sees the people.
        backdrop: Empty scenery as the camera sees it.
        solids: (N, 17) rows of the scenery, which people never overlap.
        count: Number of people.
        smallest: Smallest height of a person, in pixels.
        rng: Source of all choices.
    """
    spots: list[Spot] = []
    way = rng.uniform(0, 2 * np.pi)
    for _ in range(count * TRIES):
        if len(spots) >= count:
            break
        yaw = way + np.pi * float(rng.integers(2)) + rng.normal(0, 0.35) if rng.random() < 0.6 else rng.uniform(0, 2 * np.pi)
        at = _random_ground(camera, backdrop, smallest, rng)
        if at is None or not _free(at, spots, solids):
            continue
        spots.append(Spot(at, float(yaw)))
        # company: beside, a shoulder's width away, walking the same way
        while len(spots) < count and rng.random() < 0.3:
            side = np.array([np.cos(yaw), 0.0, -np.sin(yaw)]) * rng.uniform(0.6, 0.9) * float(rng.choice([-1, 1]))
            beside = spots[-1].at + side
            if not _free(beside, spots, solids) or not _on_ground(beside, camera, backdrop, smallest):
                break
            spots.append(Spot(beside, float(yaw + rng.normal(0, 0.2))))
    return spots


def _random_ground(camera: Camera, backdrop: Backdrop, smallest: float, rng: np.random.Generator) -> Array | None:
    """A ground point; half of them even over the ground, half even over the picture."""
    x = rng.uniform(0, camera.width)
    if rng.random() < 0.5:
        depth = rng.uniform(NEAREST, FARTHEST)
        at = np.array([(x - camera.width / 2) / camera.focal * -depth, 0.0, depth])
    else:
        found = camera.on_ground(float(x), float(rng.uniform(0, camera.height * 1.25)))
        if found is None:
            return None
        at = found
    return at if _on_ground(at, camera, backdrop, smallest) else None


def _on_ground(at: Array, camera: Camera, backdrop: Backdrop, smallest: float) -> bool:
    """Whether a person here is in reach and large enough, with visible head or feet."""
    depth = float((at - camera.position) @ camera.axes[2])
    if not NEAREST <= depth <= FARTHEST or camera.focal * 1.7 / depth < smallest:
        return False
    foot, head = camera.project(np.stack([at, at + np.array([0.0, 1.6, 0.0])]))
    if not (0 <= head[0] < camera.width and head[1] < camera.height and foot[1] > 0):
        return False
    # feet below the picture's edge are fine; feet inside a solid or behind a wall are not
    row = int(np.clip(foot[1], 0, camera.height - 1))
    column = int(np.clip(foot[0], 0, camera.width - 1))
    if foot[1] >= camera.height:
        return bool(backdrop.depth[row, column] <= depth)
    return bool(backdrop.kind[row, column] == GROUND or _occluded_lightly(backdrop, depth, head, row, column))


def _occluded_lightly(backdrop: Backdrop, depth: float, head: Array, row: int, column: int) -> bool:
    """A low solid hides the feet, but the head is visible."""
    top = int(np.clip(head[1], 0, backdrop.depth.shape[0] - 1))
    return bool(backdrop.depth[row, column] < depth - 0.6 and backdrop.depth[top, column] > depth + 0.6)


def _free(at: Array, spots: list[Spot], solids: Array) -> bool:
    """Whether a spot keeps its distance from other people and from solids on the ground."""
    standing = solids[solids[:, CENTER + 1] - solids[:, HALF + 1] < 1.0]
    outside = np.abs(standing[:, [CENTER, CENTER + 2]] - at[[0, 2]]) - standing[:, [HALF, HALF + 2]] > BODY
    return bool(outside.any(axis=1).all()) and all(np.hypot(*(at - spot.at)[[0, 2]]) >= APART for spot in spots)

"""Crops of single people for re-identification: the same identity seen by different cameras, in different poses."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from personsearch.boxes import Array
from personsearch.errors import ConfigError
from personsearch.images import opencv
from personsearch.synthetic.body.poses import sample_pose
from personsearch.synthetic.paint.raycast import light_backdrop, look
from personsearch.synthetic.paint.sprites import draw_sprite
from personsearch.synthetic.people.person import Person, PosedPerson, pose_person
from personsearch.synthetic.scene import measure, merge, resolve
from personsearch.synthetic.stage.camera import Camera, aim
from personsearch.synthetic.stage.lens import Look, develop, draw_look
from personsearch.synthetic.stage.lighting import draw_light, shadow_map
from personsearch.synthetic.stage.scenery import CENTER, HALF, draw_scenery
from personsearch.synthetic.world import World, loaded, person

cv2 = opencv()

_CROPS = 3  # stream of random numbers; world and scene have others
SHADOW_SIZE = 384


@dataclass(frozen=True)
class Crops:
    """Pictures of one identity."""

    images: Array  # (V, H, W, 3) uint8 RGB
    identity: int
    cameras: Array  # (V,) int64


def render_person_crops(
    world: World, identities: range | list[int], *, views: int = 8, height: int = 256, width: int = 128, seed: int = 0
) -> Iterator[Crops]:
    """Crops of identities, one identity at a time.

    Each view has its own pose, light, distance and place; what the camera makes of it depends on the camera's
    number alone. The box is drawn loosely or tightly around the person as detectors do, and some people are
    partly covered by another.

    Args:
        world: Identities and cameras; its picture size is not used.
        identities: Identities to render.
        views: Number of pictures of each identity.
        height: Height of a crop, in pixels.
        width: Width of a crop, in pixels.
        seed: Other seeds give other views of the same people.

    Raises:
        ConfigError: an identity is not of this world, or a size is not positive.
        DataError: the folder of meshes is missing or damaged.
    """
    if min(views, height, width) < 1:
        raise ConfigError(f"views, height and width must be positive; got {views}, {height} and {width}")
    for identity in identities:
        rng = np.random.default_rng((world.seed, _CROPS, seed, identity))
        cameras = rng.integers(world.cameras, size=views)
        images = [_crop(world, identity, int(camera), height, width, rng) for camera in cameras]
        yield Crops(np.stack(images), identity, cameras.astype(np.int64))


def _crop(world: World, identity: int, camera: int, height: int, width: int, rng: np.random.Generator) -> Array:
    """One picture of one person, (height, width, 3) uint8."""
    mesh = person(world, identity)
    people = [(mesh, _posed(world, mesh, rng), np.zeros(3))]
    if world.identities > 1 and rng.random() < 0.18:
        other = person(world, int((identity + 1 + rng.integers(world.identities - 1)) % world.identities))
        people.append((other, _posed(world, other, rng), np.array([rng.uniform(-0.7, 0.7), 0.0, rng.uniform(-0.9, 0.9)])))
    # small people are rendered small and enlarged, as they are cut from a scene
    share = float(np.clip(np.exp(rng.normal(-0.25, 0.4)), 0.25, 1.0))
    eye = _frame(people[0][1], max(int(height * share), 24), max(int(width * share), 12), rng)
    image = _picture(eye, people, _look_of(world, camera), rng)
    return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR))


def _posed(world: World, mesh: Person, rng: np.random.Generator) -> PosedPerson:
    assets = loaded(world)
    rotations, _ = sample_pose(assets.poses, assets.skeleton, rng)
    return pose_person(mesh, rotations, float(rng.uniform(0, 2 * np.pi)))


def _frame(posed: PosedPerson, height: int, width: int, rng: np.random.Generator) -> Camera:
    """A camera some metres away whose picture is the person's box, jittered by some per cent."""
    distance, up = rng.uniform(5, 16), rng.uniform(1.4, 5.0)
    pitch = float(np.arctan2(up - 0.9, distance))
    eye = aim(np.array([0.0, up, -distance]), pitch, 0.0, 0.0, field=0.3, width=width, height=height)
    screen = eye.project(posed.vertices)[:, :2]
    low, high = screen.min(axis=0), screen.max(axis=0)
    size = high - low
    low, high = low + rng.normal(-0.025, 0.03, 2) * size, high + rng.normal(0.025, 0.03, 2) * size
    # crops are stretched to their shape later, but not much: wide poses are cut, narrow ones padded
    span = max(float(high[1] - low[1]), float(high[0] - low[0]) / (width / height) * 0.85)
    middle = (low + high) / 2
    focal = eye.focal * height / span
    turn = (middle - np.array([width, height]) / 2) / eye.focal
    forward = eye.axes[2] + turn[0] * eye.axes[0] + turn[1] * eye.axes[1]
    forward = forward / np.linalg.norm(forward)
    yaw, pitch = float(np.arctan2(forward[0], forward[2])), float(-np.arcsin(forward[1]))
    turned = aim(eye.position, pitch, yaw, float(rng.normal(0, 0.02)), field=0.3, width=width, height=height)
    return Camera(turned.position, turned.axes, focal, width, height)


def _look_of(world: World, camera: int) -> Look:
    return draw_look(np.random.default_rng((world.seed, _CROPS, camera)))


def _picture(eye: Camera, people: list[tuple[Person, PosedPerson, Array]], camera_look: Look, rng: np.random.Generator) -> Array:
    """Render people before a place; the first alone when too little of that person is seen."""
    scenery = draw_scenery(rng)
    light = draw_light(rng, indoors=scenery.indoors)
    # all scenery is behind the person, so that nothing covers the person
    behind = scenery.solids[:, CENTER + 2] - scenery.solids[:, HALF + 2] > 1.0
    # half the resolution is enough for what is behind
    coarse = Camera(eye.position, eye.axes, eye.focal / 2, -(-eye.width // 2), -(-eye.height // 2))
    backdrop = look(coarse, replace(scenery, solids=scenery.solids[behind]))
    depth = cv2.resize(backdrop.depth, (eye.width, eye.height), interpolation=cv2.INTER_NEAREST)
    casters = [(posed.vertices + at, mesh.triangles) for mesh, posed, at in people]
    shadow = shadow_map(light, casters, np.concatenate([vertices for vertices, _ in casters]), SHADOW_SIZE)
    sprites = [draw_sprite(mesh, posed, at, eye, light, shadow) for mesh, posed, at in people]
    layers = merge(sprites, depth)
    if measure(sprites, layers.owner, eye.height, eye.width)[2][0] < 0.45:
        sprites = sprites[:1]
        layers = merge(sprites, depth)
    color = np.zeros_like(backdrop.albedo)
    feet = np.array([[at[0], at[2], 0.4] for _, _, at in people[: len(sprites)]])
    light_backdrop(coarse.pinhole, backdrop, light.arrays(shadow, eye.position), feet, color)
    color = cv2.resize(color, (eye.width, eye.height), interpolation=cv2.INTER_LINEAR)
    return develop(resolve(color, layers.color, layers.owner), camera_look, rng)

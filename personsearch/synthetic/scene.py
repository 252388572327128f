"""Whole scenes: people put into a place, rendered, and described exactly."""

from dataclasses import dataclass

import numpy as np

from personsearch.boxes import Array, clip
from personsearch.errors import ShapeError
from personsearch.synthetic.body.poses import sample_pose
from personsearch.synthetic.kernels.jit import compiled
from personsearch.synthetic.paint.raycast import SKY, SOLID, light_backdrop
from personsearch.synthetic.paint.sprites import SAMPLES, Sprite, draw_sprite, mask_box
from personsearch.synthetic.people.person import Person, PosedPerson, pose_person
from personsearch.synthetic.placing import place_people
from personsearch.synthetic.stage.lens import add_haze, develop
from personsearch.synthetic.stage.lighting import Light, ShadowMap, draw_light, shadow_map
from personsearch.synthetic.stage.solids import solid_meshes
from personsearch.synthetic.world import DOUBLES, CameraView, World, loaded, person, view

_SCENE = 2  # stream of random numbers; the world has others
FAINT = 24  # samples (4 to a pixel): people with fewer visible samples are left out


@dataclass(frozen=True)
class RenderedScene:
    """A rendered picture and the people in it; N may be 0."""

    image: Array  # (H, W, 3) uint8 RGB
    boxes: Array  # (N, 4) float32 xyxy pixels: the whole person as if nothing covered it, cut to the picture
    visible_boxes: Array  # (N, 4) float32 xyxy pixels: tight around the visible part
    identities: Array  # (N,) int64
    visibility: Array  # (N,) float32, 0..1: visible share of the person; the part outside the picture counts as hidden
    camera: int

    def __post_init__(self) -> None:
        n = len(self.identities)
        if self.boxes.shape != (n, 4) or self.visible_boxes.shape != (n, 4) or self.visibility.shape != (n,):
            raise ShapeError(f"{n} identities need boxes ({n}, 4), got {self.boxes.shape}; build all from the same people")


@dataclass(frozen=True)
class _Actor:
    """A person in the scene."""

    identity: int
    mesh: Person
    posed: PosedPerson
    at: Array  # (3,) metres


@dataclass(frozen=True)
class Layers:
    """The picture before the lens, at `SAMPLES` samples per pixel and side."""

    color: Array  # (S*H, S*W, 3) float32 linear light of people
    owner: Array  # (S*H, S*W) int16, index of the person seen, -1 for the place


def generate_scene(seed: int, world: World, *, camera: int | None = None) -> RenderedScene:
    """Render one scene.

    Args:
        seed: Seed of people, poses and light; the same seed and world give the same picture.
        world: Identities, cameras and size.
        camera: Number of the camera; None lets the seed choose.

    Returns:
        The picture after lens and JPEG, and all people with at least a few visible pixels.

    Raises:
        DataError: the folder of meshes or of backgrounds is missing or damaged.
        ConfigError: the world has no such camera.
    """
    rng = np.random.default_rng((world.seed, _SCENE, seed))
    chosen = int(rng.integers(world.cameras))
    chosen = chosen if camera is None else camera
    scene_view = view(world, chosen)
    light = _light(scene_view, rng)
    actors = _cast_actors(world, scene_view, rng)
    shadow = _shadows(scene_view, light, actors)
    sprites = [draw_sprite(actor.mesh, actor.posed, actor.at, scene_view.camera, light, shadow) for actor in actors]
    layers = merge(sprites, scene_view.backdrop.depth)
    color = resolve(_background(scene_view, light, shadow, actors), layers.color, layers.owner)
    depth = _person_depth(scene_view.backdrop.depth, actors, layers.owner)
    image = develop(add_haze(color, depth, scene_view.look, light.sky), scene_view.look, rng)
    boxes, visible_boxes, visibility = measure(sprites, layers.owner, world.height, world.width)
    kept = visibility > 0
    identities = np.array([actor.identity for actor in actors], np.int64)
    return RenderedScene(image, boxes[kept], visible_boxes[kept], identities[kept], visibility[kept], chosen)


def merge(sprites: list[Sprite], backdrop_depth: Array) -> Layers:
    """Lay sprites over each other and behind the scenery, by depth.

    Args:
        sprites: All people.
        backdrop_depth: (H, W) metres.
    """
    depth = (-1.0 / backdrop_depth).astype(np.float32).repeat(SAMPLES, 0).repeat(SAMPLES, 1)
    owner, color = np.full(depth.shape, -1, np.int16), np.zeros((*depth.shape, 3), np.float32)
    for index, sprite in enumerate(sprites):
        y0, x0 = max(sprite.top, 0), max(sprite.left, 0)
        y1, x1 = min(sprite.top + sprite.drawn.shape[0], depth.shape[0]), min(sprite.left + sprite.drawn.shape[1], depth.shape[1])
        if y0 >= y1 or x0 >= x1:
            continue
        part = np.s_[y0 - sprite.top : y1 - sprite.top, x0 - sprite.left : x1 - sprite.left]
        whole = np.s_[y0:y1, x0:x1]
        nearer = sprite.drawn[part] & (sprite.depth[part] < depth[whole])
        depth[whole][nearer] = sprite.depth[part][nearer]
        owner[whole][nearer] = index
        color[whole][nearer] = sprite.color[part][nearer]
    return Layers(color, owner)


def measure(sprites: list[Sprite], owner: Array, height: int, width: int) -> tuple[Array, Array, Array]:
    """Boxes and visibility of everyone, from the silhouettes and from who is seen where.

    Returns:
        (N, 4) float32 whole boxes cut to the picture, (N, 4) float32 boxes of what is seen, and (N,) float32
        shares seen, 0 for people with fewer than `FAINT` visible samples.
    """
    whole, seen = np.zeros((len(sprites), 4), np.float32), np.zeros((len(sprites), 4), np.float32)
    visibility = np.zeros(len(sprites), np.float32)
    for index, sprite in enumerate(sprites):
        y0, x0 = max(sprite.top, 0), max(sprite.left, 0)
        window = owner[y0 : max(sprite.top + sprite.drawn.shape[0], 0), x0 : max(sprite.left + sprite.drawn.shape[1], 0)] == index
        count = int(window.sum())
        if count >= FAINT:
            whole[index], seen[index] = sprite.box, mask_box(window, x0, y0)
            visibility[index] = count / int(sprite.drawn.sum())
    return clip(whole, height, width), seen, visibility


def _light(scene_view: CameraView, rng: np.random.Generator) -> Light:
    """The scene's light; before a photograph as bright as that is."""
    light = draw_light(rng, indoors=scene_view.scenery.indoors)
    if scene_view.photograph is None:
        return light
    half = scene_view.photograph[scene_view.photograph.shape[0] // 2 :].mean(axis=(0, 1))
    gain = np.clip(half / 0.2, 0.3, 1.5) ** 0.7
    return Light(light.to_sun, light.sun * gain, light.sky * gain, light.ground * gain)


def _cast_actors(world: World, scene_view: CameraView, rng: np.random.Generator) -> list[_Actor]:
    """The people of the scene, with positions and poses."""
    count = min(int(rng.integers(world.people[0], world.people[1] + 1)), world.identities)
    spots = place_people(scene_view.camera, scene_view.backdrop, scene_view.scenery.solids, count, world.smallest, rng)
    assets = loaded(world)
    names = _names(world, len(spots), rng)
    actors = []
    for spot, identity in zip(spots, names, strict=True):
        rotations, _ = sample_pose(assets.poses, assets.skeleton, rng)
        mesh = person(world, identity)
        actors.append(_Actor(identity, mesh, pose_person(mesh, rotations, spot.yaw), spot.at))
    return actors


def _names(world: World, count: int, rng: np.random.Generator) -> list[int]:
    """Different identities; now and then someone's double is there too."""
    names = [int(name) for name in rng.permutation(world.identities)[:count]]
    if len(names) > 1 and rng.random() < 0.3:
        double = names[0] - names[0] % DOUBLES + DOUBLES - 1
        pair = [double - 1, double] if double < world.identities else []
        names = pair + [name for name in names if name not in pair]
    return names[:count]


def _shadows(scene_view: CameraView, light: Light, actors: list[_Actor]) -> ShadowMap:
    """The sun's shadow map of people and things within 45 m."""
    casters = [(actor.posed.vertices + actor.at, actor.mesh.triangles) for actor in actors]
    if not scene_view.scenery.indoors:
        casters += solid_meshes(scene_view.scenery.solids)
    camera = scene_view.camera
    edge = [camera.on_ground(x, y) for x in (0, camera.width) for y in (camera.height, camera.height * 0.6)]
    near = [point for point in edge if point is not None and np.linalg.norm(point) < 45]
    reach = 6.0 + 2.0 * max((float(actor.at[2]) for actor in actors), default=10.0)
    corners = [np.array([x, 0.0, min(reach, 45.0)]) for x in (-reach / 3, reach / 3)]
    bodies = [actor.at + np.array([0.0, height, 0.0]) for actor in actors for height in (0.0, 2.0)]
    return shadow_map(light, casters, np.array(near + corners + bodies))


def _background(scene_view: CameraView, light: Light, shadow: ShadowMap, actors: list[_Actor]) -> Array:
    """(H, W, 3) float32 the place in the scene's light, with everyone's shadow on it."""
    backdrop, camera, photograph = scene_view.backdrop, scene_view.camera, scene_view.photograph
    albedo = backdrop.albedo
    if photograph is not None:
        # what, lit from above by this light, looks like the photograph
        full = light.sky + light.sun * max(float(light.to_sun[1]), 0.0)
        albedo = np.where((backdrop.kind == SOLID)[..., None], albedo, (photograph / full).astype(np.float32))
    color = np.zeros_like(albedo)
    light_backdrop(camera.pinhole, backdrop._replace(albedo=albedo), light.arrays(shadow, camera.position), _feet(actors), color)
    if photograph is not None:
        color[backdrop.kind == SKY] = photograph[backdrop.kind == SKY]
    return color


def _feet(actors: list[_Actor]) -> Array:
    """(M, 3) x, z and radius of soft dark spots: two for each person, where the lowest parts are, and a wide one."""
    rows = []
    for actor in actors:
        low = actor.posed.vertices[actor.posed.vertices[:, 1] < 0.12]
        middle = float(np.median(low[:, 0])), float(np.median(low[:, 2]))
        along_x = np.ptp(low[:, 0]) > np.ptp(low[:, 2])
        first = low[:, 0] > middle[0] if along_x else low[:, 2] > middle[1]
        for half in (first, ~first):
            if half.any():
                rows.append([actor.at[0] + low[half, 0].mean(), actor.at[2] + low[half, 2].mean(), 0.17])
        rows.append([actor.at[0] + middle[0], actor.at[2] + middle[1], 0.45])
    return np.array(rows, float).reshape(-1, 3)


def _person_depth(backdrop_depth: Array, actors: list[_Actor], owner: Array) -> Array:
    """(H, W) metres, people at the depth of their position."""
    centre = owner[SAMPLES // 2 :: SAMPLES, SAMPLES // 2 :: SAMPLES]
    depths = np.array([float(actor.at[2]) for actor in actors] + [0.0])
    return np.where(centre >= 0, depths[centre], backdrop_depth)


@compiled
def resolve(background: Array, color: Array, owner: Array) -> Array:
    """(H, W, 3) float32: the mean of the samples of each pixel, the background where it shows."""
    height, width = background.shape[:2]
    result = background.copy()
    for row in range(height):
        for column in range(width):
            for channel in range(3):
                total, count = 0.0, 0
                for i in range(row * SAMPLES, row * SAMPLES + SAMPLES):
                    for j in range(column * SAMPLES, column * SAMPLES + SAMPLES):
                        if owner[i, j] >= 0:
                            total += color[i, j, channel]
                            count += 1
                if count:
                    rest = SAMPLES * SAMPLES - count
                    result[row, column, channel] = (total + rest * background[row, column, channel]) / (SAMPLES * SAMPLES)
    return result

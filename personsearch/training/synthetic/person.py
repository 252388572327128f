"""A person made: an appearance turned into one skinned mesh, and that mesh posed."""

from dataclasses import dataclass

import numpy as np

from personsearch.boxes import Array
from personsearch.training.synthetic import materials as m
from personsearch.training.synthetic.appearance import Appearance
from personsearch.training.synthetic.assets import Assets, Wearable
from personsearch.training.synthetic.bags import hang_bag
from personsearch.training.synthetic.body import morph
from personsearch.training.synthetic.raster import vertex_normals
from personsearch.training.synthetic.regions import ARM, LEG, SKIRT, TORSO, limb_coordinates, triangle_regions
from personsearch.training.synthetic.skeleton import Skeleton, SkinWeights, bone_transforms, skin

METRES = 0.1  # MakeHuman's unit is the decimetre
WIDER = 0.17  # dm by which a top stands off below the waist


@dataclass(frozen=True)
class Person:
    """One identity as a mesh in the rest pose; decimetres."""

    skeleton: Skeleton
    heads: Array  # (B, 3) bones' heads
    vertices: Array  # (V, 3)
    bones: Array  # (V, 4)
    weights: Array  # (V, 4)
    triangles: Array  # (T, 3)
    material: Array  # (T,) row of `materials`
    region: Array  # (T,) see regions.py
    flat: Array  # (V, 3) the same points on the unmorphed body: texture coordinates of torso and head
    limb: Array  # (V, 3) texture coordinates of arms and legs
    materials: Array  # (9, 46) float32
    tiles: Array  # (9, 64, 64, 3) float32
    hanging_bone: int  # row of the bone from which something hangs upright, or -1


@dataclass(frozen=True)
class PosedPerson:
    """A person in a pose, standing on y = 0; metres."""

    vertices: Array  # (V, 3)
    normals: Array  # (V, 3) unit


@dataclass
class _Parts:
    """Meshes that are being joined."""

    vertices: list[Array]
    bones: list[Array]
    weights: list[Array]
    triangles: list[Array]
    material: list[Array]
    region: list[Array]
    flat: list[Array]
    count: int = 0

    def add(self, vertices: Array, skin: SkinWeights, triangles: Array, material: int, region: Array, flat: Array) -> None:
        used, compact = np.unique(triangles, return_inverse=True)
        self.vertices.append(vertices[used])
        self.bones.append(skin.bones[used])
        self.weights.append(skin.weights[used])
        self.flat.append(flat[used])
        self.triangles.append(compact.reshape(-1, 3) + self.count)
        self.material.append(np.full(len(triangles), material))
        self.region.append(region)
        self.count += len(used)


def build_person(person: Appearance, assets: Assets) -> Person:
    """Dress a body: fit what the appearance names, drop the skin below, join all into one mesh."""
    body = morph(assets, person.shape)
    parts = _Parts([], [], [], [], [], [], [])
    waist = float(assets.regions.leg[0, 1]) + 0.15
    _add_body(parts, person, assets, body, waist)
    _add_clothes(parts, person, assets, body)
    _add_outer(parts, person, assets, body)
    hanging = _add_bag(parts, person, assets, body)
    flat = np.concatenate(parts.flat)
    rows, tiles = m.material_table(person, assets.regions)
    return Person(
        skeleton=assets.skeleton,
        heads=assets.skeleton.heads(body),
        vertices=np.concatenate(parts.vertices),
        bones=np.concatenate(parts.bones),
        weights=np.concatenate(parts.weights),
        triangles=np.concatenate(parts.triangles),
        material=np.concatenate(parts.material),
        region=np.concatenate(parts.region),
        flat=flat,
        limb=limb_coordinates(assets.regions, flat),
        materials=rows,
        tiles=tiles,
        hanging_bone=hanging,
    )


def pose_person(person: Person, rotations: Array, yaw: float = 0.0) -> PosedPerson:
    """The person in a pose, turned by `yaw` radians about the vertical, the lowest vertex on the ground.

    Args:
        person: Whom to pose.
        rotations: (B, 3, 3) local rotations of the bones.
        yaw: 0 looks along +z, a quarter turn along +x.
    """
    transforms = bone_transforms(person.skeleton, person.heads, rotations)
    upright = np.concatenate([np.eye(3), np.zeros((3, 1))], axis=1)
    if person.hanging_bone >= 0:
        head = person.heads[person.hanging_bone]
        bone = transforms[person.hanging_bone]
        upright[:, 3] = bone[:, :3] @ head + bone[:, 3] - head
    vertices = skin(person.vertices, person.bones, person.weights, np.concatenate([transforms, upright[None]]))
    hips = transforms[person.skeleton.index("root")] @ np.append(person.heads[person.skeleton.index("root")], 1.0)
    vertices -= np.array([hips[0], vertices[:, 1].min(), hips[2]])
    cosine, sine = np.cos(yaw), np.sin(yaw)
    turned = vertices @ np.array([[cosine, 0.0, -sine], [0.0, 1.0, 0.0], [sine, 0.0, cosine]]) * METRES
    return PosedPerson(turned, vertex_normals(turned, person.triangles))


def _worn(person: Appearance, assets: Assets) -> tuple[Wearable, Wearable, list[Wearable]]:
    """The suits of the upper and lower half, and whatever else hides skin."""
    more = [assets.shoes[person.shoes]] if person.shoes else []
    return assets.suits[person.top.suit], assets.suits[person.bottom.suit], more


def _add_body(parts: _Parts, person: Appearance, assets: Assets, body: Array, waist: float) -> None:
    """The skin that no garment hides, and the eyeballs."""
    top, bottom, more = _worn(person, assets)
    height = assets.base.vertices[:, 1]
    hidden = np.zeros(len(body), bool)
    # each suit hides its own half only; around the waist both agree
    hidden[[v for v in top.proxy.hidden if height[v] > waist]] = True
    hidden[[v for v in bottom.proxy.hidden if height[v] < waist + 0.2]] = True
    for item in more:
        hidden[item.proxy.hidden] = True
    triangles = assets.base.triangles[assets.base.groups["body"]]
    triangles = triangles[~hidden[triangles].all(axis=1)]
    triangles = triangles[~_under_hem(person, assets, assets.base.vertices, triangles)]
    region = triangle_regions(assets.regions, assets.skin, triangles)
    parts.add(body, assets.skin, triangles, m.SKIN, region, assets.base.vertices)
    for name in ("helper-l-eye", "helper-r-eye"):
        if name in assets.base.groups:
            ball = assets.base.triangles[assets.base.groups[name]]
            parts.add(body, assets.skin, ball, m.EYES, np.full(len(ball), TORSO), assets.base.vertices)


def _add_clothes(parts: _Parts, person: Appearance, assets: Assets, body: Array) -> None:
    """Top, trousers, shoes, hair and hat."""
    top, bottom, _ = _worn(person, assets)
    worn = [(top, top.upper, m.TOP), (bottom, ~bottom.upper, m.BOTTOM)]
    for name, stock, row in ((person.shoes, assets.shoes, m.SHOES), (person.hair, assets.hair, m.HAIR), (person.hat, assets.hats, m.HAT)):
        if name:
            worn.append((stock[name], np.ones(len(stock[name].triangles), bool), row))
    for item, rows, material in worn:
        triangles = item.triangles[rows]
        if material == m.BOTTOM:
            triangles = triangles[~_under_hem(person, assets, item.rest, triangles)]
        if material == m.HAIR:
            triangles = triangles[~_before_face(assets, item.rest, triangles)]
        if len(triangles):
            fitted = item.fit(body)
            if material == m.TOP:
                fitted = _hung_out(fitted, item, assets)
            region = triangle_regions(assets.regions, item.skin, triangles)
            parts.add(fitted, item.skin, triangles, material, region, item.rest)


def _hung_out(fitted: Array, top: Wearable, assets: Assets) -> Array:
    """The top with its lower end a little wider, so that trousers and skirts stay below it."""
    waist = assets.regions.leg[0, 1]
    amount = WIDER * np.clip(waist + 2.0 - top.rest[:, 1], 0.0, 1.0)
    arms = np.isin(assets.regions.of_bone[top.skin.bones[:, 0]], [ARM])
    return np.asarray(fitted + vertex_normals(fitted, top.triangles) * np.where(arms, 0.0, amount)[:, None])


def _before_face(assets: Assets, rest: Array, triangles: Array) -> Array:
    """(T,) bool: hair before the eyes. The meshes are made for textures that are transparent there."""
    centre = rest[triangles].mean(axis=1)
    x, y, z = assets.regions.eye
    return np.asarray((np.abs(centre[:, 0]) < x + 0.42) & (centre[:, 1] < y + 0.38) & (centre[:, 2] > z - 0.35))


def _add_outer(parts: _Parts, person: Appearance, assets: Assets, body: Array) -> None:
    """A skirt or the skirts of a coat: the base mesh's free skirt, its hem lifted to where it ends."""
    if not person.bottom.outer:
        return
    triangles = assets.base.triangles[assets.base.groups["helper-skirt"]]
    used = np.unique(triangles)
    rest = assets.base.vertices.copy()
    hem = _hem(person, assets)
    # the body's own hem: the same share of its own leg
    heads = assets.skeleton.heads(body)
    hip, ankle = (heads[assets.skeleton.index(name), 1] for name in ("upperleg01.L", "foot.L"))
    own_hem = hip - person.bottom.hem * (hip - ankle)
    shaped = body.copy()
    shaped[used, 1] = np.maximum(shaped[used, 1], own_hem)
    rest[used, 1] = np.maximum(rest[used, 1], hem)
    lifted = rest[triangles][:, :, 1].max(axis=1) > hem + 1e-6
    arms = np.isin(assets.regions.of_bone[assets.skin.bones], [ARM]) & (assets.skin.weights > 0)
    weights = np.where(arms, 0.0, assets.skin.weights) + 1e-9
    skin_weights = SkinWeights(assets.skin.bones, weights / weights.sum(axis=1, keepdims=True))
    triangles = triangles[lifted]
    parts.add(shaped, skin_weights, triangles, m.OUTER, np.full(len(triangles), SKIRT), rest)


def _hem(person: Appearance, assets: Assets) -> float:
    """Height of the hem on the unmorphed body, dm."""
    hip, _, ankle = assets.regions.leg[:, 1]
    return float(hip - person.bottom.hem * (hip - ankle))


def _under_hem(person: Appearance, assets: Assets, rest: Array, triangles: Array) -> Array:
    """(T,) bool: wholly between waist and hem of a skirt or coat, where legs would poke through."""
    if not person.bottom.outer:
        return np.zeros(len(triangles), bool)
    height = rest[triangles][:, :, 1]
    sideways = np.abs(rest[triangles][:, :, 0]).max(axis=1)
    leg = sideways < assets.regions.arm[1, 0]  # hands hang at the same height, farther out
    return np.asarray((height.min(axis=1) > _hem(person, assets) + 0.1) & (height.max(axis=1) < assets.regions.leg[0, 1] + 1.2) & leg)


def _add_bag(parts: _Parts, person: Appearance, assets: Assets, body: Array) -> int:
    """Hang the bag on; the row of the bone from which it hangs upright, or -1."""
    if person.bag is None:
        return -1
    bag = hang_bag(person.bag, assets.skeleton, body, assets.suits[person.top.suit].fit(body))
    bones = np.full((len(bag.vertices), 4), len(assets.skeleton.names) if bag.hanging else bag.bone)
    weights = np.tile([1.0, 0.0, 0.0, 0.0], (len(bag.vertices), 1))
    region = np.full(len(bag.triangles), LEG if bag.hanging else TORSO)
    parts.add(bag.vertices, SkinWeights(bones, weights), bag.triangles, m.BAG, region, bag.vertices)
    return bag.bone if bag.hanging else -1

"""Dressing: clothes fitted to a body, the skin below them left out, all joined into one mesh."""

from dataclasses import dataclass, replace

import numpy as np

from personsearch.boxes import Array
from personsearch.synthetic.body.anatomy import ARM, LEG, SKIRT, TORSO
from personsearch.synthetic.body.assets import Assets, Surface, Wearable
from personsearch.synthetic.body.skeleton import SkinWeights
from personsearch.synthetic.kernels.raster import vertex_normals
from personsearch.synthetic.people import materials as m
from personsearch.synthetic.people.appearance import Appearance
from personsearch.synthetic.people.bags import hang_bag

WIDER = 0.17  # dm between a top and the body below the waist
OVERLAP = 0.4  # dm that skin goes on under the end of a sleeve or trouser leg


@dataclass
class Parts:
    """Meshes that are being joined; the fields are those of `person.Person`, piece by piece."""

    vertices: list[Array]
    bones: list[Array]
    weights: list[Array]
    triangles: list[Array]
    material: list[Array]
    part: list[Array]
    flat: list[Array]
    limb: list[Array]
    count: int = 0

    def add(self, vertices: Array, cloth: Surface, keep: Array, material: int) -> None:
        """Add the triangles `keep` (T,) bool of a surface whose vertices now are `vertices` (V, 3)."""
        triangles = cloth.triangles[keep]
        seen = np.zeros(len(vertices), bool)
        seen[triangles] = True
        used, compact = np.flatnonzero(seen), np.cumsum(seen) - 1
        self.vertices.append(vertices[used])
        self.bones.append(cloth.skin.bones[used])
        self.weights.append(cloth.skin.weights[used])
        self.flat.append(cloth.rest[used])
        self.limb.append(cloth.limb[used])
        self.triangles.append(compact[triangles] + self.count)
        self.material.append(np.full(len(triangles), material))
        self.part.append(cloth.part[keep])
        self.count += len(used)


def dress(person: Appearance, assets: Assets, body: Array) -> tuple[Parts, int]:
    """All visible surfaces of a person.

    Args:
        person: Appearance to dress.
        assets: Meshes of body and clothes.
        body: (V, 3) base vertices of the person's shape, dm.

    Returns:
        The parts, and the row of the bone from which a bag hangs upright, or -1.
    """
    parts = Parts([], [], [], [], [], [], [], [])
    _add_body(parts, person, assets, body)
    _add_clothes(parts, person, assets, body)
    _add_outer(parts, person, assets, body)
    return parts, _add_bag(parts, person, assets, body)


def _add_body(parts: Parts, person: Appearance, assets: Assets, body: Array) -> None:
    """The skin that no garment hides, and the eyeballs."""
    top, bottom = assets.suits[person.top.suit], assets.suits[person.bottom.suit]
    surface, height = assets.body, assets.base.vertices[:, 1]
    waist = float(assets.anatomy.leg[0, 1]) + 0.15
    hidden = np.zeros(len(body), bool)
    # each suit hides its own half only; around the waist both agree
    hidden[top.proxy.hidden[height[top.proxy.hidden] > waist]] = True
    if person.bottom.outer != "skirt":  # below a skirt legs are bare or in tights
        hidden[bottom.proxy.hidden[height[bottom.proxy.hidden] < waist + 0.2]] = True
    covered = hidden[surface.triangles].all(axis=1) & ~_beyond(person, assets, surface, -OVERLAP)
    if person.shoes:
        in_shoe = np.zeros(len(body), bool)
        in_shoe[assets.shoes[person.shoes].proxy.hidden] = True
        covered |= in_shoe[surface.triangles].all(axis=1)
    parts.add(body, surface, ~covered & ~_under_hem(person, assets, surface), m.SKIN)
    for name in ("helper-l-eye", "helper-r-eye"):
        if name in assets.base.groups:
            ball = assets.base.triangles[assets.base.groups[name]]
            parts.add(body, replace(surface, triangles=ball, part=np.full(len(ball), TORSO)), np.ones(len(ball), bool), m.EYES)


def _add_clothes(parts: Parts, person: Appearance, assets: Assets, body: Array) -> None:
    """Top, trousers, shoes, hair and hat."""
    top, bottom = assets.suits[person.top.suit], assets.suits[person.bottom.suit]
    parts.add(_hung_out(top.fit(body), top, assets), top.surface, top.upper & ~_beyond(person, assets, top.surface, 0.0), m.TOP)
    if person.bottom.outer != "skirt":
        legs = bottom.lower & ~_beyond(person, assets, bottom.surface, 0.0) & ~_under_hem(person, assets, bottom.surface)
        parts.add(bottom.fit(body), bottom.surface, legs, m.BOTTOM)
    for name, stock, row in ((person.shoes, assets.shoes, m.SHOES), (person.hair, assets.hair, m.HAIR), (person.hat, assets.hats, m.HAT)):
        if name:
            surface = stock[name].surface
            keep = ~_before_face(assets, surface) if row == m.HAIR else np.ones(len(surface.triangles), bool)
            parts.add(stock[name].fit(body), surface, keep, row)


def _beyond(person: Appearance, assets: Assets, surface: Surface, margin: float) -> Array:
    """(T,) bool: wholly farther down a limb than the end of its sleeve or trouser leg plus a margin in dm."""
    arm, leg = person.top.sleeve * assets.anatomy.arm_length, person.bottom.length * assets.anatomy.leg_length
    return np.asarray(((surface.part == ARM) & (surface.along > arm + margin)) | ((surface.part == LEG) & (surface.along > leg + margin)))


def _hung_out(fitted: Array, top: Wearable, assets: Assets) -> Array:
    """The top with its lower end a little wider, so that trousers and skirts stay below it, and a straight hem."""
    waist, rest = assets.anatomy.leg[0, 1], top.surface.rest
    amount = WIDER * np.clip(waist + 2.0 - rest[:, 1], 0.0, 1.0)
    arms = assets.anatomy.of_bone[top.surface.skin.bones[:, 0]] == ARM
    wider: Array = fitted + vertex_normals(fitted, top.surface.triangles) * np.where(arms, 0.0, amount)[:, None]
    # where a welded suit was cut, the vertices below the cut are lifted to it: a saw-tooth otherwise
    wider[:, 1] += np.where(arms, 0.0, np.maximum(top.cut - rest[:, 1], 0.0))
    return wider


def _before_face(assets: Assets, hair: Surface) -> Array:
    """(T,) bool: hair before the eyes. The meshes are made for textures that are transparent there."""
    centre = hair.rest[hair.triangles].mean(axis=1)
    x, y, z = assets.anatomy.eye
    return np.asarray((np.abs(centre[:, 0]) < x + 0.42) & (centre[:, 1] < y + 0.38) & (centre[:, 2] > z - 0.35))


def _add_outer(parts: Parts, person: Appearance, assets: Assets, body: Array) -> None:
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
    arms = np.isin(assets.anatomy.of_bone[assets.body.skin.bones], [ARM]) & (assets.body.skin.weights > 0)
    weights = np.where(arms, 0.0, assets.body.skin.weights) + 1e-9
    skin_weights = SkinWeights(assets.body.skin.bones, weights / weights.sum(axis=1, keepdims=True))
    skirt = Surface(triangles, skin_weights, rest, assets.body.limb, np.full(len(triangles), SKIRT), np.zeros(len(triangles)))
    parts.add(shaped, skirt, lifted, m.OUTER)


def _hem(person: Appearance, assets: Assets) -> float:
    """Height of the hem on the unmorphed body, dm."""
    hip, _, ankle = assets.anatomy.leg[:, 1]
    return float(hip - person.bottom.hem * (hip - ankle))


def _under_hem(person: Appearance, assets: Assets, surface: Surface) -> Array:
    """(T,) bool: wholly between waist and hem of a skirt or coat, where legs would poke through."""
    if not person.bottom.outer:
        return np.zeros(len(surface.triangles), bool)
    corners = surface.rest[surface.triangles]
    height, sideways = corners[:, :, 1], np.abs(corners[:, :, 0]).max(axis=1)
    leg = sideways < assets.anatomy.arm[1, 0]  # hands hang at the same height, farther out
    return np.asarray((height.min(axis=1) > _hem(person, assets) + 0.1) & (height.max(axis=1) < assets.anatomy.leg[0, 1] + 1.2) & leg)


def _add_bag(parts: Parts, person: Appearance, assets: Assets, body: Array) -> int:
    """Hang the bag on; the row of the bone from which it hangs upright, or -1."""
    if person.bag is None:
        return -1
    bag = hang_bag(person.bag, assets.skeleton, body, assets.suits[person.top.suit].fit(body))
    bones = np.full((len(bag.vertices), 4), len(assets.skeleton.names) if bag.hanging else bag.bone)
    weights = np.tile([1.0, 0.0, 0.0, 0.0], (len(bag.vertices), 1))
    part = np.full(len(bag.triangles), TORSO)
    surface = Surface(bag.triangles, SkinWeights(bones, weights), bag.vertices, np.zeros_like(bag.vertices), part, np.zeros(len(part)))
    parts.add(bag.vertices, surface, np.ones(len(part), bool), m.BAG)
    return bag.bone if bag.hanging else -1

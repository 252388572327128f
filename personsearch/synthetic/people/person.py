"""A person made: an appearance turned into one skinned mesh, and that mesh posed."""

from dataclasses import dataclass

import numpy as np

from personsearch.boxes import Array
from personsearch.synthetic.body.assets import Assets
from personsearch.synthetic.body.morph import morph
from personsearch.synthetic.body.skeleton import Skeleton, bone_transforms, skin
from personsearch.synthetic.kernels.raster import vertex_normals
from personsearch.synthetic.people.appearance import Appearance
from personsearch.synthetic.people.dressing import dress
from personsearch.synthetic.people.materials import material_table

METRES = 0.1  # MakeHuman's unit is the decimetre


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
    part: Array  # (T,) see anatomy.py
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


def build_person(person: Appearance, assets: Assets) -> Person:
    """The body of an appearance, dressed, as one mesh."""
    body = morph(assets, person.shape)
    parts, hanging = dress(person, assets, body)
    rows, tiles = material_table(person, assets.anatomy)
    return Person(
        skeleton=assets.skeleton,
        heads=assets.skeleton.heads(body),
        vertices=np.concatenate(parts.vertices),
        bones=np.concatenate(parts.bones),
        weights=np.concatenate(parts.weights),
        triangles=np.concatenate(parts.triangles),
        material=np.concatenate(parts.material),
        part=np.concatenate(parts.part),
        flat=np.concatenate(parts.flat),
        limb=np.concatenate(parts.limb),
        materials=rows,
        tiles=tiles,
        hanging_bone=hanging,
    )


def pose_person(person: Person, rotations: Array, yaw: float = 0.0) -> PosedPerson:
    """The person in a pose, turned by `yaw` radians about the vertical, the lowest vertex on the ground.

    Args:
        person: Person to pose.
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

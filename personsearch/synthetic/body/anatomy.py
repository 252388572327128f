"""Where on the body a point is: torso, arm, leg or head, and its coordinates along and around the limb.

Garments have no usable texture coordinates in common. Their place on the unmorphed body has: a stripe at one
height or at one distance along a sleeve looks the same on every suit.
"""

from dataclasses import dataclass

import numpy as np

from personsearch.boxes import Array
from personsearch.synthetic.body.skeleton import Skeleton, SkinWeights

TORSO, ARM, LEG, HEAD, SKIRT = range(5)


@dataclass(frozen=True)
class Anatomy:
    """The parts of the skeleton and the axes of the limbs, on the unmorphed body."""

    of_bone: Array  # (B,) int64, one of TORSO, ARM, LEG, HEAD
    arm: Array  # (3, 3) shoulder, elbow, wrist of the left side, dm
    leg: Array  # (3, 3) hip, knee, ankle of the left side, dm
    eye: Array  # (3,) the left eye's middle, dm
    neck_y: float

    @property
    def arm_length(self) -> float:
        """From shoulder to wrist along the bones, dm."""
        return float(np.linalg.norm(np.diff(self.arm, axis=0), axis=1).sum())

    @property
    def leg_length(self) -> float:
        """From hip to ankle along the bones, dm."""
        return float(np.linalg.norm(np.diff(self.leg, axis=0), axis=1).sum())


def build_anatomy(skeleton: Skeleton, rest: Array) -> Anatomy:
    """The anatomy of a skeleton in the unmorphed body of (V, 3) base vertices."""
    of_bone = np.full(len(skeleton.names), TORSO)
    for part, roots in ((ARM, ("upperarm01.L", "upperarm01.R")), (LEG, ("upperleg01.L", "upperleg01.R")), (HEAD, ("head",))):
        for name in roots:
            of_bone[sorted(skeleton.descendants(name))] = part
    heads = skeleton.heads(rest)
    arm, leg = (
        np.stack([heads[skeleton.index(f"{name}.L")] for name in names])
        for names in (("upperarm01", "lowerarm01", "wrist"), ("upperleg01", "lowerleg01", "foot"))
    )
    eye = heads[skeleton.index("eye.L")] if "eye.L" in skeleton.names else heads[skeleton.index("head")]
    return Anatomy(of_bone, arm, leg, eye, float(heads[skeleton.index("neck01"), 1]))


def triangle_parts(anatomy: Anatomy, skin: SkinWeights, triangles: Array) -> Array:
    """(T,) the part that carries most of each triangle's weight."""
    share = np.zeros((len(skin.bones), HEAD + 1))
    for k in range(skin.bones.shape[1]):
        np.add.at(share, (np.arange(len(share)), anatomy.of_bone[skin.bones[:, k]]), skin.weights[:, k])
    return np.asarray(share[triangles].sum(axis=1).argmax(axis=1))


def limb_coordinates(anatomy: Anatomy, rest: Array) -> Array:
    """(V, 3) across, across and along the nearest limb, dm; of the arm above the waist, of the leg below.

    The first two give the angle around the limb and the distance from its axis, the third the way from
    shoulder or hip. Both sides are mirrored onto the left one.
    """
    points = rest * np.where(rest[:, :1] < 0, np.array([-1.0, 1.0, 1.0]), 1.0)
    along_arm, along_leg = _along(anatomy.arm, points), _along(anatomy.leg, points)
    nearer_arm = np.hypot(along_arm[:, 0], along_arm[:, 1]) < np.hypot(along_leg[:, 0], along_leg[:, 1])
    return np.where(nearer_arm[:, None], along_arm, along_leg)


def _along(line: Array, points: Array) -> Array:
    """(V, 3) coordinates of points in the frame of the nearer of two segments."""
    result = np.empty_like(points)
    best = np.full(len(points), np.inf)
    start = 0.0
    for k in range(2):
        direction = line[k + 1] - line[k]
        length = float(np.linalg.norm(direction))
        direction = direction / length
        side = np.cross(direction, np.array([0.0, 0.0, 1.0]))
        side = side / np.linalg.norm(side)
        offset = points - line[k]
        along = offset @ direction
        # the first segment goes on backwards, the second forwards
        inside = np.clip(along, 0.0 if k else -np.inf, np.inf if k else length)
        distance = np.linalg.norm(offset - inside[:, None] * direction, axis=1)
        nearer = distance < best
        frame = np.stack([offset @ side, offset @ np.cross(direction, side), start + inside], axis=1)
        result[nearer] = frame[nearer]
        best = np.where(nearer, distance, best)
        start += length
    return result

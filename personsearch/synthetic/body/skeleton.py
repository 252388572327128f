"""The skeleton: joints that follow the body's shape, poses as rotations, linear blend skinning."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from personsearch.boxes import Array
from personsearch.errors import DataError
from personsearch.synthetic.kernels.jit import compiled

# bones that the generator itself moves; pose files move the others
REQUIRED_BONES = (
    "root",
    "spine02",
    "neck01",
    "head",
    *(f"{bone}.{side}" for side in "LR" for bone in ("upperarm01", "lowerarm01", "wrist", "upperleg01", "lowerleg01", "foot")),
)
INFLUENCES = 4


@dataclass(frozen=True)
class Skeleton:
    """Bones in an order where parents come first."""

    names: tuple[str, ...]
    parents: Array  # (B,) int64, -1 for the root
    head_vertices: tuple[Array, ...]  # per bone: base vertices whose mean is the bone's head

    def index(self, name: str) -> int:
        """The row of a bone."""
        return self.names.index(name)

    def heads(self, vertices: Array) -> Array:
        """(B, 3) heads of the bones in a body of (V, 3) base vertices."""
        counts = np.array([len(rows) for rows in self.head_vertices])
        starts = np.cumsum(counts) - counts
        sums = np.add.reduceat(vertices[np.concatenate(self.head_vertices)], starts, axis=0)
        return np.asarray(sums / counts[:, None])

    def descendants(self, name: str) -> set[int]:
        """Rows of a bone and of all that hang on it."""
        found = {self.index(name)}
        for bone, parent in enumerate(self.parents.tolist()):
            if parent in found:
                found.add(bone)
        return found

    def mirrored(self) -> Array:
        """(B,) row of the bone on the other side; middle bones are their own."""
        swap = {".L": ".R", ".R": ".L"}
        other = [name[:-2] + swap[name[-2:]] if name[-2:] in swap else name for name in self.names]
        return np.array([self.names.index(name) for name in other])


@dataclass(frozen=True)
class SkinWeights:
    """Which bones carry each vertex."""

    bones: Array  # (V, 4) int64
    weights: Array  # (V, 4) float64, rows sum to 1


def build_skeleton(content: dict[str, Any]) -> Skeleton:
    """The skeleton of an mhskel file's JSON.

    Raises:
        DataError: a bone that the generator needs is not in it.
    """
    bones, joints = content["bones"], content["joints"]
    missing = [name for name in REQUIRED_BONES if name not in bones]
    if missing:
        raise DataError(f"the skeleton lacks the bones {', '.join(missing)}; use MakeHuman's rig/default.mhskel")
    ordered: list[str] = []
    while len(ordered) < len(bones):
        ready = [name for name, bone in bones.items() if name not in ordered and (not bone["parent"] or bone["parent"] in ordered)]
        if not ready:
            raise DataError("the skeleton has a bone whose parent is missing; use MakeHuman's rig/default.mhskel")
        ordered += ready
    parents = [ordered.index(bones[name]["parent"]) if bones[name]["parent"] else -1 for name in ordered]
    heads = [np.array(joints[bones[name]["head"]], np.int64) for name in ordered]
    return Skeleton(tuple(ordered), np.array(parents), tuple(heads))


def build_weights(content: dict[str, list[list[float]]], skeleton: Skeleton, count: int) -> SkinWeights:
    """The four heaviest bones of each of `count` vertices; a vertex without weight hangs on the root."""
    dense = np.zeros((count, len(skeleton.names)))
    for name, pairs in content.items():
        if pairs and name in skeleton.names:
            values = np.array(pairs, np.float64)
            dense[values[:, 0].astype(np.int64), skeleton.index(name)] = values[:, 1]
    return strongest(dense, skeleton.index("root"))


def strongest(dense: Array, fallback: int) -> SkinWeights:
    """The `INFLUENCES` heaviest of (V, B) weights, scaled to sum 1; rows of zeros hang on `fallback`."""
    dense = np.clip(dense, 0.0, None)
    dense[dense.sum(axis=1) <= 0, fallback] = 1.0
    dense = np.pad(dense, ((0, 0), (0, max(0, INFLUENCES - dense.shape[1]))))
    bones = np.argsort(-dense, axis=1, kind="stable")[:, :INFLUENCES]
    weights = np.take_along_axis(dense, bones, axis=1)
    # a padded column does not belong to a bone: its weight is zero, so any row will do
    return SkinWeights(np.where(weights > 0, bones, fallback), weights / weights.sum(axis=1, keepdims=True))


def mixed(base: SkinWeights, anchors: Array, weights: Array, bone_count: int, fallback: int) -> SkinWeights:
    """Skin weights of vertices that hang on three base vertices each.

    Args:
        base: Weights of the base mesh.
        anchors: (K, 3) base vertices.
        weights: (K, 3) barycentric; negative ones count as none.
        bone_count: Number of bones.
        fallback: Bone for vertices without weight.
    """
    dense = np.zeros((len(anchors), bone_count))
    rows = np.arange(len(anchors))
    for corner in range(3):
        share = np.clip(weights[:, corner], 0.0, None)
        for k in range(INFLUENCES):
            np.add.at(dense, (rows, base.bones[anchors[:, corner], k]), share * base.weights[anchors[:, corner], k])
    return strongest(dense, fallback)


def bone_transforms(skeleton: Skeleton, heads: Array, rotations: Array) -> Array:
    """(B, 3, 4) world transforms of a pose.

    Rotations are about the world's axes in the rest pose: G = G_parent T(head) R T(-head).

    Args:
        skeleton: The bones.
        heads: (B, 3) heads in the rest pose.
        rotations: (B, 3, 3) one rotation per bone.
    """
    transforms = np.empty((len(heads), 3, 4))
    for bone, parent in enumerate(skeleton.parents.tolist()):
        rotation, head = rotations[bone], heads[bone]
        shift = head - rotation @ head
        if parent >= 0:
            rotation, shift = transforms[parent, :, :3] @ rotation, transforms[parent, :, :3] @ shift + transforms[parent, :, 3]
        transforms[bone, :, :3], transforms[bone, :, 3] = rotation, shift
    return transforms


@compiled
def skin(vertices: Array, bones: Array, weights: Array, transforms: Array) -> Array:
    """(V, 3) posed vertices: the weighted mean of what each bone makes of a vertex.

    Args:
        vertices: (V, 3) rest positions.
        bones: (V, 4) rows of `transforms`.
        weights: (V, 4), rows sum to 1.
        transforms: (B, 3, 4).
    """
    posed = np.zeros(vertices.shape)
    for v in range(vertices.shape[0]):
        x, y, z = vertices[v, 0], vertices[v, 1], vertices[v, 2]
        for k in range(bones.shape[1]):
            share = weights[v, k]
            if share == 0.0:
                continue
            matrix = transforms[bones[v, k]]
            for axis in range(3):
                posed[v, axis] += share * (matrix[axis, 0] * x + matrix[axis, 1] * y + matrix[axis, 2] * z + matrix[axis, 3])
    return posed

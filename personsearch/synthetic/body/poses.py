"""Poses of people in the street: read from BVH files, mirrored, mixed and shaken."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from personsearch.boxes import Array
from personsearch.errors import DataError
from personsearch.synthetic.body.formats import Motion, read_motion
from personsearch.synthetic.body.skeleton import Skeleton

# the walk of MakeHuman is recorded on its older rig, whose bones have other names
OLDER_RIG = {
    "Root": "root",
    "Spine1": "spine05",
    "Spine2": "spine03",
    "Spine3": "spine02",
    "Neck": "neck01",
    "Head": "head",
    **{
        f"{old}_{side}": f"{new}.{side}"
        for side in "LR"
        for old, new in (
            ("Clavicle", "clavicle"),
            ("UpArm", "upperarm01"),
            ("LoArm", "lowerarm01"),
            ("Hand", "wrist"),
            ("UpLeg", "upperleg01"),
            ("LoLeg", "lowerleg01"),
            ("Foot", "foot"),
        )
    },
}
# limbs whose rest direction differs between the rigs, with the joint at their other end
OLDER_LIMBS = {"UpArm": "LoArm", "LoArm": "Hand", "UpLeg": "LoLeg", "LoLeg": "Foot"}
NEWER_LIMBS = {"UpArm": "lowerarm01", "LoArm": "wrist", "UpLeg": "lowerleg01", "LoLeg": "foot"}
FROM_Z_UP = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]])
WALKING, STANDING, RUNNING = "walk", "stand", "run"


@dataclass(frozen=True)
class PoseLibrary:
    """Poses by kind, as rotation vectors so that they can be scaled and mixed."""

    walk: Array  # (F, B, 3) float64 radians: one gait cycle
    stand: Array  # (S, B, 3)
    run: Array  # (R, B, 3)


def load_poses(folder: Path, skeleton: Skeleton, rest: Array) -> PoseLibrary:
    """The walk, the standing poses and the run of a `poses` folder.

    Args:
        folder: Holds walk*.bvh, standing*.bvh and, if any, run*.bvh.
        skeleton: The bones to pose.
        rest: (V, 3) base vertices, which give the rest directions of the limbs.

    Raises:
        DataError: no walking or no standing pose is there.
    """
    kinds: dict[str, list[Array]] = {WALKING: [], "standing": [], RUNNING: []}
    for kind, rows in kinds.items():
        for path in sorted(folder.glob(f"{kind}*.bvh")):
            # an arm held out and a knee held up: seen in no street
            if path.stem not in ("standing05", "standing06"):
                rows += list(pose_rotations(read_motion(path), skeleton, rest))
    if not kinds[WALKING] or not kinds["standing"]:
        raise DataError(f"{folder} has no walk*.bvh or no standing*.bvh; MakeHuman publishes them (CC0) in its data/poses")
    walk, stand, run = (_vectors(kinds[kind]) for kind in (WALKING, "standing", RUNNING))
    return PoseLibrary(walk, stand, run)


def pose_rotations(motion: Motion, skeleton: Skeleton, rest: Array) -> Array:
    """(F, B, 3, 3) local rotations of the skeleton's bones in every frame of a BVH file."""
    # a head that lies along z in the rest pose tells that the file has z up
    head = next((k for k, joint in enumerate(motion.joints) if joint.name in ("head", "Head")), 0)
    offset = _rest_position(motion, head)
    turn = FROM_Z_UP if abs(offset[2]) > abs(offset[1]) else np.eye(3)
    local = turn @ _local_rotations(motion) @ turn.T
    if any(joint.name in OLDER_RIG for joint in motion.joints) and "root" not in {joint.name for joint in motion.joints}:
        return _retargeted(motion, local, turn, skeleton, rest)
    result = np.tile(np.eye(3), (len(motion.frames), len(skeleton.names), 1, 1))
    for k, joint in enumerate(motion.joints):
        if joint.name in skeleton.names:
            result[:, skeleton.index(joint.name)] = local[:, k]
    return result


def mirror_pose(pose: Array, skeleton: Skeleton) -> Array:
    """(B, 3) rotation vectors with left and right exchanged."""
    # a rotation vector is axial: a mirror at x = 0 keeps x and turns y and z
    return np.asarray(pose[skeleton.mirrored()] * np.array([1.0, -1.0, -1.0]))


def sample_pose(library: PoseLibrary, skeleton: Skeleton, rng: np.random.Generator) -> tuple[Array, str]:
    """(B, 3, 3) local rotations of a random pose, and its kind."""
    kind = str(rng.choice([WALKING, STANDING, RUNNING], p=[0.64, 0.33, 0.03]))
    if kind == RUNNING and len(library.run):
        pose = library.run[rng.integers(len(library.run))].copy()
    elif kind == WALKING:
        pose = _stride(library, skeleton, rng)
    else:
        kind = STANDING
        pose = _stance(library, skeleton, rng)
    if rng.random() < 0.5:
        pose = mirror_pose(pose, skeleton)
    _move_arms(pose, skeleton, rng)
    _jitter(pose, skeleton, rng)
    return Rotation.from_rotvec(pose.reshape(-1, 3)).as_matrix().reshape(-1, 3, 3), kind


def _stride(library: PoseLibrary, skeleton: Skeleton, rng: np.random.Generator) -> Array:
    """A moment of a walk: any phase, longer or shorter steps, more or less bent forward."""
    phase = rng.uniform(0, len(library.walk) - 1)
    k = int(phase)
    follow = library.walk[min(k + 1, len(library.walk) - 1)]
    pose: Array = library.walk[k] * (1 - (phase - k)) + follow * (phase - k)
    legs = sorted(skeleton.descendants("upperleg01.L") | skeleton.descendants("upperleg01.R"))
    pose[legs] *= rng.uniform(0.55, 1.1)
    # the recorded walker hurries, bent forward
    for name in ("root", "spine05", "spine04", "spine03", "spine02", "spine01"):
        if name in skeleton.names:
            pose[skeleton.index(name), 0] *= rng.uniform(0.1, 0.8)
    if rng.random() < 0.3:
        arms = sorted(skeleton.descendants("upperarm01.L") | skeleton.descendants("upperarm01.R"))
        pose[arms] = library.stand[rng.integers(len(library.stand))][arms]
    return pose


def _stance(library: PoseLibrary, skeleton: Skeleton, rng: np.random.Generator) -> Array:
    """A standing pose, or something between two of them."""
    a, b = library.stand[rng.integers(len(library.stand), size=2)]
    mix = rng.choice([0.0, rng.uniform(0, 0.5)])
    return np.asarray(a * (1 - mix) + b * mix)


def _move_arms(pose: Array, skeleton: Skeleton, rng: np.random.Generator) -> None:
    """Now and then a raised forearm, and a turned head, in place."""
    for side in "LR":
        if rng.random() < 0.05:
            pose[skeleton.index(f"lowerarm01.{side}")] += np.array([-rng.uniform(0.6, 1.3), 0.0, 0.0])
    if rng.random() < 0.5:
        pose[skeleton.index("head"), 1] += rng.normal(0, 0.35)
        pose[skeleton.index("head"), 0] += rng.normal(0.06, 0.12)


def _jitter(pose: Array, skeleton: Skeleton, rng: np.random.Generator) -> None:
    """Shake the big joints by a few degrees, in place."""
    for name, degrees in (("upperarm01", 6.0), ("lowerarm01", 7.0), ("upperleg01", 3.0), ("lowerleg01", 3.0), ("wrist", 8.0)):
        for side in "LR":
            pose[skeleton.index(f"{name}.{side}")] += rng.normal(0, np.radians(degrees), 3)
    pose[skeleton.index("spine02")] += rng.normal(0, np.radians(4.0), 3)


def _vectors(rotations: list[Array]) -> Array:
    """(F, B, 3) rotation vectors of a list of (B, 3, 3) rotations."""
    if not rotations:
        return np.zeros((0, 0, 3))
    stacked = np.stack(rotations)
    return np.asarray(Rotation.from_matrix(stacked.reshape(-1, 3, 3)).as_rotvec().reshape(*stacked.shape[:2], 3))


def _local_rotations(motion: Motion) -> Array:
    """(F, J, 3, 3): the product of a joint's rotations in the order of its channels; position channels are ignored."""
    result = np.tile(np.eye(3), (len(motion.frames), len(motion.joints), 1, 1))
    for j, joint in enumerate(motion.joints):
        for k, channel in enumerate(joint.channels):
            if channel.endswith("rotation"):
                angles = motion.frames[:, joint.start + k, None]
                result[:, j] = result[:, j] @ Rotation.from_euler(channel[0].lower(), angles, degrees=True).as_matrix()
    return result


def _rest_position(motion: Motion, joint: int) -> Array:
    """(3,) the joint's place in the rest pose: the sum of the offsets up to the root, the root's own left out."""
    position = np.zeros(3)
    while motion.joints[joint].parent >= 0:
        position += motion.joints[joint].offset
        joint = motion.joints[joint].parent
    return position


def _retargeted(motion: Motion, local: Array, turn: Array, skeleton: Skeleton, rest: Array) -> Array:
    """(F, B, 3, 3) rotations of the older rig carried over to ours, whose limbs rest in another direction."""
    names = [joint.name for joint in motion.joints]
    world = np.empty_like(local)
    for k, joint in enumerate(motion.joints):
        world[:, k] = world[:, joint.parent] @ local[:, k] if joint.parent >= 0 else local[:, k]
    heads = skeleton.heads(rest)
    wanted = {OLDER_RIG[name]: world[:, k] for k, name in enumerate(names) if name in OLDER_RIG}
    for name in names:
        limb, _, side = name.partition("_")
        if limb in OLDER_LIMBS and f"{OLDER_LIMBS[limb]}_{side}" in names:
            old = turn @ (_rest_position(motion, names.index(f"{OLDER_LIMBS[limb]}_{side}")) - _rest_position(motion, names.index(name)))
            bone = OLDER_RIG[name]
            new = heads[skeleton.index(f"{NEWER_LIMBS[limb]}.{side}")] - heads[skeleton.index(bone)]
            wanted[bone] = wanted[bone] @ _shortest_rotation(new, old)
    result = np.tile(np.eye(3), (len(local), len(skeleton.names), 1, 1))
    globals_ = np.empty_like(result)
    for row, parent in enumerate(skeleton.parents.tolist()):
        above = globals_[:, parent] if parent >= 0 else np.tile(np.eye(3), (len(local), 1, 1))
        globals_[:, row] = wanted.get(skeleton.names[row], above)
        result[:, row] = above.transpose(0, 2, 1) @ globals_[:, row]
    return result


def _shortest_rotation(source: Array, target: Array) -> Array:
    """(3, 3) the smallest rotation that turns one direction into another."""
    a, b = source / np.linalg.norm(source), target / np.linalg.norm(target)
    axis = np.cross(a, b)
    sine, cosine = float(np.linalg.norm(axis)), float(a @ b)
    if sine < 1e-9:
        return np.eye(3)
    return np.asarray(Rotation.from_rotvec(axis / sine * np.arctan2(sine, cosine)).as_matrix())

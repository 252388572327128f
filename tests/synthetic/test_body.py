"""Skeleton, skinning, poses and shapes."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from personsearch.errors import DataError
from personsearch.synthetic.body.assets import Assets, load_assets
from personsearch.synthetic.body.formats import Joint, Motion
from personsearch.synthetic.body.morph import Shape, morph, target_weights
from personsearch.synthetic.body.poses import mirror_pose, pose_rotations, sample_pose
from personsearch.synthetic.body.skeleton import bone_transforms, build_skeleton, mixed, skin, strongest
from personsearch.synthetic.people.appearance import draw_appearance, vary_one_item
from personsearch.synthetic.people.person import build_person, pose_person
from tests.helpers.synthetic_folder import joint_places, write_assets

QUARTER_ABOUT_Z = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])


@pytest.fixture(scope="module")
def assets(tmp_path_factory: pytest.TempPathFactory) -> Assets:
    return load_assets(write_assets(tmp_path_factory.mktemp("assets")))


def still(assets: Assets) -> np.ndarray:
    return np.tile(np.eye(3), (len(assets.skeleton.names), 1, 1))


def test_bones_turn_about_their_heads_and_carry_their_children(assets: Assets) -> None:
    rotations = still(assets)
    shoulder = assets.skeleton.index("upperarm01.L")
    rotations[shoulder] = QUARTER_ABOUT_Z
    heads = assets.skeleton.heads(assets.base.vertices)
    transforms = bone_transforms(assets.skeleton, heads, rotations)
    # shoulder at (2.3, 4.7, 0), elbow at (2.3, 2.3, 0): 2.4 straight down becomes 2.4 to +x
    elbow = assets.skeleton.index("lowerarm01.L")
    assert np.allclose(transforms[elbow] @ [*heads[elbow], 1], [2.3 + 2.4, 4.7, 0])
    assert np.allclose(transforms[assets.skeleton.index("head")], np.eye(3, 4))


def test_skinning_is_the_weighted_mean_of_what_the_bones_do() -> None:
    transforms = np.stack([np.eye(3, 4), np.concatenate([QUARTER_ABOUT_Z, [[10.0], [0], [0]]], axis=1)])
    posed = skin(
        np.array([[1.0, 0, 0], [1, 0, 0]]), np.array([[0, 1, 0, 0], [1, 0, 0, 0]]), np.array([[0.75, 0.25, 0, 0], [1, 0, 0, 0]]), transforms
    )
    # the second bone takes (1, 0, 0) to (0, 1, 0) + (10, 0, 0)
    assert posed.tolist() == [[0.75 * 1 + 0.25 * 10, 0.25, 0], [10, 1, 0]]


def test_the_still_pose_is_the_rest_pose_on_the_ground(assets: Assets) -> None:
    person = build_person(draw_appearance(assets, np.random.default_rng(0)), assets)
    posed = pose_person(person, still(assets))
    expected = (person.vertices - [0, person.vertices[:, 1].min(), 0]) * 0.1
    assert np.allclose(posed.vertices - posed.vertices.mean(0), expected - expected.mean(0), atol=1e-9)
    assert posed.vertices[:, 1].min() == pytest.approx(0)


def test_a_quarter_turn_makes_people_look_along_x(assets: Assets) -> None:
    person = build_person(draw_appearance(assets, np.random.default_rng(0)), assets)
    front, side = pose_person(person, still(assets)), pose_person(person, still(assets), np.pi / 2)
    assert np.allclose(side.vertices[:, 0], front.vertices[:, 2])
    assert np.allclose(side.vertices[:, 2], -front.vertices[:, 0])


def test_the_four_heaviest_weights_are_kept_and_sum_to_one() -> None:
    weights = strongest(np.array([[0.1, 0.2, 0.3, 0.15, 0.25], [0, 0, 0, 0, 0], [-1, 0, 2, 0, 0]]), 3)
    assert weights.bones[0].tolist() == [2, 4, 1, 3]
    assert np.allclose(weights.weights[0], np.array([0.3, 0.25, 0.2, 0.15]) / 0.9)
    assert weights.bones[1, 0] == 3
    assert weights.weights[1].tolist() == [1, 0, 0, 0]
    assert weights.bones[2, 0] == 2  # a negative weight counts as none
    assert weights.weights[2].tolist() == [1, 0, 0, 0]


def test_garment_weights_mix_those_of_the_body() -> None:
    base = strongest(np.eye(3), 0)
    found = mixed(base, np.array([[0, 1, 2]]), np.array([[0.75, 0.25, -0.2]]), 3, 0)
    assert found.bones[0, :2].tolist() == [0, 1]
    assert np.allclose(found.weights[0], [0.75, 0.25, 0, 0])


def test_a_skeleton_without_a_needed_bone_is_told() -> None:
    with pytest.raises(DataError, match=r"lacks the bones .*wrist\.L"):
        build_skeleton({"bones": {"root": {"parent": None}}, "joints": {}})


def test_a_file_with_z_up_is_turned_upright(assets: Assets) -> None:
    joints = (
        Joint("root", -1, (0, 0, 9), ("Zrotation",), 0),
        Joint("head", 0, (0, 0.1, 6), (), 1),
    )
    rotations = pose_rotations(Motion(joints, np.array([[90.0]])), assets.skeleton, assets.base.vertices)
    # a turn about the file's z is one about our y: +z goes to +x
    assert np.allclose(rotations[0, assets.skeleton.index("root")] @ [0, 0, 1], [1, 0, 0])


def test_channels_multiply_in_their_order(assets: Assets) -> None:
    joints = (Joint("root", -1, (0, 0, 0), ("Xposition", "Xrotation", "Yrotation"), 0), Joint("head", 0, (0, 6, 0), (), 3))
    rotations = pose_rotations(Motion(joints, np.array([[55.0, 90.0, 90.0]])), assets.skeleton, assets.base.vertices)
    # Rx . Ry: y first takes z to x, which turning about x keeps
    assert np.allclose(rotations[0, assets.skeleton.index("root")] @ [0, 0, 1], [1, 0, 0])


def test_the_older_rig_keeps_the_direction_of_its_limbs(assets: Assets) -> None:
    # arms straight out to the side at rest, hanging down after a quarter turn about z; our arms hang already
    joints = (
        Joint("Root", -1, (0, 0, 0), (), 0),
        Joint("Head", 0, (0, 6, 0), (), 0),
        Joint("UpArm_L", 0, (2, 5, 0), ("Zrotation",), 0),
        Joint("LoArm_L", 2, (3, 0, 0), (), 1),
        Joint("Hand_L", 3, (3, 0, 0), (), 1),
    )
    rotations = pose_rotations(Motion(joints, np.array([[-90.0], [0.0]])), assets.skeleton, assets.base.vertices)
    heads = assets.skeleton.heads(assets.base.vertices)
    shoulder, elbow, wrist = (assets.skeleton.index(name) for name in ("upperarm01.L", "lowerarm01.L", "wrist.L"))
    for frame, direction in ((0, [0, -1, 0]), (1, [1, 0, 0])):
        transforms = bone_transforms(assets.skeleton, heads, rotations[frame])
        at = [transforms[bone] @ [*heads[bone], 1] for bone in (shoulder, elbow, wrist)]
        assert np.allclose((at[1] - at[0]) / np.linalg.norm(at[1] - at[0]), direction)
        assert np.allclose((at[2] - at[1]) / np.linalg.norm(at[2] - at[1]), direction)


def test_a_mirrored_pose_is_the_mirror_image(assets: Assets) -> None:
    rng = np.random.default_rng(3)
    pose = rng.normal(0, 0.4, (len(assets.skeleton.names), 3))
    from scipy.spatial.transform import Rotation

    heads = assets.skeleton.heads(assets.base.vertices)
    first, second = (
        bone_transforms(assets.skeleton, heads, Rotation.from_rotvec(p).as_matrix()) for p in (pose, mirror_pose(pose, assets.skeleton))
    )
    left, right = assets.skeleton.index("foot.L"), assets.skeleton.index("foot.R")
    assert np.allclose((first[left] @ [*heads[left], 1]) * [-1, 1, 1], second[right] @ [*heads[right], 1])


@given(st.integers(0, 1 << 30))
def test_sampled_poses_are_rotations(seed: int) -> None:
    assets = _tiny()
    rotations, kind = sample_pose(assets.poses, assets.skeleton, np.random.default_rng(seed))
    assert kind in ("walk", "stand")  # the folder has no run
    assert np.allclose(rotations @ rotations.transpose(0, 2, 1), np.eye(3), atol=1e-9)
    assert np.allclose(np.linalg.det(rotations), 1)


_CACHE: list[Assets] = []


def _tiny() -> Assets:
    if not _CACHE:
        import tempfile

        with tempfile.TemporaryDirectory() as folder:
            _CACHE.append(load_assets(write_assets(Path(folder))))
    return _CACHE[0]


def test_target_weights_are_products() -> None:
    weights = target_weights(Shape(gender=0.75, ages=(0.0, 0.5, 0.5), races=(1.0, 0.0, 0.0), weight=-0.4, scale=1.0))
    assert weights["caucasian-male-young"] == pytest.approx(0.75 * 0.5)
    assert weights["caucasian-female-old"] == pytest.approx(0.25 * 0.5)
    assert weights["universal-male-old-averagemuscle-minweight"] == pytest.approx(0.75 * 0.5 * 0.4)
    assert not [name for name in weights if "asian-" in name and "caucasian" not in name]
    assert not [name for name in weights if "maxweight" in name or "child" in name]


def test_targets_move_the_body_in_proportion(assets: Assets) -> None:
    man = Shape(1.0, (0.0, 1.0, 0.0), (0.5, 0.5, 0.0), 0.0, 2.0)
    moved = morph(assets, man)
    shift = moved / 2.0 - assets.base.vertices
    # the folder's one race target lifts the eight corners of the head by .3 dm; half of the man is caucasian
    assert np.allclose(shift[8:16], [0, 0.15, 0])
    assert np.allclose(np.delete(shift, slice(8, 16), axis=0), 0)


def test_a_double_differs_in_one_item_that_is_seen(assets: Assets) -> None:
    for seed in range(60):
        rng = np.random.default_rng(seed)
        person = draw_appearance(assets, rng)
        double = vary_one_item(person, rng)
        changed = [name for name in person.__dataclass_fields__ if getattr(person, name) != getattr(double, name)]
        assert len(changed) == 1
        assert changed[0] in ("bag", "shoe_color", "bottom", "top", "hair_color")


def test_every_kind_of_person_can_be_built(assets: Assets) -> None:
    seen = set()
    for seed in range(80):
        look = draw_appearance(assets, np.random.default_rng(seed))
        seen |= {look.bottom.outer, look.bag.kind if look.bag else "none"}
        person = build_person(look, assets)
        assert person.triangles.max() < len(person.vertices)
        assert np.isfinite(person.vertices).all()
        assert np.allclose(person.weights.sum(axis=1), 1)
    assert seen == {"", "skirt", "coat", "none", "backpack", "shoulder", "hand"}


def test_a_hand_bag_stays_upright_below_a_raised_hand(assets: Assets) -> None:
    look = next(
        look
        for look in (draw_appearance(assets, np.random.default_rng(seed)) for seed in range(99))
        if look.bag and look.bag.kind == "hand"
    )
    person = build_person(look, assets)
    rotations = still(assets)
    rotations[assets.skeleton.index("upperarm01.L")] = QUARTER_ABOUT_Z
    bag = person.material == 7
    rows = np.unique(person.triangles[bag])
    before, after = pose_person(person, still(assets)).vertices[rows], pose_person(person, rotations).vertices[rows]
    assert np.allclose(after - after[0], before - before[0])
    assert np.linalg.norm(after[0] - before[0]) > 0.2


def test_the_tiny_body_is_what_the_tests_think(assets: Assets) -> None:
    heads = assets.skeleton.heads(assets.base.vertices)
    assert all(np.allclose(heads[assets.skeleton.index(name)], place) for name, place in joint_places().items())

"""MakeHuman's text formats, read from files small enough to work out by hand."""

import gzip
import sys
from pathlib import Path

import numpy as np
import pytest

from personsearch.errors import DataError, MissingExtraError
from personsearch.synthetic.body.assets import fit, halves, load_assets, pieces
from personsearch.synthetic.body.formats import read_json, read_mesh, read_motion, read_proxy, read_target
from personsearch.synthetic.kernels import jit
from personsearch.synthetic.kernels.jit import compiled
from tests.helpers.synthetic_folder import write_assets

PROXY = """# a comment
name  two words
tag Male
tag Casual
obj_file shirt.obj
x_scale 0 1 2.0
verts 0
5
0 1 2 0.5 0.25 0.25 1.0 2.0 3.0

delete_verts
7 9 - 11 3
"""


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_a_quad_becomes_two_triangles_in_its_group(tmp_path: Path) -> None:
    mesh = read_mesh(write(tmp_path / "m.obj", "v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\nvt 0 0\ng body\nf 1/1 2/1 3/1 4/1\ng rest\nf 1 2 3\n"))
    assert mesh.triangles.tolist() == [[0, 1, 2], [0, 2, 3], [0, 1, 2]]
    assert {name: rows.tolist() for name, rows in mesh.groups.items()} == {"body": [0, 1], "rest": [2]}
    assert mesh.vertices[2].tolist() == [1, 1, 0]


def test_a_face_with_a_missing_vertex_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="names vertex 4, the mesh has 3"):
        read_mesh(write(tmp_path / "m.obj", "v 0 0 0\nv 1 0 0\nv 1 1 0\nf 1 2 4\n"))


def test_a_target_has_vertices_and_shifts_and_may_be_empty(tmp_path: Path) -> None:
    path = tmp_path / "a.target.gz"
    path.write_bytes(gzip.compress(b"# text\n3 .5 -1 0\n7 0 0 2\n"))
    rows, shift = read_target(path)
    assert rows.tolist() == [3, 7]
    assert shift.tolist() == [[0.5, -1, 0], [0, 0, 2]]
    path.write_bytes(gzip.compress(b"# nothing\n"))
    assert read_target(path)[1].shape == (0, 3)


def test_a_proxy_copies_single_vertices_mixes_three_and_hides_ranges(tmp_path: Path) -> None:
    proxy = read_proxy(write(tmp_path / "shirt.mhclo", PROXY))
    assert proxy.name == "two words"
    assert proxy.tags == ("Male", "Casual")
    assert proxy.anchors.tolist() == [[5, 5, 5], [0, 1, 2]]
    assert proxy.weights.tolist() == [[1, 0, 0], [0.5, 0.25, 0.25]]
    assert sorted(proxy.hidden.tolist()) == [3, 7, 9, 10, 11]


def test_a_garment_follows_the_body_and_its_offset_grows_with_it(tmp_path: Path) -> None:
    proxy = read_proxy(write(tmp_path / "shirt.mhclo", PROXY))
    body = np.array([[0, 0, 0], [4, 0, 0], [0, 8, 0], [0, 0, 0], [0, 0, 0], [7, 8, 9]], float)
    # x: vertices 0 and 1 lie 4 apart where the unit is 2, so the offset's x doubles; y and z have no scale
    assert fit(proxy, body).tolist() == [[7, 8, 9], [0.25 * 4 + 1 * 2, 0.25 * 8 + 2, 3]]


def test_a_proxy_without_bindings_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no `verts`"):
        read_proxy(write(tmp_path / "x.mhclo", "name x\nobj_file x.obj\n"))


MOTION = """HIERARCHY
ROOT a
{
OFFSET 1 2 3
CHANNELS 6 Xposition Yposition Zposition Zrotation Yrotation Xrotation
JOINT b
{
OFFSET 0 4 0
CHANNELS 3 Xrotation Yrotation Zrotation
End Site
{
OFFSET 0 9 0
}
}
JOINT c
{
OFFSET 5 0 0
CHANNELS 1 Yrotation
}
}
MOTION
Frames: 2
Frame Time: 0.04
0 0 0 1 2 3 4 5 6 7
0 0 0 0 0 0 0 0 0 -1e-3
"""


def test_a_motion_has_joints_with_parents_and_columns(tmp_path: Path) -> None:
    motion = read_motion(write(tmp_path / "m.bvh", MOTION))
    assert [(joint.name, joint.parent, joint.start, joint.offset) for joint in motion.joints] == [
        ("a", -1, 0, (1, 2, 3)),
        ("b", 0, 6, (0, 4, 0)),
        ("c", 0, 9, (5, 0, 0)),
    ]
    assert motion.joints[0].channels[3:] == ("Zrotation", "Yrotation", "Xrotation")
    assert motion.frames.shape == (2, 10)


def test_a_motion_with_a_missing_column_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="10 channels"):
        read_motion(write(tmp_path / "m.bvh", MOTION.replace("4 5 6 7", "4 5 6")))


def test_a_missing_file_and_a_wrong_json_are_errors(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere\.obj is missing; MakeHuman"):
        read_mesh(tmp_path / "nowhere.obj")
    with pytest.raises(DataError, match="no 'bones' inside"):
        read_json(write(tmp_path / "x.mhskel", '{"joints": {}}'), "bones")


def test_a_folder_is_read_whole(tmp_path: Path) -> None:
    assets = load_assets(write_assets(tmp_path))
    assert sorted(assets.suits) == ["female_suit01", "male_suit01"]
    assert list(assets.shoes) == ["shoes01"]
    assert list(assets.hair) == ["short01"]
    assert not assets.hats
    suit = assets.suits["male_suit01"]
    # the seven clothed boxes are torso, arms (upper) and legs (lower), twelve triangles each
    assert suit.upper.sum() == 5 * 12
    assert len(suit.upper) == 9 * 12
    # on the unmorphed body the garment is the mesh of its own file
    assert np.allclose(suit.surface.rest, read_mesh(suit.proxy.mesh_file).vertices)


@pytest.mark.parametrize(
    ("missing", "told"), [("base.obj", "base.obj is missing"), ("rig/default.mhskel", "mhskel is missing"), ("poses/walk1.bvh", "no walk")]
)
def test_a_missing_part_of_the_folder_is_named_with_its_publisher(tmp_path: Path, missing: str, told: str) -> None:
    (write_assets(tmp_path) / missing).unlink()
    with pytest.raises(DataError, match=f"{told}.*MakeHuman publishes.*CC0"):
        load_assets(tmp_path)


def test_a_missing_folder_or_one_without_clothes_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is not a folder of MakeHuman meshes"):
        load_assets(tmp_path / "nowhere")
    folder = write_assets(tmp_path)
    for path in folder.glob("clothes/*/*.mhclo"):
        path.unlink()
    with pytest.raises(DataError, match=r"has no clothes/\*/\*.mhclo"):
        load_assets(folder)


def test_pieces_are_joined_by_shared_vertices() -> None:
    triangles = np.array([[4, 5, 6], [0, 1, 2], [6, 7, 8], [2, 3, 0]])
    label = pieces(triangles, 9)
    assert label[0] == label[2]
    assert label[1] == label[3]
    assert label[0] != label[1]
    assert pieces(np.zeros((0, 3), int), 0).shape == (0,)


def test_a_welded_suit_is_cut_and_separate_pieces_are_not() -> None:
    # a shirt, trousers, and a strip of three triangles from the ankle to the neck, of which the middle one is cut
    rest = np.zeros((11, 3))
    rest[:, 1] = [5, 3, 2, -1, -5, -7, -6, -4, 1, 4, 6]
    triangles = np.array([[0, 1, 2], [3, 4, 5], [6, 7, 6], [7, 8, 7], [8, 9, 10]])
    upper, lower, cut = halves(rest, triangles, 0.0)
    assert cut == pytest.approx(0.1)
    assert upper.tolist() == [True, False, False, True, True]
    assert lower.tolist() == [False, True, True, True, False]
    assert halves(rest, triangles[:2], 0.0)[2] == -np.inf


def test_without_numba_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "numba", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'personsearch\[synthetic\]'"):
        compiled(len)


def test_compiled_functions_are_cached_by_state_of_the_sources(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from numba.core import config

    monkeypatch.setattr(config, "CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(jit, "_sources", lambda: "first")
    twice = compiled(_twice)
    monkeypatch.setattr(jit, "_sources", lambda: "second")
    again = compiled(_twice)
    assert (twice(2), again(3)) == (4, 6)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kernels-first", "kernels-second"]
    assert str(tmp_path) == config.CACHE_DIR


def _twice(value: int) -> int:
    return 2 * value

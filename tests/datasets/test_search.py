"""PRW and CUHK-SYSU, on small folders and, as extra, on the real annotation files."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.io import savemat

from personsearch.datasets import cuhk_sysu, prw
from personsearch.datasets.people import Picture, number_identities, xywh_to_xyxy
from personsearch.errors import ConfigError, DataError
from tests.helpers.dataset_folders import cells, write_cuhk_sysu, write_prw


def real(name: str) -> Path:
    return Path(os.environ["PERSONSEARCH_SHARED"]) / "data" / "annotations" / name


def test_prw_training_frames_are_numbered_without_gaps(tmp_path: Path) -> None:
    pictures, count = prw.load_train(write_prw(tmp_path / "prw"))
    assert count == 2
    assert [one.identities.tolist() for one in pictures] == [[0], [0, 1, -1]]
    assert [one.camera for one in pictures] == [1, 2]
    assert pictures[0].boxes.tolist() == [[10, 20, 30, 110]]
    assert pictures[0].boxes.dtype == np.float32


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_prw_queries_with_either_line_ending(tmp_path: Path, ending: str) -> None:
    root = write_prw(tmp_path / "prw", ending=ending)
    first, second = prw.load_test(root).queries
    assert (first.path, first.identity, first.camera) == (root / "frames" / "c1s3_000010.jpg", 3, 1)
    assert first.box.tolist() == [10, 20, 30, 110]  # 10.7 + 20 is cut to 30
    assert second.path.is_file()


def test_prw_box_left_of_the_frame_is_clipped_first(tmp_path: Path) -> None:
    root = write_prw(tmp_path / "prw")
    savemat(root / "annotations" / "c1s3_000010.jpg.mat", {"anno_previous": np.array([[3, -5.0, 20, 20, 90.9]])}, appendmat=False)
    assert prw.load_test(root).gallery[0].boxes.tolist() == [[0, 20, 20, 110]]


def test_prw_json_and_mat_give_the_same_pictures(tmp_path: Path) -> None:
    root = write_prw(tmp_path / "prw")
    from_mat = prw.load_pictures(root, "test")
    rows = [(place, one) for place, one in enumerate(from_mat)]
    content = {
        "images": [{"id": place, "file_name": one.path.name} for place, one in rows],
        "annotations": [
            {"image_id": place, "person_id": int(identity) if identity >= 0 else -2, "bbox": [x1, y1, x2 - x1, y2 - y1]}
            for place, one in rows
            for identity, (x1, y1, x2, y2) in zip(one.identities, one.boxes.tolist(), strict=True)
        ],
    }
    (root / "annotations" / "test_pid.json").write_text(json.dumps(content))
    for one, other in zip(prw.load_pictures(root, "test"), from_mat, strict=True):
        assert (one.path, one.camera) == (other.path, other.camera)
        assert np.array_equal(one.boxes, other.boxes)
        assert np.array_equal(one.identities, other.identities)


def test_prw_frame_without_people_is_kept(tmp_path: Path) -> None:
    root = write_prw(tmp_path / "prw")
    savemat(root / "annotations" / "c1s3_000010.jpg.mat", {"box_new": np.zeros((0, 5))}, appendmat=False)
    assert prw.load_test(root).gallery[0].boxes.shape == (0, 4)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("frame_test.mat", None, "is not there; download PRW"),
        ("frame_test.mat", b"rubbish", "damaged or of another form"),
        ("annotations/c1s3_000010.jpg.mat", b"", "damaged or of another form"),
        ("query_info.txt", None, "is not there; download PRW"),
        ("query_info.txt", b"3 1 2 3 c1s3_000010\n", "line 1 must be: identity x y w h frame"),
        ("query_info.txt", b"3 1 2 3 4 frame\n", "does not begin with its camera"),
    ],
)
def test_prw_file_missing_or_broken_says_what_to_do(tmp_path: Path, name: str, content: bytes | None, message: str) -> None:
    root = write_prw(tmp_path / "prw")
    (root / name).unlink()
    if content is not None:
        (root / name).write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        prw.load_test(root)
    assert name.split("/")[-1] in str(caught.value)


def test_prw_annotations_under_an_unknown_key(tmp_path: Path) -> None:
    root = write_prw(tmp_path / "prw")
    savemat(root / "annotations" / "c1s3_000010.jpg.mat", {"boxes": np.zeros((0, 5))}, appendmat=False)
    with pytest.raises(DataError, match="none of box_new, anno_file, anno_previous"):
        prw.load_test(root)


def test_a_root_that_is_not_there() -> None:
    with pytest.raises(DataError, match="nowhere is not a folder; download PRW"):
        prw.load_test(Path("nowhere"))
    with pytest.raises(DataError, match="SSM is not a folder; ask the authors"):
        cuhk_sysu.load_test(Path("nowhere"))


def test_cuhk_sysu_training_pictures_are_those_outside_the_pool(tmp_path: Path) -> None:
    (picture,), count = cuhk_sysu.load_train(write_cuhk_sysu(tmp_path))
    assert (picture.path.name, picture.identities.tolist(), count) == ("s1.jpg", [0], 1)
    assert picture.boxes.tolist() == [[10, 20, 30, 110]]


def test_cuhk_sysu_query_list_and_identities(tmp_path: Path) -> None:
    loaded = cuhk_sysu.load_test(write_cuhk_sysu(tmp_path), 100)
    assert {one.path.name: one.identities.tolist() for one in loaded.gallery} == {
        "s2.jpg": [0, -1],
        "s3.jpg": [0],
        "s4.jpg": [-1, 0],
        "s5.jpg": [-1],  # its second box has no width
    }
    (query,) = loaded.queries
    assert (query.path.name, query.box.tolist(), query.identity) == ("s2.jpg", [10, 20, 30, 110], 0)
    assert [(one.path.name, one.box_xywh) for one in query.candidates or ()] == [
        ("s3.jpg", (20, 20, 20, 85)),
        ("s4.jpg", (100, 20, 20, 80)),
        ("s5.jpg", None),
    ]


def test_cuhk_sysu_full_gallery_leaves_out_only_the_query(tmp_path: Path) -> None:
    (query,) = cuhk_sysu.load_test(write_cuhk_sysu(tmp_path), "full").queries
    assert [one.path.name for one in query.candidates or ()] == ["s3.jpg", "s5.jpg", "s4.jpg"]
    assert [one.box_xywh is None for one in query.candidates or ()] == [False, True, True]


def test_cuhk_sysu_size_and_broken_files(tmp_path: Path) -> None:
    root = write_cuhk_sysu(tmp_path)
    with pytest.raises(ConfigError, match="50, 100, 500, 1000, 2000, 4000"):
        cuhk_sysu.load_test(root, 70)
    with pytest.raises(DataError, match=r"TestG500.mat is not there; ask the authors"):
        cuhk_sysu.load_test(root, 500)
    whole = (root / "annotation" / "Images.mat").read_bytes()
    (root / "annotation" / "Images.mat").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"Images.mat is damaged"):
        cuhk_sysu.load_test(root)
    (root / "annotation" / "Images.mat").write_bytes(whole)
    savemat(root / "annotation" / "pool.mat", {"pool": cells(["s77.jpg"])})
    with pytest.raises(DataError, match=r"pool.mat names s77.jpg, which Images.mat lacks"):
        cuhk_sysu.load_test(root)


def test_pictures_check_their_arrays() -> None:
    with pytest.raises(DataError, match=r"1 identities need boxes \(1, 4\), got \(2, 4\)"):
        Picture(Path("a.jpg"), np.ones((2, 4), np.float32), np.zeros(1, np.int64))
    with pytest.raises(DataError, match="x1 < x2"):
        Picture(Path("a.jpg"), np.array([[5, 5, 5, 9]], np.float32), np.zeros(1, np.int64))


def test_numbering_nobody() -> None:
    assert number_identities([]) == ((), 0)


@given(st.lists(arrays(np.int64, st.integers(0, 5), elements=st.integers(-1, 1000)), max_size=5))
def test_numbering_keeps_who_is_the_same(identities: list[np.ndarray]) -> None:
    pictures = [Picture(Path("a.jpg"), np.tile(np.float32([0, 0, 1, 1]), (len(one), 1)), one) for one in identities]
    numbered, count = number_identities(pictures)
    old = [int(value) for one in identities for value in one]
    new = [int(value) for one in numbered for value in one.identities]
    assert sorted(set(new) - {-1}) == list(range(count))
    assert len(set(zip(old, new, strict=True))) == len(set(old)) == len(set(new))
    assert all((a == -1) == (b == -1) for a, b in zip(old, new, strict=True))


def test_corners_of_no_boxes() -> None:
    assert xywh_to_xyxy(np.zeros((0, 0))).shape == (0, 4)


@pytest.mark.extra
def test_the_real_prw_json() -> None:
    train, count = number_identities(prw.read_coco(real("prw/train_pid.json"), Path("frames")))
    test = prw.read_coco(real("prw/test_pid.json"), Path("frames"))
    assert (len(train), sum(len(one.boxes) for one in train), count) == (5704, 18048, 483)
    assert (len(test), sum(len(one.boxes) for one in test)) == (6112, 25062)
    assert {one.camera for one in test} == {1, 2, 3, 4, 5, 6}


@pytest.mark.extra
def test_the_real_cuhk_sysu_protocol() -> None:
    queries = cuhk_sysu.read_protocol(real("cuhk_sysu/TestG100.mat"), Path("SSM"))
    assert len(queries) == 2900
    assert {len(one.candidates or ()) for one in queries} == {100}
    first = queries[0]
    assert (first.path.name, first.box.tolist()) == ("s15538.jpg", [488, 90, 576, 340])
    assert [one.box_xywh for one in (first.candidates or ())[:1]] == [(430, 121, 93, 266)]
    assert all(any(one.box_xywh for one in query.candidates or ()) for query in queries)

"""Data sets of crops: re-identification sets and people's own folders."""

import os
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from personsearch.datasets import crops, cuhk03, market1501, msmt17
from personsearch.datasets.crops import Crop
from personsearch.errors import DataError
from tests.helpers.dataset_folders import cells


def real(name: str) -> Path:
    return Path(os.environ["PERSONSEARCH_SHARED"]) / "data" / "annotations" / name


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_a_folder_for_each_person(tmp_path: Path) -> None:
    touch(tmp_path / "bob" / "1.jpg", tmp_path / "ann" / "x" / "2.PNG", tmp_path / "ann" / "notes.txt", tmp_path / ".cache" / "3.jpg")
    (tmp_path / "empty").mkdir()
    found, names = crops.load_folders(tmp_path)
    assert names == ("ann", "bob")
    assert found == (Crop(tmp_path / "ann" / "x" / "2.PNG", 0), Crop(tmp_path / "bob" / "1.jpg", 1))


def test_unlabelled_crops(tmp_path: Path) -> None:
    touch(tmp_path / "b" / "1.jpg", tmp_path / "a.jpg")
    assert crops.load_unlabelled(tmp_path) == (Crop(tmp_path / "a.jpg", -1), Crop(tmp_path / "b" / "1.jpg", -1))


def test_folders_of_crops_missing_or_empty(tmp_path: Path) -> None:
    for load in (crops.load_folders, crops.load_unlabelled):
        with pytest.raises(DataError, match="is not a folder"):
            load(tmp_path / "nowhere")
        with pytest.raises(DataError, match=r"holds no (folder with )?picture"):
            load(tmp_path)


def test_market_names(tmp_path: Path) -> None:
    train, test = tmp_path / "bounding_box_train", tmp_path / "bounding_box_test"
    touch(train / "0002_c1s1_000451_03.jpg", train / "Thumbs.db", tmp_path / "query" / "0003_c6s2_000001_00.jpg")
    touch(test / "-1_c2s1_000001_00.jpg", test / "0000_c3s1_000001_00.jpg", test / "0003_c4s1_000001_00.jpg.jpg")
    loaded = market1501.load(tmp_path)
    assert loaded.train == (Crop(train / "0002_c1s1_000451_03.jpg", 2, 1),)
    assert [(one.identity, one.camera) for one in loaded.query] == [(3, 6)]
    assert [(one.identity, one.camera) for one in loaded.gallery] == [(0, 3), (3, 4)]


def test_market_missing_or_broken(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="bounding_box_train is not a folder; download Market"):
        market1501.load(tmp_path)
    (tmp_path / "bounding_box_train").mkdir()
    with pytest.raises(DataError, match=r"holds no \.jpg files"):
        market1501.load(tmp_path)
    touch(tmp_path / "bounding_box_train" / "img.jpg")
    with pytest.raises(DataError, match="the name must be as 0002_c1s1"):
        market1501.load(tmp_path)


def write_msmt17(root: Path) -> None:
    for part, camera in (("train", "12"), ("val", "01"), ("query", "07"), ("gallery", "15")):
        (root / f"list_{part}.txt").write_text(f"0003/0003_045_{camera}_0303morning_0006_2.jpg 3\n")


@pytest.mark.parametrize(("make", "folder"), [("mask_train_v2", "mask_train_v2"), ("train", "train")])
def test_msmt17_lists(tmp_path: Path, make: str, folder: str) -> None:
    write_msmt17(tmp_path)
    (tmp_path / make).mkdir()
    loaded = msmt17.load(tmp_path)
    assert loaded.train[0] == Crop(tmp_path / folder / "0003" / "0003_045_12_0303morning_0006_2.jpg", 3, 12)
    assert [one.camera for one in (*loaded.train, *loaded.query, *loaded.gallery)] == [12, 1, 7, 15]


def test_msmt17_missing_or_broken(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"list_train.txt is not there; ask the authors of MSMT17"):
        msmt17.load(tmp_path)
    write_msmt17(tmp_path)
    (tmp_path / "list_query.txt").write_text("\n0003/0003_045.jpg 3\n")
    with pytest.raises(DataError, match=r"list_query.txt: line 2 must be as"):
        msmt17.load(tmp_path)


def write_cuhk03(root: Path, **changed: object) -> None:
    content = {
        "filelist": cells(["1_001_1_01.png", "1_001_2_02.png", "1_002_1_01.png"]),
        "labels": np.array([[1], [1], [2]], np.uint16),
        "camId": np.array([[1], [2], [1]], np.uint8),
        "train_idx": np.array([[3]], np.uint16),
        "query_idx": np.array([[1]], np.uint16),
        "gallery_idx": np.array([[2]], np.uint16),
    }
    savemat(root / "cuhk03_new_protocol_config_labeled.mat", content | changed)


def test_cuhk03_indices_count_from_one(tmp_path: Path) -> None:
    write_cuhk03(tmp_path)
    loaded = cuhk03.load(tmp_path, "labeled")
    assert loaded.train == (Crop(tmp_path / "images_labeled" / "1_002_1_01.png", 2, 1),)
    assert loaded.query == (Crop(tmp_path / "images_labeled" / "1_001_1_01.png", 1, 1),)
    assert loaded.gallery == (Crop(tmp_path / "images_labeled" / "1_001_2_02.png", 1, 2),)


def test_cuhk03_missing_or_broken(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"config_detected.mat is not there; download CUHK03"):
        cuhk03.load(tmp_path)
    for place in (0, 4):
        write_cuhk03(tmp_path, query_idx=np.array([[place]]))
        with pytest.raises(DataError, match=f"an index is {place}, but there are 3 crops"):
            cuhk03.load(tmp_path, "labeled")
    write_cuhk03(tmp_path, labels=np.array([[1]]))
    with pytest.raises(DataError, match="another form"):
        cuhk03.load(tmp_path, "labeled")


@pytest.mark.extra
def test_the_real_msmt17_lists() -> None:
    train = msmt17.read_list(real("msmt17/list_train_first2000.txt"), Path("train"))
    assert (len(train), train[0].camera, train[0].identity) == (2000, 12, 0)
    val = msmt17.read_list(real("msmt17/list_val.txt"), Path("train"))
    assert len(val) == 2373
    assert {one.camera for one in val} == set(range(1, 16))


@pytest.mark.extra
@pytest.mark.parametrize(("boxes", "counts"), [("labeled", (7368, 1400, 5328)), ("detected", (7365, 1400, 5332))])
def test_the_real_cuhk03_protocol(boxes: str, counts: tuple[int, int, int]) -> None:
    loaded = cuhk03.read_protocol(real(f"cuhk03/cuhk03_new_protocol_config_{boxes}.mat"), Path("images"))
    assert (len(loaded.train), len(loaded.query), len(loaded.gallery)) == counts
    train, test = ({one.identity for one in part} for part in (loaded.train, loaded.gallery))
    assert (len(train), len(test), train & test) == (767, 700, set())

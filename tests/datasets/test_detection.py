"""Data sets with boxes and without identities."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from personsearch.datasets import citypersons, crowdhuman, eurocity
from personsearch.errors import DataError
from tests.helpers.dataset_folders import cells, structs


def real(name: str) -> Path:
    return Path(os.environ["PERSONSEARCH_SHARED"]) / "data" / "annotations" / name


def odgt_line(*boxes: dict) -> str:
    return json.dumps({"ID": "12,ab", "gtboxes": list(boxes)})


def test_crowdhuman_people_and_ignored(tmp_path: Path) -> None:
    (tmp_path / "annotation_val.odgt").write_text(
        odgt_line(
            {"tag": "person", "fbox": [-5, 10, 20, 40], "extra": {"box_id": 0}},
            {"tag": "person", "fbox": [50, 10, 20, 40], "extra": {"ignore": 1}},
            {"tag": "mask", "fbox": [0, 0, 5, 5]},
            {"tag": "person", "fbox": [0, 0, 0, 5]},
        )
        + "\n\n"
    )
    (picture,) = crowdhuman.load(tmp_path, "val")
    assert picture.path == tmp_path / "Images" / "12,ab.jpg"
    assert picture.boxes.tolist() == [[-5, 10, 15, 50]]
    assert picture.identities.tolist() == [-1]
    assert picture.ignore.tolist() == [[50, 10, 70, 50], [0, 0, 5, 5]]


def test_crowdhuman_missing_or_broken(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"annotation_train.odgt is not there; download CrowdHuman"):
        crowdhuman.load(tmp_path)
    (tmp_path / "annotation_train.odgt").write_text(odgt_line() + "\n" + odgt_line()[:-3])
    with pytest.raises(DataError, match=r"line 2 is not JSON .*; download CrowdHuman"):
        crowdhuman.load(tmp_path)
    (tmp_path / "annotation_train.odgt").write_text('{"ID": "a"}')
    with pytest.raises(DataError, match=r"another form \(KeyError: 'gtboxes'\)"):
        crowdhuman.load(tmp_path)


def write_citypersons(root: Path, rows: np.ndarray) -> None:
    (root / "annotations").mkdir(exist_ok=True)
    record = structs(cityname=["ulm"], im_name=["ulm_1.png"], bbs=[rows])
    savemat(root / "annotations" / "anno_val.mat", {"anno_val_aligned": cells([record])})


def test_citypersons_people_and_ignored(tmp_path: Path) -> None:
    rows = np.zeros((4, 10), np.uint8)
    rows[:, :5] = [[1, 250, 10, 20, 40], [3, 5, 5, 9, 9], [0, 1, 1, 2, 2], [5, 1, 2, 3, 4]]
    write_citypersons(tmp_path, rows)
    (picture,) = citypersons.load(tmp_path, "val")
    assert picture.path == tmp_path / "leftImg8bit" / "val" / "ulm" / "ulm_1.png"
    assert picture.boxes.tolist() == [[250, 10, 270, 50], [5, 5, 14, 14]]  # 250 + 20 does not wrap at 256
    assert picture.ignore.tolist() == [[1, 1, 3, 3], [1, 2, 4, 6]]


def test_citypersons_without_people_missing_and_broken(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"anno_val.mat is not there; download leftImg8bit"):
        citypersons.load(tmp_path, "val")
    write_citypersons(tmp_path, np.zeros((0, 10)))
    assert citypersons.load(tmp_path, "val")[0].boxes.shape == (0, 4)
    write_citypersons(tmp_path, np.ones((3, 7)))
    with pytest.raises(DataError, match="another form"):
        citypersons.load(tmp_path, "val")


def test_eurocity_people_and_ignored(tmp_path: Path) -> None:
    labels = tmp_path / "night" / "labels" / "val" / "basel"
    labels.mkdir(parents=True)

    def child(identity: str, x: int) -> dict:
        return {"identity": identity, "x0": x, "y0": 1, "x1": x + 5, "y1": 11, "tags": [], "children": []}

    names = ("pedestrian", "rider", "person-group-far-away", "bicycle")
    (labels / "basel_1.json").write_text(json.dumps({"children": [child(name, 10 * place) for place, name in enumerate(names)]}))
    (labels / "basel_2.json").write_text('{"children": []}')
    first, second = eurocity.load(tmp_path, "val", time="night")
    assert first.path == tmp_path / "night" / "img" / "val" / "basel" / "basel_1.png"
    assert first.boxes.tolist() == [[0, 1, 5, 11], [10, 1, 15, 11]]
    assert first.ignore.tolist() == [[20, 1, 25, 11]]
    assert len(second.boxes) == 0


def test_eurocity_missing_or_broken(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is not a folder; ask the authors of EuroCity"):
        eurocity.load(tmp_path)
    city = tmp_path / "day" / "labels" / "train" / "ulm"
    city.mkdir(parents=True)
    with pytest.raises(DataError, match="holds no city with JSON files"):
        eurocity.load(tmp_path)
    (city / "ulm_1.json").write_text('{"children": [')
    with pytest.raises(DataError, match=r"ulm_1.json: the file is not JSON"):
        eurocity.load(tmp_path)


@pytest.mark.extra
def test_the_real_crowdhuman_lines() -> None:
    pictures = crowdhuman.read_odgt(real("crowdhuman/sample_2lines.odgt"), Path("Images"))
    assert pictures[0].path == Path("Images/284193,faa9000f2678b5e.jpg")
    assert pictures[0].boxes[0].tolist() == [61, 123, 252, 576]
    assert len(pictures) == 2


@pytest.mark.extra
def test_the_real_citypersons_annotations() -> None:
    train = citypersons.read_annotations(real("citypersons/anno_train.mat"), Path("train"))
    val = citypersons.read_annotations(real("citypersons/anno_val.mat"), Path("val"))
    assert (len(train), len(val)) == (2975, 500)
    assert train[0].path == Path("train/aachen/aachen_000000_000019_leftImg8bit.png")
    assert train[0].boxes.tolist() == [[892, 445, 913, 498], [901, 443, 935, 498], [1844, 436, 1888, 542]]
    assert train[0].ignore.tolist() == [[1025, 215, 1053, 249]]

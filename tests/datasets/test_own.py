"""PoseTrack21, and people's own COCO and YOLO files."""

import json
import os
from pathlib import Path

import pytest
from PIL import Image

from personsearch.datasets import coco, posetrack21, yolo
from personsearch.errors import DataError


def write_posetrack21(root: Path) -> Path:
    (root / "posetrack_person_search").mkdir(parents=True)
    people = {
        "train": [(1, 700, 0), (2, 700, 100), (2, 900, 200)],
        "val": [(1, 4, 0), (1, 5, 100), (2, 4, 50)],
        "query": [(1, 4, 0), (1, 5, 100)],  # person 5 is nowhere but in the query's own picture
    }
    for part, rows in people.items():
        images = [
            {"id": one, "vid_id": "000342", "file_name": f"images/{part}/{one}.jpg", "ignore_regions_x": [], "ignore_regions_y": []}
            for one in (1, 2, 3)
        ]
        if part == "query":
            images[0]["file_name"] = "images/val/1.jpg"
        images[0] |= {"ignore_regions_x": [5, 9, 7], "ignore_regions_y": [1, 2, 8]}
        images[1] |= {"ignore_regions_x": [[0, 4], [10, 30]], "ignore_regions_y": [[0, 4], [20, 60]]}
        annotations = [{"image_id": image, "person_id": person, "bbox": [left + 0.7, 10, 20, 50.5]} for image, person, left in rows]
        content = {"images": images, "annotations": annotations}
        (root / "posetrack_person_search" / f"{part}.json").write_text(json.dumps(content))
    return root


def test_posetrack21_training_and_ignored_regions(tmp_path: Path) -> None:
    pictures, count = posetrack21.load_train(write_posetrack21(tmp_path))
    assert count == 2
    assert [one.identities.tolist() for one in pictures] == [[0], [0, 1]]  # picture 3 has no people
    assert pictures[0].path == tmp_path / "images" / "train" / "1.jpg"
    assert pictures[0].boxes.tolist() == [[0, 10, 20, 60]]
    assert pictures[0].ignore.tolist() == [[5, 1, 9, 8]]
    assert pictures[1].ignore.tolist() == [[0, 0, 4, 4], [10, 20, 30, 60]]
    assert [one.tolist() for one in pictures[0].ignore_polygons] == [[[5, 1], [9, 2], [7, 8]]]
    assert [len(one) for one in pictures[1].ignore_polygons] == [2, 2]


def test_posetrack21_pictures_without_regions_to_ignore(tmp_path: Path) -> None:
    file = write_posetrack21(tmp_path) / "posetrack_person_search" / "train.json"
    content = json.loads(file.read_text())
    for name in ("ignore_regions_x", "ignore_regions_y"):
        content["images"][0][name] = []
        del content["images"][1][name]
    file.write_text(json.dumps(content))
    pictures, _ = posetrack21.load_train(tmp_path)
    assert [(one.ignore.shape, one.ignore_polygons) for one in pictures] == [((0, 4), ())] * 2


def test_posetrack21_regions_whose_corners_lack_a_number(tmp_path: Path) -> None:
    file = write_posetrack21(tmp_path) / "posetrack_person_search" / "train.json"
    file.write_text(file.read_text().replace('"ignore_regions_x": [5, 9, 7]', '"ignore_regions_x": [5, 9]'))
    with pytest.raises(DataError, match=r"train.json is damaged or of another form"):
        posetrack21.load_train(tmp_path)


def test_posetrack21_queries_of_people_who_are_elsewhere_too(tmp_path: Path) -> None:
    loaded = posetrack21.load_test(write_posetrack21(tmp_path))
    assert [(one.path.name, one.identity, one.camera) for one in loaded.queries] == [("1.jpg", 4, 342)]
    assert len(loaded.gallery) == 2


def test_posetrack21_missing_or_broken(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"val.json is not there; ask the authors of PoseTrack21"):
        posetrack21.load_test(tmp_path)
    write_posetrack21(tmp_path)
    (tmp_path / "posetrack_person_search" / "query.json").write_text("[]")
    with pytest.raises(DataError, match=r"query.json is damaged or of another form"):
        posetrack21.load_test(tmp_path)


COCO = {
    "categories": [{"id": 1, "name": "person"}, {"id": 2, "name": "dog"}],
    "images": [{"id": 7, "file_name": "a.jpg", "camera": 3}, {"id": 8, "file_name": "b.jpg"}],
    "annotations": [
        {"image_id": 7, "category_id": 1, "bbox": [1, 2, 3, 4], "person_id": 12},
        {"image_id": 7, "category_id": 1, "bbox": [5, 5, 5, 5], "person_id": -2},
        {"image_id": 7, "category_id": 2, "bbox": [0, 0, 9, 9]},
        {"image_id": 7, "category_id": 1, "bbox": [0, 0, 8, 8], "iscrowd": 1},
    ],
}


def test_coco_people_crowds_and_dogs(tmp_path: Path) -> None:
    (tmp_path / "own.json").write_text(json.dumps(COCO))
    first, second = coco.load(tmp_path / "own.json", tmp_path)
    assert (first.path, first.camera, first.identities.tolist()) == (tmp_path / "a.jpg", 3, [12, -1])
    assert first.boxes.tolist() == [[1, 2, 4, 6], [5, 5, 10, 10]]
    assert first.ignore.tolist() == [[0, 0, 8, 8]]
    assert (second.camera, len(second.boxes)) == (None, 0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": None}, 'no lists "images" and "annotations"'),
        ({"annotations": [{"image_id": 99, "category_id": 1, "bbox": [1, 2, 3, 4]}]}, r"annotations\[0\] is of image 99"),
        ({"annotations": [{"image_id": 7, "category_id": 1, "bbox": [1, 2, 0, 4]}]}, r"positive size: annotations\[0\] has \[1, 2, 0, 4\]"),
    ],
)
def test_coco_broken(tmp_path: Path, change: dict, message: str) -> None:
    (tmp_path / "own.json").write_text(json.dumps(COCO | change))
    with pytest.raises(DataError, match=message):
        coco.load(tmp_path / "own.json", tmp_path)


def write_yolo(root: Path, labels: str) -> Path:
    for name in ("images/x", "labels/x"):
        (root / name).mkdir(parents=True)
    Image.new("RGB", (200, 100)).save(root / "images" / "x" / "a.jpg")
    Image.new("RGB", (200, 100)).save(root / "images" / "b.png")
    (root / "labels" / "x" / "a.txt").write_text(labels)
    return root


def test_yolo_boxes_in_pixels(tmp_path: Path) -> None:
    root = write_yolo(tmp_path, "0 0.5 0.5 0.25 0.5\r\n16 0.1 0.1 0.1 0.1\r\n")
    second, first = yolo.load(root)
    assert (first.path, first.boxes.tolist()) == (root / "images" / "x" / "a.jpg", [[75, 25, 125, 75]])
    assert (second.path.name, len(second.boxes)) == ("b.png", 0)


def test_yolo_boxes_are_of_the_upright_picture(tmp_path: Path) -> None:
    root = write_yolo(tmp_path, "0 0.5 0.5 0.5 0.5\n")
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (200, 100)).save(root / "images" / "x" / "a.jpg", exif=exif)
    assert yolo.load(root)[1].boxes.tolist() == [[25, 50, 75, 150]]


def test_yolo_empty_label_file(tmp_path: Path) -> None:
    assert [len(one.boxes) for one in yolo.load(write_yolo(tmp_path, ""))] == [0, 0]


def test_yolo_missing_or_broken(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is not a folder"):
        yolo.load(tmp_path)
    with pytest.raises(DataError, match=r"a.txt is damaged or of another form .*; put the pictures into images/"):
        yolo.load(write_yolo(tmp_path, "0 0.5 0.5\n"))
    (tmp_path / "images" / "x" / "a.jpg").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"a.jpg is damaged"):
        yolo.load(tmp_path)


@pytest.mark.extra
def test_the_real_prw_file_as_coco() -> None:
    folder = Path(os.environ["PERSONSEARCH_SHARED"]) / "data" / "annotations" / "prw"
    pictures = coco.load(folder / "train_pid.json", folder)
    assert (len(pictures), sum(len(one.boxes) for one in pictures)) == (5704, 18048)
    assert len({int(value) for one in pictures for value in one.identities} - {-1}) == 483

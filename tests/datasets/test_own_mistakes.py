"""A user's own COCO-style file, as annotation tools write it: read right, or refused with all its mistakes in one message."""

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from personsearch.datasets import coco
from personsearch.datasets.coco import Fields
from personsearch.errors import DataError

BOX = [2, 3, 10, 20]


def own(folder: Path, *rows: dict[str, Any], encoding: str = "utf-8", **content: Any) -> Path:
    """A file with one picture of 40 x 30 and these people in it."""
    Image.new("RGB", (40, 30)).save(folder / "a.png")
    values = {
        "images": [{"id": 1, "file_name": "a.png"}],
        "categories": [{"id": 1, "name": "person"}],
        "annotations": [{"image_id": 1, "category_id": 1, "bbox": BOX} | row for row in rows],
    }
    file = folder / "own.json"
    file.write_bytes(json.dumps(values | content, ensure_ascii=False).encode(encoding))
    return file


def identities(file: Path, **fields: Any) -> list[int]:
    (picture,) = coco.load(file, file.parent, Fields(**fields), check_pictures=True)
    return picture.identities.tolist()


def mistake(file: Path, **fields: Any) -> str:
    with pytest.raises(DataError) as raised:
        coco.load(file, file.parent, Fields(**fields), check_pictures=True)
    return str(raised.value)


@pytest.mark.parametrize("name", ["person", "Person", " PERSON "])
def test_the_category_person_in_any_case(tmp_path: Path, name: str) -> None:
    file = own(tmp_path, {}, {"category_id": 2}, categories=[{"id": 1, "name": name}, {"id": 2, "name": "dog"}])
    assert identities(file) == [-1]


def test_pedestrians_are_asked_for_and_not_guessed(tmp_path: Path) -> None:
    file = own(tmp_path, {}, {"category_id": 2}, {}, categories=[{"id": 1, "name": "Pedestrian"}, {"id": 2, "name": "car"}])
    message = mistake(file)
    assert "'Pedestrian' (2 boxes), 'car' (1 boxes)" in message
    assert "--category (in Python: category='Pedestrian')" in message
    assert identities(file, category="pedestrian") == [-1, -1]
    assert "category 'human' that the file does not have" in mistake(file, category="human")


def test_a_category_without_a_name_does_not_count(tmp_path: Path) -> None:
    """public report detectron2#946; it was a KeyError."""
    categories = [{"id": 1, "name": "person"}, {"id": 3, "supercategory": "x"}]
    assert identities(own(tmp_path, {}, categories=categories)) == [-1]
    assert "category without a name: 3, of 1 annotations" in mistake(own(tmp_path, {"category_id": 3}, categories=categories))


def test_annotations_without_category_are_not_dropped_silently(tmp_path: Path) -> None:
    assert "2 x annotation without category_id" in mistake(own(tmp_path, {"category_id": None}, {"category_id": None}))
    assert identities(own(tmp_path, {"category_id": None}, categories=[])) == [-1]
    assert identities(own(tmp_path, {"category_id": None}, categories=None)) == [-1]


def test_person_id_under_attributes_is_taken(tmp_path: Path) -> None:
    rows = [{"attributes": {"occluded": False, "person_id": number}} for number in (4, None, 4)]
    assert identities(own(tmp_path, *rows)) == [4, -1, 4]


def test_a_track_id_under_attributes_is_asked_for(tmp_path: Path) -> None:
    """public report cvat#4260: every identity was -1, and the training began."""
    file = own(tmp_path, *({"attributes": {"occluded": False, "track_id": number}} for number in (0, 1, 0)))
    assert "attributes.track_id' (3 people)" in mistake(file)
    assert "--identity (in Python: identity='attributes.track_id')" in mistake(file)
    assert identities(file, identity="attributes.track_id") == identities(file, identity="track_id") == [0, 1, 0]
    assert identities(file, identity="none") == [-1, -1, -1]
    assert "field 'pid' that no person has" in mistake(file, identity="pid")


def test_two_fields_that_may_be_the_identity_are_asked_for(tmp_path: Path) -> None:
    file = own(tmp_path, {"attributes": {"person_id": 1, "track_id": 2}})
    assert "'attributes.person_id' (1 people), 'attributes.track_id' (1 people)" in mistake(file)
    assert identities(file, identity="person_id") == [1]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([None, None], [-1, -1]),  # public report: int(None)
        ([7, -2, "", "  "], [7, -1, -1, -1]),
        (["Zoe", "Anna", "Zoe", None], [1, 0, 1, -1]),
        (["12", 12, 12.0, "-1"], [12, 12, 12, -1]),
        ([3, "Anna", "3"], [3, 4, 3]),
        ([10**400, 10**400, 0], [1, 1, 0]),
    ],
)
def test_null_and_names_as_identities(tmp_path: Path, values: list[Any], expected: list[int]) -> None:
    assert identities(own(tmp_path, *({"person_id": value} for value in values))) == expected


@pytest.mark.parametrize("value", [True, 1.5, [1], {"id": 1}])
def test_other_identities_are_mistakes(tmp_path: Path, value: Any) -> None:
    assert "person_id that is neither a whole number nor a name: annotations[0] has" in mistake(own(tmp_path, {"person_id": value}))


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_files_in_other_encodings(tmp_path: Path, encoding: str) -> None:
    assert identities(own(tmp_path, {"person_id": "Zoë"}, {"person_id": "Ann"}, encoding=encoding)) == [1, 0]


def test_a_file_in_latin_1_says_how_to_save_it(tmp_path: Path) -> None:
    assert "it is not UTF-8 or UTF-16 text" in mistake(own(tmp_path, {"person_id": "Zoë"}, encoding="latin-1"))


def test_cameras_by_name_get_numbers(tmp_path: Path) -> None:
    images = [{"id": number, "file_name": "a.png", "camera": camera} for number, camera in enumerate(("west", 2, None, "east"))]
    pictures = coco.load(own(tmp_path, images=images, annotations=[]), tmp_path)
    assert [picture.camera for picture in pictures] == [4, 2, None, 3]


def test_all_mistakes_are_in_one_message(tmp_path: Path) -> None:
    images = [
        {"id": 1, "file_name": "a.png", "width": 40, "height": 30},
        {"id": 1, "file_name": "b.png"},
        {"id": 2, "file_name": "gone.png"},
        {"id": 3, "file_name": "a.png", "width": 30, "height": 40},
    ]
    rows = [{"bbox": [50, 3, 10, 10]}, *({"bbox": [0, 0, 0, 5]} for _ in range(5)), {"image_id": 9}, {"bbox": [1, 1, float("nan"), 3]}]
    message = mistake(own(tmp_path, *rows, images=images))
    assert "1 x image with the id of an earlier one: images[1] ('b.png') has id 1" in message
    assert "6 x bbox that is not x, y, width, height with a positive size: annotations[1] has [0, 0, 0, 5]; annotations[2]" in message
    assert "; and 3 more" in message
    assert "1 x annotation of an image that is missing from images: annotations[6] is of image 9" in message
    assert f"1 x missing picture: {tmp_path / 'gone.png'}" in message
    assert "1 x box outside its picture: a.png of 40 x 30 has x1 y1 x2 y2 [50.0, 3.0, 60.0, 13.0]" in message
    assert (
        "1 x picture of another size than the annotations say (boxes would be misplaced): a.png is 40 x 30 upright, not 30 x 40" in message
    )


def test_boxes_of_a_picture_before_it_was_turned_are_a_mistake(tmp_path: Path) -> None:
    file = own(tmp_path, {}, images=[{"id": 1, "file_name": "a.jpg", "width": 40, "height": 30}])
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (40, 30)).save(tmp_path / "a.jpg", exif=exif)
    assert "a.jpg is 30 x 40 upright, not 40 x 30" in mistake(file)


def test_a_picture_that_cannot_be_read_is_a_mistake(tmp_path: Path) -> None:
    file = own(tmp_path, {})
    (tmp_path / "a.png").write_bytes(b"<html>")
    assert "1 x picture that cannot be read" in mistake(file)


def test_deep_json_is_a_data_error(tmp_path: Path) -> None:
    (tmp_path / "own.json").write_text("[" * 100_000)
    assert "lists and objects inside one another" in mistake(tmp_path / "own.json")


def test_a_box_partly_outside_is_fine(tmp_path: Path) -> None:
    assert identities(own(tmp_path, {"bbox": [-5, -5, 10, 10], "visibility": None})) == [-1]


@pytest.mark.parametrize("name", ["a" * 5000, "x/" * 3000, "\\ud800.png", "a.png/b.png"])
def test_a_file_name_that_no_disk_allows_is_a_missing_picture(tmp_path: Path, name: str) -> None:
    """A name of 5,000 letters was an OSError."""
    file = own(tmp_path, {}, images=[{"id": 1, "file_name": "NAME"}])
    file.write_text(file.read_text().replace("NAME", name))
    assert "1 x missing picture" in mistake(file)

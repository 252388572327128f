"""The real pictures of the small model: which people make a crop, which boxes are listed, which places are empty."""

import logging
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from examples.nano.photographs import frames, held_out_crops, labelled, list_people, places_without_people
from personsearch.boxes import Array
from personsearch.errors import DataError
from tests.helpers.bundled_pictures import (
    FRAME,
    GREEN,
    HEIGHT,
    PHOTO,
    RED,
    SMALL,
    TALL,
    WIDTH,
    KnownLabeller,
    write_pictures,
    yolo_lines,
)

NEAR = 12  # levels that JPEG and the video's coding may be off inside a plain area


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_pictures(tmp_path / "data")


def assert_person(crop: Array) -> None:
    """All of the crop is the person: red above, green below."""
    assert crop.shape == (256, 128, 3)
    assert np.abs(crop[8:112, 8:120].astype(int) - RED).max() < NEAR
    assert np.abs(crop[144:248, 8:120].astype(int) - GREEN).max() < NEAR


def test_labelled_pictures_keep_their_numbers(data: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        found = list(labelled(data / "coco128"))
    assert [number for number, *_ in found] == [0, 1, 3, 5]  # 2 has no labels, 4 cannot be read
    assert "004.jpg" in caplog.text
    np.testing.assert_allclose(found[1][3], [TALL, SMALL], atol=1e-3)
    assert [len(boxes) for *_, boxes in found] == [2, 2, 0, 0]
    assert found[0][2].shape == (HEIGHT, WIDTH, 3)


def test_places_without_people_have_none(data: Path) -> None:
    """A dog is not a person, and an unlabelled picture may show people."""
    assert [path.name for path in places_without_people(data)] == ["003.jpg", "005.jpg"]
    (data / "coco128/labels/005.txt").write_text("0 .5 .5 .1 .1\n")
    assert [path.name for path in places_without_people(data)] == ["003.jpg"]


def test_held_out_crops_are_of_every_fourth_picture(data: Path) -> None:
    """Picture 0; number 4 cannot be read. One of picture 0 is made too small to count."""
    crops, numbers = held_out_crops(data)
    assert (crops.dtype, numbers.tolist()) == (np.uint8, [0, 0])
    for crop in crops:
        assert_person(crop)
    (data / "coco128/labels/000.txt").write_text(yolo_lines([TALL, SMALL]))
    assert held_out_crops(data)[1].tolist() == [0]


def test_nobody_makes_no_crops(data: Path) -> None:
    for path in (data / "coco128/labels").iterdir():
        path.write_text("")
    crops, numbers = held_out_crops(data)
    assert (crops.shape, numbers.shape) == ((0, 256, 128, 3), (0,))


def test_list_of_people_by_hand(data: Path, tmp_path: Path) -> None:
    """Beside labels, a box that overlaps by half is the labelled person, and one that is hardly sure is nothing; else the score decides."""
    x1, y1, x2, y2 = TALL  # 40 x 80 pixels: moved by 13 the union is 53 wide, 27 / 53 > .5; by 14, 26 / 54 < .5
    beside = [[x1 + 13, y1, x2 + 13, y2], [x1 + 14, y1, x2 + 14, y2], [120, 0, 150, 60], [60, 0, 90, 60]]
    found = {
        (HEIGHT, WIDTH): (beside, [0.9, 0.9, 0.26, 0.25]),
        PHOTO: ([[0, 0, 9, 9], [1, 1, 9, 9], [2, 2, 9, 9], [3, 3, 9, 9]], [0.3, 0.29, 0.13, 0.12]),
        FRAME: ([[4, 4, 9, 9]], [0.8]),
    }
    rows = list_people(data, KnownLabeller(found), tmp_path / "video")
    names = [Path(row["path"]).name for row in rows]
    assert names == ["001.jpg", "003.jpg", "005.jpg", *["one.jpg"] * 8, "walk_00000.png", "walk_00028.png"]
    assert all(Path(row["path"]).is_absolute() and Path(row["path"]).is_file() for row in rows)
    np.testing.assert_allclose(rows[0]["boxes"], [TALL, SMALL], atol=1e-3)
    assert rows[0]["unsure"] == beside[1:3]
    assert [(row["boxes"], row["unsure"]) for row in rows[1:3]] == [([], [])] * 2  # labelled: without people
    photos, streets = rows[3:7], rows[7:11]
    assert [row["boxes"] for row in photos] == [[[0, 0, 9, 9]]] * 4
    assert [row["unsure"] for row in photos] == [[[1, 1, 9, 9], [2, 2, 9, 9]]] * 4
    assert [(row["boxes"], row["unsure"]) for row in streets] == [([], [])] * 4
    assert [row["boxes"] for row in rows[11:]] == [[[4, 4, 9, 9]]] * 2
    frame = cv2.imread(rows[-1]["path"])[..., ::-1]
    assert frame.shape == (*FRAME, 3)
    assert np.abs(frame.astype(int) - RED).max() < NEAR


@pytest.mark.parametrize("missing", ["coco128/images", "coco128/labels", "photos", "street_photos", "videos"])
@pytest.mark.parametrize("empty", [False, True])
def test_missing_pictures_are_told(data: Path, tmp_path: Path, missing: str, empty: bool) -> None:
    shutil.rmtree(data / missing)
    if empty:
        (data / missing).mkdir()
    with pytest.raises(DataError, match=rf"{missing}.*data/nano/README\.md"):
        list_people(data, KnownLabeller({}), tmp_path / "video")


def test_a_video_that_cannot_be_read_is_left_out(data: Path, caplog: pytest.LogCaptureFixture) -> None:
    (data / "videos/broken.mp4").write_bytes(b"no video")
    with caplog.at_level(logging.WARNING):
        assert len(list(frames(data, 6))) == 6  # 0, 6, .., 30 of 31
    assert "broken.mp4" in caplog.text

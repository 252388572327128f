"""Opening a source: lists of all kinds, wrong input, and a frame read again."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from personsearch.errors import ImageError, SourceError
from personsearch.sources import open_source, read_frame
from tests.helpers.pictures import encode, gradient


def test_a_list_keeps_its_order_and_mixes_all_kinds(photos: Path) -> None:
    array = gradient()
    source = open_source([str(photos / "b.JPG"), photos / "a.png", encode(array, "PNG"), Image.fromarray(array), array])
    assert (source.roots, source.key()) == ((), None)
    assert [item.image for item in source.items[:2]] == [str(photos / "b.JPG"), str(photos / "a.png")]
    assert [item.image[:13] for item in source.items[2:]] == ["image-000002-", "image-000003-", "image-000004-"]
    for item in source.items:
        (frame,) = item.frames()
        assert frame.image == item.image
        assert np.array_equal(frame.pixels, array)
        assert list(item.frames(skip={0})) == []


def test_broken_pictures_of_a_list_are_errors_only_when_read(tmp_path: Path) -> None:
    broken = Image.open(io.BytesIO(encode(gradient(100, 100), "PNG")[:-100]))
    for item in open_source([tmp_path / "gone.jpg", tmp_path / "gone.mp4", tmp_path, b"", broken, gradient().astype(float)]).items:
        with pytest.raises(ImageError):
            next(item.frames())


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("", "path is empty"),
        ("missing", "missing does not exist; pass a folder"),
        ("n" * 300, "does not exist; pass a folder"),  # longer than a name may be, which the system reports in another way
        ("missing/*.jpg", r"missing/\*.jpg contains no pictures or videos \(.*\.jpg .*\.mp4.*\)"),
        ("**.jpg", r"\*\*.jpg is not a valid glob pattern; write \*\* as a folder of its own, as in photos/\*\*/\*.jpg"),
        ([], "list of pictures is empty"),
        (np.zeros((0, 24, 24, 3), np.uint8), "list of pictures is empty"),
        (7, "got int"),
        (None, "got NoneType"),
        ([7], "item 0 of the list is a int"),
        ([["a.jpg"]], "item 0 of the list is a list"),
    ],
)
def test_wrong_sources_are_errors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: Any, message: str) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SourceError, match=message):
        open_source(source)


def test_a_frame_is_read_again(film: Path, photos: Path) -> None:
    assert np.array_equal(read_frame(str(photos / "a.png"), 0), gradient())
    for number in (0, 1, 17, 24):
        assert (read_frame(str(film), number) == 4 * number).all()
        assert (read_frame(str(film), number, number / 10) == 4 * number).all()

"""Items: size, time and digest of a file, the key of a source, and unreadable files."""

import hashlib
import os
from pathlib import Path

import numpy as np
import pytest

from personsearch.errors import ImageError
from personsearch.sources import Item, open_source
from tests.helpers.pictures import encode, gradient


def test_size_time_and_fingerprint_of_a_file(photos: Path) -> None:
    path = photos / "a.png"
    os.utime(path, ns=(10**18, 10**18))
    item = open_source(path).items[0]
    assert (item.size, item.modified_ns) == (len(path.read_bytes()), 10**18)
    assert item.fingerprint() == hashlib.sha256(path.read_bytes()).hexdigest()
    path.unlink()
    with pytest.raises(ImageError, match="No such file"):
        item.fingerprint()


def test_the_key_of_a_list_of_files_does_not_change_with_their_content(photos: Path) -> None:
    before = open_source([photos / "a.png"]).key()
    (photos / "a.png").write_bytes(encode(gradient()[::-1], "PNG"))
    assert open_source([photos / "a.png"]).key() == before != open_source([photos / "b.JPG"]).key()
    assert open_source([os.fsdecode(b"/caf\xe9.jpg")]).key() != before


def test_a_still_is_its_fingerprint_and_its_frame(photos: Path) -> None:
    pixels = np.full((20, 30, 3), 7, np.uint8)
    for item in (*open_source(photos).items, *open_source([pixels, encode(gradient(), "PNG")]).items):
        digest, frame = item.still()
        (again,) = item.frames()
        assert (digest, frame.image, frame.frame, frame.time) == (item.fingerprint(), item.image, 0, None)
        assert np.array_equal(frame.pixels, again.pixels)


@pytest.mark.parametrize(("name", "message"), [("a.jpg", "a.jpg: is not a picture"), ("a.dng", "raw photo"), ("gone.jpg", "No such file")])
def test_a_still_that_cannot_be_read_is_an_error(tmp_path: Path, name: str, message: str) -> None:
    if name != "gone.jpg":
        (tmp_path / name).write_bytes(b"II*\0 no picture" if name == "a.dng" else b"a text")
    item = Item(str(tmp_path / name))
    with pytest.raises(ImageError, match=message):
        item.still()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jpg", b"a text", "not a picture"),
        ("a.mp4", b"a text", "cannot be read as a video.*H.264"),
        ("a.avi", b"", "cannot be read as a video"),
    ],
)
def test_unreadable_files_are_errors_only_when_read(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    (item,) = open_source(tmp_path).items
    assert len(item.fingerprint()) == 64
    with pytest.raises(ImageError, match=message):
        next(item.frames())

"""Opening a source: lists of all kinds, wrong input, and a frame read again."""

import io
import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from personsearch.errors import ImageError, SourceError
from personsearch.images import load
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


ADDRESSES = [
    ("rtsp://user:secret@camera/1", r"rtsp://camera/1 is a live stream, not a path; pass a generator of its frames"),
    ("https://example.com/a.jpg?token=secret", r"https://example.com/a.jpg is an address, not a path; download it first"),
    ("smb://server/a.jpg", "smb://server/a.jpg is an address of a kind that is not read"),
    ("data:image/jpeg;base64," + "secret" * 1000, "a data: address is not a path; pass its bytes"),
    ("secret" * 1000, "looks like base64; pass its bytes: base64.b64decode"),
]


@pytest.mark.parametrize(("address", "message"), ADDRESSES)
@pytest.mark.parametrize("wrap", [str, lambda text: [text]], ids=["alone", "list"])
def test_an_address_is_refused_without_its_content(address: str, message: str, wrap: Any) -> None:
    """An address was taken as a path below the working folder, and the message of a base64 text held the whole picture."""
    with pytest.raises(SourceError, match=message) as error:
        open_source(wrap(address))
    assert "secret" not in str(error.value)
    assert len(str(error.value)) < 300


@pytest.mark.parametrize(("address", "message"), ADDRESSES)
def test_a_picture_at_an_address_is_refused_too(address: str, message: str) -> None:
    with pytest.raises(ImageError, match=message) as error:
        load(address)
    assert "secret" not in str(error.value)


def test_an_address_in_a_list_does_not_stop_the_rest(photos: Path) -> None:
    source = open_source([photos / "a.png", "https://example.com/a.jpg"])
    assert [item.image for item in source.items] == [str(photos / "a.png")]
    assert list(source.problems) == ["item 1 of the list"]


def test_folders_and_patterns_in_a_list_are_searched(photos: Path) -> None:
    """They gave an empty gallery, with a warning only."""
    source = open_source([photos / "Ostsee 写真", str(photos / "*.png"), photos / "b.JPG"])
    assert [Path(item.image).name for item in source.items] == ["c.jpeg", "d.webp", "a.png", "b.JPG"]
    assert source.roots == (str(photos / "Ostsee 写真"), str(photos / "*.png"))
    assert [item.root for item in source.items] == [source.roots[0], source.roots[0], source.roots[1], None]
    assert source.key() == f"{photos} list"
    assert open_source([photos]) == open_source(photos)
    assert open_source([photos / "a.png"]) == open_source(photos / "a.png")


def test_an_entry_that_matches_nothing_is_a_problem_of_the_list(photos: Path) -> None:
    (photos / "empty").mkdir()
    source = open_source([photos / "a.png", photos / "*.gif", photos / "empty"])
    assert len(tuple(source.items)) == 1
    assert sorted(source.problems) == [str(photos / "*.gif"), str(photos / "empty")]
    with pytest.raises(SourceError, match=r"list contains no pictures or videos: .*empty"):
        open_source([photos / "*.gif", photos / "empty"])


def test_a_list_that_grows_or_is_turned_keeps_its_key(photos: Path) -> None:
    """Every list had a gallery of its own, and the people of the one before stayed on the disk."""
    paths = [photos / "a.png", photos / "b.JPG"]
    keys = {
        open_source(some).key() for some in (paths, paths[::-1], [*paths, photos / "Ostsee 写真/c.jpeg"], [*paths, photos / "gone.png"])
    }
    assert keys == {f"{photos} list"}


@pytest.mark.parametrize("opened", [lambda path: path.open("rb"), lambda path: io.BytesIO(path.read_bytes())], ids=["file", "BytesIO"])
def test_a_file_object_is_one_picture(photos: Path, opened: Any) -> None:
    """Its lines were taken as pictures: 2333 of them for one JPEG."""
    with opened(photos / "a.png") as file:
        file.read(10)  # it is read from its start all the same
        for source in (open_source(file), open_source([file])):
            (item,) = source.items
            (frame,) = item.frames()
            assert np.array_equal(frame.pixels, gradient())
        assert np.array_equal(load(file), gradient())


def test_bytearray_and_memoryview_are_pictures() -> None:
    data = encode(gradient(), "PNG")
    for content in (bytearray(data), memoryview(data)):
        (item,) = open_source(content).items
        assert np.array_equal(next(item.frames()).pixels, gradient())
        assert np.array_equal(load(content), gradient())


def test_a_file_opened_as_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a text")
    with (tmp_path / "a.txt").open() as file, pytest.raises(ImageError, match="opened as text; open it with open"):
        load(file)


def test_a_generator_is_read_as_it_comes() -> None:
    """All its frames were held in memory before the first was used; a camera never ended."""
    taken = []

    def camera() -> Any:
        buffer = np.zeros((24, 40, 3), np.uint8)  # cameras write into the same memory again
        for number in itertools.count():
            taken.append(number)
            buffer[:] = number
            yield buffer

    source = open_source(camera())
    assert (source.is_stream, source.key(), source.roots, taken) == (True, None, (), [])
    items = list(itertools.islice(source.items, 3))
    assert taken == [0, 1, 2]
    assert [int(next(item.frames()).pixels[0, 0, 0]) for item in items] == [0, 1, 2]
    assert [item.image[:13] for item in items] == ["image-000000-", "image-000001-", "image-000002-"]


def test_a_generator_may_give_files_and_folders(photos: Path) -> None:
    source = open_source(path for path in (photos / "a.png", photos / "Ostsee 写真"))
    assert [Path(item.image).name for item in source.items] == ["a.png", "c.jpeg", "d.webp"]

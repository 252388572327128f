"""Sources: what is found in folders, patterns, lists and videos, in which order, under which names."""

import hashlib
import io
import logging
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from personsearch.errors import ImageError, SourceError
from personsearch.sources import Source, open_source, read_frame
from tests.helpers.pictures import encode, gradient, greys, slow_down, turn_right, write_video


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder as people have them."""
    folder = tmp_path / "My photos"
    for name in (
        "b.JPG",
        "a.png",
        "Ostsee 写真/c.jpeg",
        "Ostsee 写真/deep/d.webp",
        ".hidden.jpg",
        ".thumbs/e.jpg",
        "Ostsee 写真/.thumbs/h.jpg",
        "note.txt",
        "f.jpg.part",
    ):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode(gradient(), "PNG"))
    return folder


def names(source: Source, base: Path) -> list[str]:
    return [str(Path(item.image).relative_to(base)) for item in source.items]


def levels(frames: Any) -> list[tuple[int, int]]:
    """Number of each frame, and the number that its grey tells."""
    return [(frame.frame, round(float(frame.pixels.mean()) / 4)) for frame in frames]


def test_a_folder_is_searched_in_order_without_hidden_files(photos: Path) -> None:
    source = open_source(photos)
    assert names(source, photos) == ["Ostsee 写真/c.jpeg", "Ostsee 写真/deep/d.webp", "a.png", "b.JPG"]
    assert source.root == source.key() == str(photos)
    assert open_source(f"{photos}/") == open_source(os.path.relpath(photos)) == source


def test_links_do_not_loop(photos: Path) -> None:
    """A linked file counts, a linked folder does not; the folder itself may be a link."""
    (photos / "deeper").mkdir()
    (photos / "deeper" / "back").symlink_to(photos)
    (photos / "z.jpg").symlink_to(photos / "a.png")
    alias = photos.parent / "alias"
    alias.symlink_to(photos)
    expected = ["Ostsee 写真/c.jpeg", "Ostsee 写真/deep/d.webp", "a.png", "b.JPG", "z.jpg"]
    assert names(open_source(photos), photos) == expected
    assert names(open_source(alias), alias) == expected
    assert names(open_source(photos / "**"), photos) == expected


def test_a_broken_link_is_reported_when_it_is_read(photos: Path) -> None:
    (photos / "a.png").unlink()
    (photos / "a.png").symlink_to(photos / "gone.png")
    item = open_source(photos).items[2]
    assert (item.image, item.size, item.modified_ns) == (str(photos / "a.png"), None, None)
    with pytest.raises(ImageError, match="No such file"):
        next(item.frames())


def test_an_unreadable_subfolder_is_logged_and_an_unreadable_folder_is_an_error(
    photos: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    scandir = os.scandir

    def forbid(folder: Path) -> Callable[[Any], Any]:
        def guarded(path: Any) -> Any:
            if os.fspath(path) == str(folder):
                raise PermissionError(13, "Permission denied", str(folder))
            return scandir(path)

        return guarded

    monkeypatch.setattr(os, "scandir", forbid(photos / "Ostsee 写真"))
    with caplog.at_level(logging.WARNING):
        assert names(open_source(photos), photos) == ["a.png", "b.JPG"]
    assert "Ostsee 写真: cannot be listed" in caplog.text
    monkeypatch.setattr(os, "scandir", forbid(photos))
    with pytest.raises(SourceError, match=r"cannot be listed \(Permission denied\)"):
        open_source(photos)


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.png", ["a.png"]),
        ("*", ["a.png", "b.JPG"]),
        ("**/*", ["Ostsee 写真/c.jpeg", "Ostsee 写真/deep/d.webp", "a.png", "b.JPG"]),
        ("**", ["Ostsee 写真/c.jpeg", "Ostsee 写真/deep/d.webp", "a.png", "b.JPG"]),
        ("**/deep/*.we?p", ["Ostsee 写真/deep/d.webp"]),
        ("Ost*/*.jp*g", ["Ostsee 写真/c.jpeg"]),
        ("[ab].*", ["a.png", "b.JPG"]),
        (".thumbs/*.jpg", [".thumbs/e.jpg"]),
        ("*/.thumbs/*", ["Ostsee 写真/.thumbs/h.jpg"]),
    ],
)
def test_a_glob_pattern(photos: Path, pattern: str, expected: list[str]) -> None:
    (photos / "folder.jpg").mkdir()
    source = open_source(photos / pattern)
    assert names(source, photos) == expected
    assert source.root == str(photos / pattern)


def test_an_existing_path_wins_over_a_pattern(photos: Path) -> None:
    folder = photos / "Rome [2024]"
    folder.mkdir()
    (folder / "g[1].jpg").write_bytes(encode(gradient(), "JPEG"))
    (folder / "g1.jpg").write_bytes(encode(gradient(), "JPEG"))
    assert names(open_source(folder), folder) == ["g1.jpg", "g[1].jpg"]
    assert names(open_source(folder / "g[1].jpg"), folder) == ["g[1].jpg"]
    assert names(open_source(folder / "*.jpg"), folder) == ["g1.jpg", "g[1].jpg"]


def test_a_relative_pattern(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(photos)
    assert names(open_source("*.png"), photos) == ["a.png"]


def test_one_picture_of_any_extension(photos: Path) -> None:
    source = open_source(photos / "note.txt")
    assert source.root == str(photos / "note.txt")
    (frame,) = source.items[0].frames()
    assert (frame.image, frame.frame, frame.time) == (str(photos / "note.txt"), 0, None)
    assert np.array_equal(frame.pixels, gradient())


def test_a_list_keeps_its_order_and_mixes_all_kinds(photos: Path) -> None:
    array = gradient()
    source = open_source([str(photos / "b.JPG"), photos / "a.png", encode(array, "PNG"), Image.fromarray(array), array])
    assert source.root is None
    assert [item.image for item in source.items[:2]] == [str(photos / "b.JPG"), str(photos / "a.png")]
    assert [item.image[:13] for item in source.items[2:]] == ["image-000002-", "image-000003-", "image-000004-"]
    for item in source.items:
        (frame,) = item.frames()
        assert frame.image == item.image
        assert np.array_equal(frame.pixels, array)
        assert list(item.frames(skip={0})) == []


@pytest.mark.parametrize("one", [gradient(), encode(gradient(), "PNG"), Image.fromarray(gradient())], ids=["array", "bytes", "pil"])
def test_one_picture_in_memory(one: Any) -> None:
    source = open_source(one)
    (frame,) = source.items[0].frames()
    assert source.root is None
    assert np.array_equal(frame.pixels, gradient())
    assert source.items[0].image == f"image-000000-{source.items[0].fingerprint()[:8]}"
    assert (source.items[0].size, source.items[0].modified_ns) == (None, None)


def test_an_array_of_pictures() -> None:
    stack = np.stack([gradient(), gradient()[::-1]])
    source = open_source(stack)
    assert [np.array_equal(next(item.frames()).pixels, one) for item, one in zip(source.items, stack, strict=True)] == [True, True]


def test_arrays_are_named_by_place_and_content() -> None:
    a, b = gradient(), gradient()[::-1]
    first, again, other = (open_source(arrays) for arrays in ([a, b], [a.copy(), b.copy()], [b, a]))
    assert first.key() == again.key() != other.key()
    assert first.items == again.items
    assert not {item.image for item in first.items} & {item.image for item in other.items}
    assert first.items[0].fingerprint() == other.items[1].fingerprint() != first.items[1].fingerprint()
    assert open_source([a.reshape(40, 24, 3)]).items[0].fingerprint() != first.items[0].fingerprint()


def test_the_key_of_a_list_of_files_does_not_change_with_their_content(photos: Path) -> None:
    before = open_source([photos / "a.png"]).key()
    (photos / "a.png").write_bytes(encode(gradient()[::-1], "PNG"))
    assert open_source([photos / "a.png"]).key() == before != open_source([photos / "b.JPG"]).key()
    assert open_source([os.fsdecode(b"/caf\xe9.jpg")]).key() != before


def test_size_time_and_fingerprint_of_a_file(photos: Path) -> None:
    path = photos / "a.png"
    os.utime(path, ns=(10**18, 10**18))
    item = open_source(path).items[0]
    assert (item.size, item.modified_ns) == (len(path.read_bytes()), 10**18)
    assert item.fingerprint() == hashlib.sha256(path.read_bytes()).hexdigest()
    path.unlink()
    with pytest.raises(ImageError, match="No such file"):
        item.fingerprint()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jpg", b"a text", "no picture"),
        ("a.mp4", b"a text", "cannot be read as a video.*H.264"),
        ("a.avi", b"", "cannot be read as a video"),
    ],
)
def test_what_cannot_be_read_is_an_error_only_when_it_is_read(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    (item,) = open_source(tmp_path).items
    assert len(item.fingerprint()) == 64
    with pytest.raises(ImageError, match=message):
        next(item.frames())


def test_a_phones_heic_is_reported_not_passed_over(tmp_path: Path) -> None:
    (tmp_path / "IMG_1.HEIC").write_bytes(b"\0\0\0\x18ftypheic")
    (item,) = open_source(tmp_path).items
    with pytest.raises(ImageError, match=r"no picture that can be read.*save it as one of JPEG"):
        next(item.frames())


def test_of_a_list_what_is_missing_or_broken_is_an_error_only_when_it_is_read(tmp_path: Path) -> None:
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
        ("missing/*.jpg", r"missing/\*.jpg holds no picture or video; looked for .*\.jpg .*\.mp4"),
        ("**.jpg", r"\*\*.jpg is no glob pattern; \*\* stands alone, as in photos/\*\*/\*.jpg"),
        ([], "list of pictures is empty"),
        (np.zeros((0, 24, 24, 3), np.uint8), "list of pictures is empty"),
        (7, "got int"),
        (None, "got NoneType"),
        ([7], "item 0 of the list is a int"),
        ([["a.jpg"]], "item 0 of the list is a list"),
    ],
)
def test_what_is_no_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: Any, message: str) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SourceError, match=message):
        open_source(source)


def test_an_empty_folder_names_the_extensions(tmp_path: Path) -> None:
    (tmp_path / "IMG_1.txt").write_bytes(b"")
    with pytest.raises(SourceError, match=rf"{tmp_path} holds no picture or video; looked for .*\.jpg .*\.mp4"):
        open_source(tmp_path)


@pytest.fixture
def film(tmp_path: Path) -> Path:
    """25 frames, 10 a second."""
    write_video(tmp_path / "film 1.AVI", greys(25))
    return tmp_path / "film 1.AVI"


def test_a_video_gives_every_nth_frame_with_its_time(film: Path) -> None:
    source = open_source(film)
    (item,) = source.items
    assert source.root == item.image == str(film)
    assert item.is_video
    assert levels(item.frames()) == [(n, n) for n in range(25)]
    some = list(item.frames(every=10))
    assert levels(some) == [(0, 0), (10, 10), (20, 20)]
    assert [frame.time for frame in some] == [0, pytest.approx(1), pytest.approx(2)]
    assert some[0].pixels.shape == (48, 64, 3)
    assert item.fingerprint() == hashlib.sha256(film.read_bytes()).hexdigest()


def test_a_video_comes_in_rgb(tmp_path: Path) -> None:
    write_video(tmp_path / "red.avi", [np.full((48, 64, 3), (200, 40, 0), np.uint8)])
    (frame,) = open_source(tmp_path / "red.avi").items[0].frames()
    assert np.array_equal(frame.pixels, np.full((48, 64, 3), (200, 40, 0)))


class Watched:
    """OpenCV's reader, with its calls counted, of a container without timestamps if wanted."""

    def __init__(self, capture: cv2.VideoCapture, calls: Counter[str], timeless: bool) -> None:
        self.capture, self.calls, self.timeless = capture, calls, timeless

    def __getattr__(self, name: str) -> Any:
        self.calls[name] += 1
        return getattr(self.capture, name)

    def get(self, what: int) -> float:
        return 0.0 if self.timeless and what == cv2.CAP_PROP_POS_MSEC else self.capture.get(what)


def watch(monkeypatch: pytest.MonkeyPatch, *, timeless: bool = False) -> Counter[str]:
    calls: Counter[str] = Counter()
    opened = cv2.VideoCapture
    monkeypatch.setattr(cv2, "VideoCapture", lambda *arguments: Watched(opened(*arguments), calls, timeless))
    return calls


def test_skipped_frames_are_not_decoded(film: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = watch(monkeypatch)
    assert levels(open_source(film).items[0].frames(every=5, skip={0, 10, 11})) == [(5, 5), (15, 15), (20, 20)]
    assert calls["retrieve"] == 3


def test_without_timestamps_the_frame_rate_tells_the_time(film: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    watch(monkeypatch, timeless=True)
    frames = list(open_source(film).items[0].frames(every=12))
    assert [frame.time for frame in frames] == [0, pytest.approx(1.2), pytest.approx(2.4)]
    assert np.array_equal(read_frame(str(film), 12, frames[1].time), frames[1].pixels)


def test_of_a_cut_off_video_what_can_be_read_counts(tmp_path: Path) -> None:
    write_video(tmp_path / "film.mkv", greys(25))
    data = (tmp_path / "film.mkv").read_bytes()
    (tmp_path / "film.mkv").write_bytes(data[: len(data) // 2])
    read = levels(open_source(tmp_path / "film.mkv").items[0].frames())
    assert 5 < len(read) < 20
    assert read == [(n, n) for n in range(len(read))]


def test_an_mp4_without_its_end_cannot_be_read(tmp_path: Path) -> None:
    write_video(tmp_path / "film.mp4", greys(25), codec="mp4v")
    data = (tmp_path / "film.mp4").read_bytes()
    (tmp_path / "film.mp4").write_bytes(data[: len(data) // 2])
    with pytest.raises(ImageError, match=r"film.mp4: cannot be read as a video; re-encode it as H.264 mp4"):
        next(open_source(tmp_path / "film.mp4").items[0].frames())


def test_a_video_without_a_readable_frame_is_an_error(tmp_path: Path) -> None:
    write_video(tmp_path / "film.mp4", greys(25), codec="mp4v")
    data = (tmp_path / "film.mp4").read_bytes()
    start, end = data.index(b"mdat") + 4, data.index(b"moov") - 4
    (tmp_path / "film.mp4").write_bytes(data[:start] + bytes(end - start) + data[end:])
    with pytest.raises(ImageError, match=r"film.mp4: no frame of this video can be read; re-encode it"):
        next(open_source(tmp_path / "film.mp4").items[0].frames())


def test_a_phone_video_comes_upright(tmp_path: Path) -> None:
    write_video(tmp_path / "phone.mp4", [gradient(48, 64)] * 3, codec="mp4v")
    turn_right(tmp_path / "phone.mp4")
    pixels = next(open_source(tmp_path / "phone.mp4").items[0].frames()).pixels
    assert pixels.shape == (64, 48, 3)
    # a lossy codec; turned any other way, half the picture would differ by more than 100
    assert np.abs(pixels.astype(int) - np.rot90(gradient(48, 64), -1)).mean() < 5


def test_a_frame_is_read_again(film: Path, photos: Path) -> None:
    assert np.array_equal(read_frame(str(photos / "a.png"), 0), gradient())
    for number in (0, 1, 17, 24):
        assert (read_frame(str(film), number) == 4 * number).all()
        assert (read_frame(str(film), number, number / 10) == 4 * number).all()


def test_a_frame_is_read_again_when_the_frame_rate_changes(tmp_path: Path) -> None:
    """Seeking by number would show another frame from 18 on: OpenCV reckons with the mean rate."""
    path = tmp_path / "phone.mp4"
    write_video(path, greys(60), codec="mp4v")
    slow_down(path, after=30, factor=5)
    frames = list(open_source(path).items[0].frames())
    assert [frame.time for frame in frames[28:34]] == [pytest.approx(time) for time in (2.8, 2.9, 3.0, 3.5, 4.0, 4.5)]
    for frame in frames[::9]:
        assert np.array_equal(read_frame(str(path), frame.frame, frame.time), frame.pixels)
        assert np.array_equal(read_frame(str(path), frame.frame), frame.pixels)


def test_a_frame_late_in_a_video_is_read_without_reading_the_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_video(tmp_path / "film.avi", greys(60))
    calls = watch(monkeypatch)
    assert (read_frame(str(tmp_path / "film.avi"), 55, 5.5) == 220).all()
    assert calls["grab"] <= 7  # half a second before, and the frame


def test_a_frame_that_is_gone(film: Path) -> None:
    with pytest.raises(ImageError, match="has no frame 25"):
        read_frame(str(film), 25)
    with pytest.raises(ImageError, match="has no frame 99"):
        read_frame(str(film), 99, 9.9)
    film.unlink()
    for image in (film, film.with_suffix(".jpg")):
        with pytest.raises(ImageError, match="No such file"):
            read_frame(str(image), 3)


def test_a_picture_in_memory_is_not_kept() -> None:
    with pytest.raises(ImageError, match="its pixels are not kept"):
        read_frame(open_source(gradient()).items[0].image, 0)

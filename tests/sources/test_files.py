"""Folders and glob patterns: which files belong to a source, and in which order."""

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from personsearch.errors import ImageError, SourceError
from personsearch.sources import Source, open_source
from tests.helpers.pictures import encode, gradient


def names(source: Source, base: Path) -> list[str]:
    return [str(Path(item.image).relative_to(base)) for item in source.items]


def test_a_folder_is_searched_in_order_without_hidden_files(photos: Path) -> None:
    source = open_source(photos)
    assert names(source, photos) == ["Ostsee 写真/c.jpeg", "Ostsee 写真/deep/d.webp", "a.png", "b.JPG"]
    assert source.roots == (source.key(),) == (str(photos),)
    assert open_source(f"{photos}/") == open_source(os.path.relpath(photos)) == source


def test_links_do_not_loop(photos: Path) -> None:
    """A linked file counts, a linked folder only if nothing else leads to it; the folder itself may be a link."""
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


def test_unreadable_subfolders_are_logged_and_folders_are_errors(
    photos: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    scandir = os.scandir

    def forbid(folder: Path) -> Callable[[Any], Any]:
        def guarded(path: Any) -> Any:
            if os.fspath(path) == str(folder):
                raise PermissionError(13, "Permission denied", str(folder))
            return scandir(path)

        return guarded

    with monkeypatch.context() as patch, caplog.at_level(logging.WARNING):
        patch.setattr(os, "scandir", forbid(photos / "Ostsee 写真"))
        source = open_source(photos)
    assert names(source, photos) == ["a.png", "b.JPG"]
    assert source.problems == {str(photos / "Ostsee 写真"): "Permission denied"}
    assert "Ostsee 写真: cannot be listed" in caplog.text
    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", forbid(photos))
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
    assert source.roots == (str(photos / pattern),)


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
    assert source.roots == (str(photos / "note.txt"),)
    (frame,) = source.items[0].frames()
    assert (frame.image, frame.frame, frame.time) == (str(photos / "note.txt"), 0, None)
    assert np.array_equal(frame.pixels, gradient())


def test_a_damaged_heic_photo_is_reported_as_unreadable(tmp_path: Path) -> None:
    (tmp_path / "IMG_1.HEIC").write_bytes(b"\0\0\0\x18ftypheic")
    (item,) = open_source(tmp_path).items
    with pytest.raises(ImageError, match=r"IMG_1.HEIC: cannot be decoded .*damaged or cut off"):
        next(item.frames())


def test_an_empty_folder_names_the_extensions(tmp_path: Path) -> None:
    (tmp_path / "IMG_1.txt").write_bytes(b"")
    with pytest.raises(SourceError, match=rf"{tmp_path} contains no pictures or videos \(.*\.jpg .*\.mp4.*\)"):
        open_source(tmp_path)


def test_linked_folders_are_followed_once(photos: Path) -> None:
    """Pictures behind a link were passed over without a word."""
    other = photos.parent / "disk"
    other.mkdir()
    (other / "x.jpg").write_bytes(encode(gradient(), "JPEG"))
    (other / "home").symlink_to(photos)  # back to where it came from
    (photos / "linked").symlink_to(other)
    (photos / "linked again").symlink_to(other)
    expected = ["Ostsee 写真/c.jpeg", "Ostsee 写真/deep/d.webp", "a.png", "b.JPG", "linked/x.jpg"]
    assert names(open_source(photos), photos) == expected
    assert names(open_source(photos / "**"), photos) == expected
    assert names(open_source(photos / "link*" / "*.jpg"), photos) == ["linked again/x.jpg", "linked/x.jpg"]


def test_a_picture_of_any_name_is_found_by_its_content(tmp_path: Path) -> None:
    (tmp_path / "IMG_0001").write_bytes(encode(gradient(), "JPEG"))
    (tmp_path / "b.dat").write_bytes(encode(gradient(), "PNG"))
    (tmp_path / "c.dat").write_bytes(b"other data")
    (tmp_path / "photo.jpg.part").write_bytes(encode(gradient(), "JPEG"))
    (tmp_path / "README").write_text("BM: a text")
    os.mkfifo(tmp_path / "pipe")
    assert names(open_source(tmp_path), tmp_path) == ["IMG_0001", "b.dat"]


def test_a_raw_photo_is_reported_not_its_preview(tmp_path: Path) -> None:
    """Raw photos are TIFF files whose first page is a small preview."""
    (tmp_path / "DSC_1.NEF").write_bytes(encode(gradient(), "TIFF"))
    (item,) = open_source(tmp_path).items
    with pytest.raises(ImageError, match=r"DSC_1.NEF: is a raw photo of a camera.*export it as JPEG"):
        next(item.frames())


def test_the_change_time_of_a_file_is_known(photos: Path) -> None:
    """Programs that turn a photo keep its date; the system's own time tells."""
    (before,) = open_source(photos / "a.png").items
    os.utime(photos / "a.png", ns=(10**18, 10**18))
    (after,) = open_source(photos / "a.png").items
    assert after.changed_ns == os.stat(photos / "a.png").st_ctime_ns
    assert before.changed_ns is not None
    assert after.changed_ns >= before.changed_ns

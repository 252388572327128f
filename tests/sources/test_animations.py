"""Animations and TIFF pages: their frames, times, and what is damaged."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from personsearch.errors import ImageError
from personsearch.sources import open_source, read_at, read_frame
from tests.helpers.pictures import encode, gradient

COLOURS = [(255, 255, 255), (200, 40, 0), (0, 60, 220), (20, 200, 40)]


def pictures(size: tuple[int, int] = (40, 24)) -> "list[Image.Image]":
    return [Image.new("RGB", size, colour) for colour in COLOURS]


def animation(kind: str, **options: Any) -> bytes:
    first, *rest = pictures()
    return encode(first, kind, save_all=True, append_images=rest, **options)


@pytest.mark.parametrize(
    ("kind", "options"),
    [("GIF", {"duration": 100}), ("WEBP", {"duration": 100, "lossless": True}), ("PNG", {"duration": 100}), ("AVIF", {"duration": 100})],
)
def test_people_in_later_frames_of_an_animation_are_seen(tmp_path: Path, kind: str, options: dict[str, Any]) -> None:
    """Only the first frame, often an empty one, was looked at."""
    path = tmp_path / f"a.{kind.lower()}"
    path.write_bytes(animation(kind, **options))
    (item,) = open_source(path).items
    assert (item.kind, item.is_video) == ("animation", True)
    frames = item.frames()
    read = list(frames)
    assert (frames.total, frames.partly_read) == (4, "")
    assert [frame.frame for frame in read] == [0, 1, 2, 3]
    assert [frame.time for frame in read] == pytest.approx([0, 0.1, 0.2, 0.3])
    assert [frame.pixels.mean(axis=(0, 1)).tolist() for frame in read] == [pytest.approx(colour, abs=6) for colour in COLOURS]
    assert [frame.frame for frame in item.frames(every=2, skip={0})] == [2]
    assert np.array_equal(read_frame(str(path), 3, 0.3), read[3].pixels)
    assert read_at(str(path), 0.25).frame == 2


def test_an_animation_of_one_frame_is_a_picture(tmp_path: Path) -> None:
    for kind in ("GIF", "WEBP", "PNG", "TIFF"):
        (item,) = open_source(encode(Image.new("RGB", (40, 24)), kind)).items
        assert (item.kind, item.is_video) == ("picture", False)


def test_an_animation_in_memory_has_frames() -> None:
    (item,) = open_source(io.BytesIO(animation("GIF", duration=100))).items
    assert [frame.frame for frame in item.frames(every=3)] == [0, 3]


def test_all_pages_of_a_tiff_are_read(tmp_path: Path) -> None:
    path = tmp_path / "scan.tif"
    path.write_bytes(animation("TIFF"))
    (item,) = open_source(path).items
    assert item.is_video
    read = list(item.frames(every=10))  # pages are not moments of a film
    assert [(frame.frame, frame.time) for frame in read] == [(0, None), (1, None), (2, None), (3, None)]
    assert [tuple(frame.pixels[0, 0]) for frame in read] == COLOURS
    assert (read_frame(str(path), 2)[0, 0] == COLOURS[2]).all()
    with pytest.raises(ImageError, match="has no frame 4"):
        read_frame(str(path), 4)


def test_small_copies_in_a_tiff_are_skipped() -> None:
    first, copy, last = Image.new("RGB", (40, 24), "white"), Image.new("RGB", (10, 8), "white"), Image.new("RGB", (40, 24), "red")
    copy.encoderinfo = {"tiffinfo": {254: 1}}  # type: ignore[attr-defined]
    data = encode(first, "TIFF", save_all=True, append_images=[copy, last])
    assert [frame.frame for frame in open_source(data).items[0].frames()] == [0, 2]


@pytest.mark.parametrize("kind", ["GIF", "TIFF"])
def test_a_damaged_page_ends_the_reading_with_a_report(kind: str) -> None:
    noise = [Image.fromarray(np.random.default_rng(n).integers(0, 256, (60, 80, 3), dtype=np.uint8)) for n in range(4)]
    data = encode(noise[0], kind, save_all=True, append_images=noise[1:])
    frames = open_source(data[: len(data) * 5 // 8]).items[0].frames()
    read = list(frames)
    assert 1 <= len(read) < 4
    assert frames.partly_read != ""


def test_a_jpeg_with_a_second_picture_is_one_picture() -> None:
    """Phones add a map of brightness, or a second eye, to a photo."""
    data = encode(gradient(), "MPO", save_all=True, append_images=[Image.new("RGB", (20, 12))])
    (item,) = open_source(data).items
    assert not item.is_video
    assert len(list(item.frames())) == 1

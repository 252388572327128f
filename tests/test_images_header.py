"""The size of a picture by the start of its file."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from personsearch.images import picture_size
from personsearch.images.header import HEAD_BYTES, jpeg_size
from tests.helpers.pictures import encode, gradient


def jpeg(**options: object) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (70, 50), "red").save(file, "JPEG", **options)
    return file.getvalue()


def with_segments(data: bytes, count: int) -> bytes:
    """A JPEG with segments of 60,000 bytes before its own ones."""
    return data[:2] + (b"\xff\xe1" + (60_002).to_bytes(2) + bytes(60_000)) * count + data[2:]


@pytest.mark.parametrize(
    "data",
    [
        jpeg(),
        jpeg(progressive=True),
        jpeg(exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"),  # turned: its size is the stored one
        with_segments(jpeg(), 1),
        jpeg()[:2] + b"\xff\xff" + jpeg()[2:],  # padding
    ],
)
def test_a_jpeg_states_its_size_without_pillow(data: bytes) -> None:
    assert jpeg_size(data[:HEAD_BYTES]) == (70, 50)
    assert picture_size(data) == Image.open(io.BytesIO(data)).size == (70, 50)


def test_a_height_that_a_later_segment_states_is_not_read() -> None:
    data = jpeg()
    at = data.index(b"\xff\xc0") + 5  # marker, length and bits of a value
    assert data[at : at + 4] == (50).to_bytes(2) + (70).to_bytes(2)
    assert jpeg_size(data[:at] + bytes(2) + data[at + 2 :]) is None


def test_a_size_behind_the_head_is_read_by_pillow() -> None:
    data = with_segments(jpeg(), 3)
    assert jpeg_size(data[:HEAD_BYTES]) is None
    assert picture_size(data) == (70, 50)


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "GIF", "TIFF", "BMP"])
def test_other_formats_state_their_size(kind: str, tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(encode(gradient(), kind))
    height, width = gradient().shape[:2]
    assert picture_size(encode(gradient(), kind)) == picture_size(str(tmp_path / "a.bin")) == (width, height)


def test_what_is_not_a_picture_has_no_size(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(jpeg()[:20])
    assert [picture_size(content) for content in (b"", b"text", str(tmp_path / "a.jpg"), str(tmp_path), "missing.jpg")] == [(0, 0)] * 5
    assert picture_size(Image.new("L", (9, 8))) == (9, 8)


def test_any_bytes_end_the_search_for_a_size() -> None:
    random = np.random.default_rng(0)
    for _ in range(300):
        size = jpeg_size(b"\xff\xd8\xff" + bytes(random.choice([0, 1, 0xC0, 0xD8, 0xE0, 0xFF], 60).astype(np.uint8)))
        assert size is None or size[1] > 0
    assert jpeg_size(b"\xff\xd8\xff\xda" + jpeg()[2:]) is None

"""Limits and kinds of pictures: large ones, slow ones, AVIF and HEIC, arrays of other forms, and a machine without libGL."""

import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from personsearch import images
from personsearch.boxes import Array
from personsearch.errors import ConfigError, ImageError
from personsearch.images import limits, loading, pixels
from tests.helpers.pictures import encode, exif, gradient


def test_more_pixels_are_read_if_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A phone photo of 108 megapixels could not be read by any option, and Pillow warned on stderr."""
    data = encode(Image.new("RGB", (1200, 900), (90, 120, 150)), "JPEG")
    monkeypatch.setattr(limits, "MAX_PIXELS", 1_000_000)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 300_000)  # Pillow's limit has no say
    with pytest.raises(ImageError, match=r"1200 x 900, more than 1000000 pixels.*environment variable PERSONSEARCH_MAX_PIXELS"):
        images.load_bytes(data, "phone.jpg")
    monkeypatch.setenv("PERSONSEARCH_MAX_PIXELS", "200_000_000")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert images.load_bytes(data, "phone.jpg").shape == (900, 1200, 3)
        assert images.load_bytes(encode(Image.new("RGB", (1200, 900)), "PNG"), "phone.png").shape == (900, 1200, 3)


@pytest.mark.parametrize("text", ["many", "-5", "1e9", "10"])
def test_a_wrong_limit_of_pixels_is_an_error(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("PERSONSEARCH_MAX_PIXELS", text)
    with pytest.raises(ConfigError, match=r"PERSONSEARCH_MAX_PIXELS must be a number of pixels, such as 200_000_000"):
        images.load(gradient())


def test_an_avif_photo_is_read() -> None:
    assert np.abs(images.load(encode(gradient(), "AVIF", quality=95)).astype(int) - gradient()).mean() < 5


def test_a_heic_photo_is_read() -> None:
    """64 x 48: red left, blue right, as a phone stores it: in HEVC."""
    loaded = images.load(Path(__file__).parent / "data/photo.heic")
    assert loaded.shape == (48, 64, 3)
    assert loaded[:, :24].mean(axis=(0, 1)).tolist() == pytest.approx([200, 40, 0], abs=10)
    assert loaded[:, 40:].mean(axis=(0, 1)).tolist() == pytest.approx([0, 60, 220], abs=10)


def test_a_png_with_a_long_text_is_read() -> None:
    """Pillow refuses texts of more than 1 MB, which maps and screenshots have."""
    texts = PngInfo()
    texts.add_text("note", "x" * 2_000_000)
    texts.add_text("zipped", "y" * 3_000_000, zip=True)
    texts.add_itxt("other", "z" * 2_000_000, zip=True)
    data = encode(Image.fromarray(gradient()), "PNG", pnginfo=texts, exif=exif(6))
    assert np.array_equal(images.load_bytes(data, "map.png"), np.rot90(gradient(), -1))


def test_a_jpeg_of_very_many_scans_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """400 scans of half a megabyte kept a thread for half a minute."""
    data = encode(gradient(80, 100), "JPEG", progressive=True)
    start = data.rindex(b"\xff\xda")
    many = data[:start] + data[start:-2] * 400 + data[-2:]
    monkeypatch.setattr(limits, "MAX_PIXELS", 100_000)
    assert images.load_bytes(data, "photo.jpg").shape == (80, 100, 3)
    with pytest.raises(ImageError, match=r"slow.jpg: is a JPEG of 4\d\d scans, which would take too long"):
        images.load_bytes(many, "slow.jpg")


def test_a_picture_that_takes_too_long_is_an_image_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fill bytes between the markers of a JPEG kept a thread busy for a second per megabyte."""
    data = encode(gradient(80, 100), "JPEG")
    slow = data[:2] + b"\xff" * 2**21 + data[2:]
    monkeypatch.setattr(pixels, "MAX_OTHER_JPEG_BYTES", 0)  # the sooner Pillow reads it
    monkeypatch.setenv("PERSONSEARCH_MAX_SECONDS", "0.05")
    with pytest.raises(ImageError, match=r"slow.jpg: takes longer than 0.05 s to decode; save it again .* PERSONSEARCH_MAX_SECONDS"):
        images.load_bytes(slow, "slow.jpg")
    monkeypatch.setenv("PERSONSEARCH_MAX_SECONDS", "60")
    assert np.array_equal(images.load_bytes(slow, "slow.jpg"), images.load_bytes(data, "photo.jpg"))


@pytest.mark.parametrize("text", ["soon", "-1", "0", "nan", "1e3"])
def test_a_wrong_limit_of_seconds_is_an_error(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("PERSONSEARCH_MAX_SECONDS", text)
    with pytest.raises(ConfigError, match=r"PERSONSEARCH_MAX_SECONDS must be a number of seconds, such as 60, got"):
        images.load_bytes(encode(gradient(), "PNG"), "photo.png")


def test_too_little_memory_is_an_image_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """The MemoryError of one picture ended the whole run."""

    def fail(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(loading, "pixels_of", fail)
    with pytest.raises(ImageError, match=r"big.png: needs more memory than is free; save it in a smaller size"):
        images.load_bytes(encode(gradient(), "PNG"), "big.png")


def test_a_file_too_large_for_a_picture_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "disk.jpg").open("wb") as file:
        file.truncate(2**40)  # sparse: takes no room
    with pytest.raises(ImageError, match=r"disk.jpg: has 1099511627776 bytes, too many for a picture"):
        images.load(tmp_path / "disk.jpg")


def test_a_video_is_not_called_a_damaged_picture() -> None:
    for start in (b"\0\0\0\x20ftypisom", b"RIFF\0\0\0\0AVI LIST", b"\x1aE\xdf\xa3\x01"):
        with pytest.raises(ImageError, match="is a video, not a picture; index it"):
            images.load_bytes(start + bytes(100), "film")


@pytest.mark.parametrize(
    ("array", "way"),
    [
        (np.zeros((3, 10, 12), np.uint8), r"array.transpose\(1, 2, 0\)"),
        (np.zeros((2, 10, 12, 3), np.uint8), r"several pictures as list\(array\)"),
        (np.full((10, 12, 3), 0.5), r"\(array \* 255\).round\(\).astype\('uint8'\)"),
        (np.full((10, 12, 3), 200.0), r"array.clip\(0, 255\).astype\('uint8'\)"),
    ],
)
def test_an_array_of_another_form_is_an_error_with_a_way_that_works(array: Array, way: str) -> None:
    with pytest.raises(ImageError, match=way):
        images.load(array)


@pytest.mark.parametrize("module", ["images", "models.parts.letterbox"])
def test_a_missing_libgl_is_named_with_both_ways_out(tmp_path: Path, module: str) -> None:
    """OpenCV's ImportError was shown as it came."""
    (tmp_path / "cv2.py").write_text("raise ImportError('libGL.so.1: cannot open shared object file: No such file or directory')")
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import personsearch.{module}; personsearch.images.opencv()"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == 1
    message = run.stderr.strip().splitlines()[-1]
    assert message.startswith("personsearch.errors.MissingExtraError: OpenCV cannot be loaded (libGL.so.1: cannot open")
    assert "apt install libgl1" in message
    assert "pip install opencv-python-headless" in message

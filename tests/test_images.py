"""Reading pictures: every common kind comes out right, everything else is an error that names the picture."""

import io
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image, ImageOps

from personsearch import images
from personsearch.boxes import Array
from personsearch.errors import ImageError, MissingExtraError
from personsearch.images import pixels
from tests.helpers.pictures import encode, exif, gradient, png_claiming

LOSSLESS: dict[str, dict[str, Any]] = {"PNG": {}, "WEBP": {"lossless": True}, "TIFF": {}, "BMP": {}, "PPM": {}}
# The four corners of a picture, from the top left clockwise, after a tag says how the camera was held (EXIF 2.3, tag 0x112).
CORNERS = {1: "ABCD", 2: "BADC", 3: "CDAB", 4: "DCBA", 5: "ADCB", 6: "DABC", 7: "CBAD", 8: "BCDA"}


def difference(a: Array, b: Array) -> int:
    assert a.shape == b.shape
    return int(np.abs(a.astype(int) - b).max())


def pillow(data: bytes) -> Array:
    return np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB"))


def test_path_bytes_pil_and_array_give_the_same_picture(tmp_path: Path) -> None:
    data = encode(gradient(), "PNG")
    path = tmp_path / "Ein Bild – 写真.png"
    path.write_bytes(data)
    for image in (str(path), path, data, Image.open(path), gradient()):
        assert np.array_equal(images.load(image), gradient())


@given(arrays(np.uint8, st.tuples(st.integers(8, 20), st.integers(8, 20), st.just(3))), st.sampled_from(sorted(LOSSLESS)))
@settings(max_examples=40)
def test_a_lossless_file_is_decoded_exactly(picture: Array, kind: str) -> None:
    loaded = images.load_bytes(encode(picture, kind, **LOSSLESS[kind]), "picture")
    assert np.array_equal(loaded, picture)
    assert loaded.dtype == np.uint8
    assert loaded.flags.c_contiguous
    assert loaded.flags.writeable


@pytest.mark.parametrize("shape", [(9, 8), (9, 8, 1)])
def test_a_grey_array_gets_three_channels(shape: tuple[int, ...]) -> None:
    grey = np.arange(72, dtype=np.uint8).reshape(shape)
    assert np.array_equal(images.load(grey), np.dstack([grey.reshape(9, 8)] * 3))


def test_only_arrays_that_need_conversion_are_copied() -> None:
    picture = gradient()
    assert images.load(picture) is picture
    flipped, frozen = picture[:, ::-1], gradient()
    frozen.flags.writeable = False
    for other in (flipped, frozen):
        loaded = images.load(other)
        assert np.array_equal(loaded, other)
        assert loaded.flags.c_contiguous
        loaded[:] = 0
    assert np.array_equal(picture, gradient())
    assert np.array_equal(frozen, gradient())


@pytest.mark.parametrize("orientation", CORNERS)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_exif_turns_the_picture_upright(kind: str, orientation: int) -> None:
    """By the standard's table: the corners, each of its own grey, and Pillow's own way."""
    corners = np.repeat(np.repeat(np.array([[0, 80], [240, 160]], np.uint8), 8, axis=0), 16, axis=1)
    data = encode(np.dstack([corners] * 3), kind, exif=exif(orientation), **LOSSLESS.get(kind, {"quality": 100}))
    loaded = images.load_bytes(data, "picture")
    seen = "".join("ABCD"[round(int(loaded[y, x, 0]) / 80)] for y, x in ((2, 2), (2, -3), (-3, -3), (-3, 2)))
    assert seen == CORNERS[orientation]
    assert loaded.shape == ((32, 16, 3) if orientation >= 5 else (16, 32, 3))
    assert difference(loaded, pillow(data)) <= 2
    assert np.array_equal(images.load(Image.open(io.BytesIO(data))), pillow(data))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("tags", [b"Exif\x00\x00nonsense, not a table of tags", b"Exif\x00\x00II*\x00\xff"])
def test_damaged_exif_is_ignored(kind: str, tags: bytes) -> None:
    data = encode(gradient(), kind, exif=tags)
    assert images.load_bytes(data, "picture").shape == (24, 40, 3)


@pytest.mark.parametrize(
    "options",
    [
        {"subsampling": 0},
        {"subsampling": 1, "quality": 30},
        {"subsampling": 2, "quality": 30},
        {"progressive": True},
        {"keep_rgb": True},
        {"restart_marker_rows": 1},
        {"grey": True},
        {"pages": True},
    ],
    ids=str,
)
def test_a_jpeg_is_the_same_through_libjpeg_turbo_and_pillow(options: dict[str, Any]) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (61, 93, 3), dtype=np.uint8)
    picture = Image.fromarray(noise).convert("L" if options.pop("grey", False) else "RGB")
    if options.pop("pages", False):  # what phones write: a second picture behind the first
        data = encode(picture, "MPO", save_all=True, append_images=[picture.rotate(180)])
    else:
        data = encode(picture, "JPEG", **options)
    with Image.open(io.BytesIO(data)) as opened:
        fast = pixels.fast_jpeg(opened, data)
    assert fast is not None
    # 0 here; two builds of libjpeg may round a transform differently
    assert difference(fast, pillow(data)) <= 2
    assert np.array_equal(images.load_bytes(data, "picture"), fast)


def test_a_jpeg_with_bytes_after_its_end_is_read() -> None:
    data = encode(gradient(), "JPEG")
    assert difference(images.load_bytes(data + bytes(100), "picture"), pillow(data)) == 0


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "JPEG"])
def test_grey_files_get_three_channels(kind: str) -> None:
    grey = gradient()[:, :, 2]
    loaded = images.load_bytes(encode(grey, kind, **({"quality": 100} if kind == "JPEG" else {})), "picture")
    assert difference(loaded, np.dstack([grey] * 3)) <= (2 if kind == "JPEG" else 0)


def test_black_and_white_and_palettes_become_rgb() -> None:
    black_white = Image.fromarray(gradient()).convert("1")
    assert np.array_equal(images.load_bytes(encode(black_white, "PNG"), "picture"), np.asarray(black_white.convert("RGB")))
    palette = Image.fromarray(gradient()).quantize(16)
    assert np.array_equal(images.load_bytes(encode(palette, "PNG"), "picture"), np.asarray(palette.convert("RGB")))


def cmyk() -> Image.Image:
    """Left half: no cyan, all magenta, all yellow = red; right half: all black ink."""
    ink = np.zeros((16, 32, 4), np.uint8)
    ink[:, :16] = (0, 255, 255, 0)
    ink[:, 16:] = (0, 0, 0, 255)
    return Image.frombytes("CMYK", (32, 16), ink.tobytes())


def without_adobe_marker(jpeg: bytes) -> bytes:
    start = jpeg.index(b"\xff\xee")
    return jpeg[:start] + jpeg[start + 2 + int.from_bytes(jpeg[start + 2 : start + 4], "big") :]


def test_cmyk_of_adobe_and_of_others() -> None:
    adobe = encode(cmyk(), "JPEG", quality=100)  # Pillow writes as Adobe does
    inverted = Image.frombytes("CMYK", (32, 16), bytes(255 - value for value in cmyk().tobytes()))
    plain = without_adobe_marker(encode(inverted, "JPEG", quality=100))
    for data in (adobe, plain, encode(cmyk(), "TIFF")):
        loaded = images.load_bytes(data, "picture")
        assert difference(loaded[:, :16], np.full((16, 16, 3), (255, 0, 0))) <= 2
        assert difference(loaded[:, 16:], np.zeros((16, 16, 3))) <= 2


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bit_grey_is_scaled_not_clipped(kind: str) -> None:
    levels = np.repeat(np.array([0, 255, 256, 1000, 32768, 65535], np.uint16), 48).reshape(-1, 16)
    loaded = images.load_bytes(encode(levels, kind), "picture")
    assert loaded[::3, 0].tolist() == [[v, v, v] for v in (0, 0, 1, 3, 128, 255)]


def test_sixteen_bit_grey_of_the_other_byte_order_and_rotated() -> None:
    levels = np.arange(8 * 16, dtype=np.uint16).reshape(8, 16) * 512
    data = encode(Image.frombytes("I;16B", (16, 8), levels.astype(">u2").tobytes()), "TIFF", exif=exif(1))
    assert np.array_equal(images.load_bytes(data, "picture")[:, :, 0], levels >> 8)
    turned = images.load_bytes(encode(levels, "PNG", exif=exif(6)), "picture")
    assert np.array_equal(turned[:, :, 1], np.rot90(levels >> 8, -1))


@pytest.mark.parametrize("extension", [".png", ".tiff"])
def test_sixteen_bit_colour_keeps_the_high_byte(extension: str) -> None:
    colours = gradient().astype(np.uint16) * 257
    _, data = cv2.imencode(extension, colours[:, :, ::-1])
    assert np.array_equal(images.load_bytes(data.tobytes(), "picture"), gradient())


def test_transparent_parts_become_white() -> None:
    picture = np.dstack([gradient(), np.full((24, 40), 255, np.uint8)])
    picture[:, :10, 3] = 0
    picture[:, 10:20] = (100, 0, 0, 51)  # a fifth of it, four fifths of white
    for kind in ("PNG", "WEBP"):
        loaded = images.load_bytes(encode(picture, kind, **({"lossless": True, "exact": True} if kind == "WEBP" else {})), "picture")
        assert (loaded[:, :10] == 255).all()
        assert difference(loaded[:, 10:20], np.full((24, 10, 3), (224, 204, 204))) <= 1  # rounding of the blend
        assert np.array_equal(loaded[:, 20:], gradient()[:, 20:])


def test_transparency_of_grey_and_of_a_palette_becomes_white() -> None:
    grey_alpha = Image.merge("LA", [Image.new("L", (10, 10), 50), Image.new("L", (10, 10), 0)])
    assert (images.load(grey_alpha) == 255).all()
    palette = Image.fromarray(gradient()).quantize(4)
    loaded = images.load_bytes(encode(palette, "PNG", transparency=0), "picture")
    clear = np.asarray(palette) == 0
    assert (loaded[clear] == 255).all()
    assert np.array_equal(loaded[~clear], np.asarray(palette.convert("RGB"))[~clear])


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_an_animation_gives_its_first_frame(kind: str) -> None:
    first, second = Image.new("RGB", (16, 16), (255, 0, 0)), Image.new("RGB", (16, 16), (0, 0, 255))
    data = encode(first, kind, save_all=True, append_images=[second], **LOSSLESS.get(kind, {}))
    assert Image.open(io.BytesIO(data)).n_frames == 2  # type: ignore[attr-defined]
    assert np.array_equal(images.load_bytes(data, "picture"), np.full((16, 16, 3), (255, 0, 0)))


def test_a_pil_picture_is_not_changed() -> None:
    picture = Image.open(io.BytesIO(encode(gradient(), "JPEG", exif=exif(6))))
    assert images.load(picture).shape == (40, 24, 3)
    assert picture.size == (40, 24)
    assert picture.getexif()[0x112] == 6


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "PPM"])
@pytest.mark.parametrize("part", [0.25, 0.5, 0.9])
def test_a_cut_off_file_is_an_error_that_names_it(tmp_path: Path, kind: str, part: float) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 80, 3), dtype=np.uint8)
    data = encode(noise, kind)
    path = tmp_path / f"half.{kind.lower()}"
    path.write_bytes(data[: int(len(data) * part)])
    with pytest.raises(ImageError, match=f"{path.name}.*(cut off|start is damaged)"):
        images.load(path)


def test_a_jpeg_that_lost_only_its_last_bytes_is_an_error() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 80, 3), dtype=np.uint8)
    with pytest.raises(ImageError, match="cut off"):
        images.load_bytes(encode(noise, "JPEG")[:-20], "picture")


@pytest.mark.parametrize("behind", [b"", bytes(100), b"what a phone adds"], ids=["nothing", "zeros", "more"])
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpeg_with_a_damaged_middle_is_not_read_as_a_whole_one(behind: bytes, mode: str, progressive: bool) -> None:
    """As in half of all files with 4,096 overwritten bytes; OpenCV and Pillow give such a picture without an error."""
    noise = np.random.default_rng(0).integers(0, 256, (320, 480, 3), dtype=np.uint8)
    data = bytearray(encode(Image.fromarray(noise).convert(mode), "JPEG", progressive=progressive))
    middle = len(data) // 2
    data[middle : middle + 4096] = bytes(4096)
    with pytest.raises(ImageError, match=r"^picture: cannot be decoded .*it is damaged or cut off"):
        images.load_bytes(bytes(data) + behind, "picture")


def test_a_jpeg_without_its_decoder_is_not_called_a_heic_photo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "simplejpeg", None)
    with pytest.raises(MissingExtraError, match=r"^JPEGs need simplejpeg, .*run: pip install simplejpeg"):
        images.load_bytes(encode(gradient(), "JPEG"), "picture")


def test_a_jpeg_with_a_harmless_warning_is_read() -> None:
    """A frame header whose end of the spectrum is 0, as some webcams write it: "Invalid SOS parameters for sequential JPEG"."""
    data = encode(gradient(), "JPEG")
    at = data.index(b"\xff\xda")
    end = at + 2 + int.from_bytes(data[at + 2 : at + 4])
    odd = data[: end - 2] + b"\0" + data[end - 1 :]
    assert odd != data
    assert np.array_equal(images.load_bytes(odd, "picture"), images.load_bytes(data, "picture"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"this is a text, not a picture", "not a picture in a known format"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 20 20\n", "not a picture in a known format"),
        (encode(np.zeros((1, 1, 3), np.uint8), "JPEG"), "1 x 1 pixels, too small"),
        (encode(np.zeros((7, 100, 3), np.uint8), "PNG"), "100 x 7 pixels, too small.*at least 8"),
        (encode(np.ones((16, 16), np.float32), "TIFF"), "32-bit"),
    ],
    ids=["empty", "text", "eps", "1x1", "low", "float"],
)
def test_unusable_files_are_errors(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "holiday.jpg"
    path.write_bytes(content)
    with pytest.raises(ImageError, match=f"holiday.jpg.*{message}"):
        images.load(path)


def test_the_smallest_picture_is_read() -> None:
    smallest = np.zeros((images.MIN_SIDE, images.MIN_SIDE, 3), np.uint8)
    assert images.load_bytes(encode(smallest, "PNG"), "picture").shape == smallest.shape


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("side", [9_460, 13_000, 60_000])
def test_a_decompression_bomb_is_refused_by_its_header(side: int) -> None:
    """Just above our limit, where Pillow only warns, and where Pillow refuses; decoding would say "cut off"."""
    assert side**2 > images.MAX_PIXELS
    with pytest.raises(ImageError, match=r"bomb.png.*more than 89478485 pixels.*save it in a smaller size"):
        images.load_bytes(png_claiming(side, side), "bomb.png")


@pytest.mark.filterwarnings("error::PIL.Image.DecompressionBombWarning")
def test_a_decompression_bomb_if_warnings_are_errors() -> None:
    with pytest.raises(ImageError, match=r"bomb.png.*pixels"):
        images.load_bytes(png_claiming(13_000, 13_000), "bomb.png")


def test_unreadable_paths_are_errors(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    for path, message in (
        (tmp_path / "missing.jpg", "missing.jpg.*No such file.*check the path"),
        (tmp_path, "is a folder"),
        (tmp_path / "pipe.jpg", "not a regular file"),
        ("nul\0byte.jpg", "null byte"),
        (os.fsdecode(b"/caf\xe9.jpg"), "not valid UTF-8"),
    ):
        with pytest.raises(ImageError, match=message):
            images.load(path)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((10, 10, 3), np.float32), "got float32"),
        (np.zeros((10, 10), bool), "got bool"),
        (np.zeros((10, 10, 4), np.uint8), r"got \(10, 10, 4\)"),
        (np.zeros((2, 10, 10, 3), np.uint8), r"got \(2, 10, 10, 3\)"),
        (np.zeros(10, np.uint8), r"got \(10,\)"),
        (np.zeros((0, 10, 3), np.uint8), "too small"),
        (np.zeros((0, 0), np.uint8), "too small"),
    ],
)
def test_unusable_arrays_are_errors(array: Array, message: str) -> None:
    with pytest.raises(ImageError, match=message):
        images.load(array)


def test_other_types_are_errors() -> None:
    with pytest.raises(ImageError, match="got list"):
        images.load([1, 2, 3])  # type: ignore[arg-type]


def test_a_damaged_or_small_pil_picture_is_an_error() -> None:
    with pytest.raises(ImageError, match=r"PIL picture.*cut off"):
        images.load(Image.open(io.BytesIO(encode(gradient(100, 100), "PNG")[:-100])))
    with pytest.raises(ImageError, match="4 x 4 pixels"):
        images.load(Image.new("RGB", (4, 4)))


SEEDS = [encode(gradient(), kind) for kind in ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "PPM")]


@pytest.mark.filterwarnings("ignore")
@given(st.sampled_from(SEEDS), st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), min_size=1, max_size=5))
@settings(max_examples=200)
def test_damaged_bytes_give_a_picture_or_an_image_error(seed: bytes, changes: list[tuple[float, int]]) -> None:
    data = bytearray(seed)
    for place, value in changes:
        data[int(place * (len(data) - 1))] = value
    with suppress(ImageError):
        loaded = images.load_bytes(bytes(data), "picture")
        assert (loaded.dtype, loaded.ndim, loaded.shape[2]) == (np.uint8, 3, 3)


def test_importing_is_light() -> None:
    code = "import sys, personsearch.images, personsearch.sources; assert not {'cv2', 'PIL', 'torch'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "L"])
def test_a_picture_converted_in_strips_has_the_same_pixels(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (50, 30, 4), dtype=np.uint8)
    picture = Image.fromarray(noise, "RGBA").convert(mode)
    whole = images.load(picture)
    monkeypatch.setattr(pixels, "STRIP_PIXELS", 1000)
    assert np.array_equal(images.load(picture), whole)

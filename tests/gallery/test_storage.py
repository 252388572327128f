"""Embeddings in half precision on disk: half the bytes, read back exactly, never mixed with float32."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from personsearch import PersonSearcher
from personsearch.cli import app as cli
from personsearch.cli import search
from personsearch.errors import ConfigError, GalleryError
from personsearch.gallery import FramePeople, Gallery, ModelKey
from personsearch.results import Detections
from tests.helpers.fakes import RED, RectangleModel, scene
from tests.helpers.gallery_frames import KEY, embeddings_of, frame


def written(embeddings: list[list[float]], name: str = "a.jpg") -> FramePeople:
    count = len(embeddings)
    found = Detections(np.ones((count, 4), np.float32), np.ones(count, np.float32), np.array(embeddings, np.float32))
    return FramePeople(**{**vars(frame(name)), "detections": found})


def test_float16_storage_rounds_to_eleven_bits(tmp_path: Path) -> None:
    """1/3 lies in 2^-2..2^-1, where float16 has steps of 2^-12: 1365 of them."""
    gallery = Gallery.create_or_open(tmp_path / "half", KEY, storage="float16")
    gallery.add([written([[1 / 3, -1, 0.5]])])
    rows = Gallery.open(gallery.location).people().embeddings
    assert rows.dtype == np.float32
    assert rows.tolist() == [[1365 / 4096, -1, 0.5]]
    whole = Gallery.create_or_open(tmp_path / "whole", KEY)
    whole.add([written([[1 / 3, -1, 0.5]])])
    assert whole.people().embeddings.tolist() == [[np.float32(1 / 3), -1, 0.5]]


def test_float16_storage_changes_only_the_embeddings(tmp_path: Path) -> None:
    galleries = [Gallery.create_or_open(tmp_path / storage, KEY, storage=storage) for storage in ("float16", "float32")]
    for gallery in galleries:
        gallery.add([frame("a.jpg", 3), frame("b.jpg", 0), frame("c.jpg", 2)])
        gallery.add([frame("c.jpg", 1, seed=1)])
        gallery.remove_person("a.jpg", 1)
        gallery.compact()
    half, whole = (gallery.people() for gallery in galleries)
    for name in ("images", "frames", "rows", "boxes", "scores"):
        assert getattr(half, name).tolist() == getattr(whole, name).tolist()
    assert np.array_equal(half.embeddings, whole.embeddings.astype(np.float16).astype(np.float32))
    assert not np.array_equal(half.embeddings, whole.embeddings), "the embeddings must need rounding"
    assert galleries[0].to_arrow().schema == galleries[1].to_arrow().schema


def test_a_gallery_keeps_its_storage_and_refuses_the_other(tmp_path: Path) -> None:
    gallery = Gallery.create_or_open(tmp_path, KEY, storage="float16")
    gallery.add([frame("a.jpg")])
    assert [Gallery.create_or_open(tmp_path, KEY, storage=storage).storage for storage in (None, "float16")] == ["float16", "float16"]
    with pytest.raises(GalleryError, match="in float16, not in float32; formats cannot be mixed"):
        Gallery.create_or_open(tmp_path, KEY, storage="float32")
    assert len(embeddings_of(gallery, "a.jpg")) == 1
    gallery.delete()
    assert Gallery.create_or_open(tmp_path, KEY).storage == "float32"
    with pytest.raises(GalleryError, match="in float32, not in float16"):
        Gallery.create_or_open(tmp_path, KEY, storage="float16")


def test_an_unknown_storage_is_an_error_and_makes_nothing(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="float32, float16, got 'int8'"):
        Gallery.create_or_open(tmp_path / "new", KEY, storage="int8")  # type: ignore[arg-type]
    assert not (tmp_path / "new").exists()


def test_an_empty_float16_gallery(tmp_path: Path) -> None:
    gallery = Gallery.create_or_open(tmp_path, KEY, storage="float16")
    gallery.add([frame("a.jpg", 0)])
    assert (gallery.people().embeddings.shape, gallery.people().embeddings.dtype) == ((0, 3), np.float32)


def test_searcher_and_command_line_pass_the_storage_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.fromarray(scene((RED, 10, 10, 60))).save(tmp_path / "a.png")
    searcher = PersonSearcher(RectangleModel())
    assert searcher.index(tmp_path, gallery=tmp_path / "one.lance", storage="float16").storage == "float16"
    assert searcher.index(tmp_path, gallery=tmp_path / "one.lance").storage == "float16"
    monkeypatch.setattr(search, "open_searcher", lambda *_: searcher)
    arguments = ["index", str(tmp_path), "--gallery", str(tmp_path / "two.lance"), "--storage"]
    assert CliRunner().invoke(cli.app, [*arguments, "float16"]).exit_code == 0
    assert Gallery.open(tmp_path / "two.lance").storage == "float16"
    refused = CliRunner().invoke(cli.app, [*arguments, "float32"])
    assert isinstance(refused.exception, GalleryError)


def test_float16_storage_takes_about_half_the_disk(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).standard_normal((2000, 128)).tolist()
    bytes_of = {}
    for storage in ("float16", "float32"):
        Gallery.create_or_open(tmp_path / storage, ModelKey("m", "f", 128), storage=storage).add([written(rows)])
        bytes_of[storage] = sum(path.stat().st_size for path in (tmp_path / storage).rglob("*") if path.is_file())
    assert bytes_of["float16"] < 0.6 * bytes_of["float32"]

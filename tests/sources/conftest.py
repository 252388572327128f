"""Fixtures: a folder of photos, and a film."""

from pathlib import Path

import pytest

from tests.helpers.pictures import encode, gradient, greys, write_video


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder of photos with hidden files, subfolders and other files."""
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


@pytest.fixture
def film(tmp_path: Path) -> Path:
    """25 frames, 10 a second."""
    write_video(tmp_path / "film 1.AVI", greys(25))
    return tmp_path / "film 1.AVI"

"""What indexing says at the level INFO, which `--verbose` shows: the gallery, the engine, and why a picture is embedded again."""

import logging
from pathlib import Path

import pytest
from PIL import Image

from personsearch import PersonSearcher
from personsearch.errors import SourceError
from tests.helpers.fakes import GREEN, RED, RectangleModel, scene


def save(path: Path, colour: tuple[int, int, int]) -> None:
    Image.fromarray(scene((colour, 10, 10, 60))).save(path)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number, name in enumerate("abc"):
        save(folder / f"{name}.png", (228, 128, 128 - number))
    return folder


def messages(caplog: pytest.LogCaptureFixture) -> list[str]:
    texts = [record.getMessage() for record in caplog.records if record.name.startswith("personsearch")]
    caplog.clear()
    return texts


def test_a_run_names_its_gallery_its_engine_and_its_counts(photos: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """`--verbose` said nothing while indexing."""
    caplog.set_level(logging.INFO)
    searcher = PersonSearcher(RectangleModel())
    searcher.index(photos, gallery=tmp_path / "g")
    assert messages(caplog) == [
        f"gallery {tmp_path / 'g'} does not exist yet: everything is read",
        "model rectangles (RectangleModel), min_score=0.3, every=1",
        f"gallery {tmp_path / 'g'}: 3 added, 0 changed, 0 renamed, 0 removed, 0 unchanged, 0 not looked",
    ]


def test_a_run_says_why_a_picture_is_embedded_again(photos: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    searcher = PersonSearcher(RectangleModel())
    searcher.index(photos, gallery=tmp_path / "g")
    save(photos / "a.png", GREEN)
    (photos / "b.png").rename(photos / "d.png")
    (photos / "c.png").unlink()
    caplog.set_level(logging.INFO)
    searcher.index(photos, gallery=tmp_path / "g")
    texts = messages(caplog)
    assert f"embedded again: {photos / 'a.png'}: its content has changed" in texts
    assert f"renamed: {photos / 'b.png'} is {photos / 'd.png'} now" in texts
    assert f"removed: {photos / 'c.png'}: not in the source any more" in texts
    searcher.index(photos, gallery=tmp_path / "g", force=True)
    assert f"embedded again: {photos / 'd.png'}: force=True" in messages(caplog)


def test_nothing_is_said_at_the_default_level(photos: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    PersonSearcher(RectangleModel()).index(photos)
    assert messages(caplog) == []


def test_a_generator_without_pictures_is_an_error() -> None:
    """A camera that is not open gave an empty gallery, as if nobody were there."""
    searcher = PersonSearcher(RectangleModel())
    with pytest.raises(SourceError, match="the generator gave no pictures"):
        searcher.index(picture for picture in [])
    assert len(searcher.index(picture for picture in [scene((RED, 10, 10, 60))])) == 1

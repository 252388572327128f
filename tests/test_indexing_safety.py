"""Indexing deletes nothing by accident, keeps what a gallery was made with, and stays within the memory."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from personsearch import PersonSearcher
from personsearch.errors import GalleryOptionError, ImageError, SourceError
from personsearch.indexing import decoding, plan
from personsearch.results import Detections
from personsearch.sources import items
from tests.helpers.fakes import BLUE, GREEN, RED, RectangleModel, scene


def save(path: Path, image: np.ndarray) -> None:
    Image.fromarray(image).save(path)


def names(paths: tuple[str, ...]) -> list[str]:
    return [Path(path).name for path in paths]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for name, colour in (("a", RED), ("b", GREEN), ("c", BLUE)):
        save(folder / f"{name}.png", scene((colour, 10, 10, 60)))
    return folder


def video(path: Path, colours: list[tuple[int, int, int]]) -> None:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"FFV1"), 10, (200, 120))
    assert writer.isOpened()
    for colour in colours:
        writer.write(np.ascontiguousarray(scene((colour, 10, 10, 60))[:, :, ::-1]))
    writer.release()


# Nothing is deleted by accident


def test_people_of_a_folder_that_cannot_be_listed_stay(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An I/O error of the disk deleted everybody of the folder."""
    (photos / "sub").mkdir()
    save(photos / "sub" / "d.png", scene((RED, 10, 10, 60)))
    searcher = PersonSearcher(RectangleModel())
    searcher.index(photos)
    scandir = os.scandir

    def failing(folder: str) -> "os._ScandirIterator[str]":
        if str(folder).endswith("sub"):
            raise OSError(5, "Input/output error", folder)
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", failing)
    for prune in (False, True):  # it has not gone, so that it cannot be pruned
        gallery = searcher.index(photos, prune=prune)
        assert gallery.report is not None
        assert (gallery.report.removed, list(gallery.report.not_seen)) == ((), [str(photos / "sub")])
        assert len(gallery) == 4


@pytest.mark.parametrize("ending", ["vanished", "empty"])
@pytest.mark.parametrize("place", ["photos", "photos/*.png", "photos/**/*.png"])
def test_people_of_a_lost_disk_stay_until_pruned(photos: Path, place: str, ending: str) -> None:
    model = RectangleModel()
    searcher = PersonSearcher(model)
    source = photos.parent / place
    searcher.index(source)
    for path in photos.iterdir():
        path.rename(photos.parent / path.name)
    if ending == "vanished":
        photos.rmdir()
    gallery = searcher.index(source)
    assert gallery.report is not None
    assert (gallery.report.removed, bool(gallery.report.not_seen), len(gallery)) == ((), True, 3)
    found = searcher.search(np.full((60, 20, 3), RED, np.uint8), source)
    assert (len(found), bool(found.not_looked)) == (3, True)
    pruned = searcher.index(source, prune=True)
    assert (len(pruned), len(pruned.report.removed)) == (0, 3)  # type: ignore[union-attr]


def test_an_empty_subfolder_keeps_its_people_until_pruned(photos: Path) -> None:
    """The folder of a disk that is not mounted exists, and is empty."""
    (photos / "disk").mkdir()
    save(photos / "disk" / "d.png", scene((RED, 10, 10, 60)))
    searcher = PersonSearcher(RectangleModel())
    searcher.index(photos)
    (photos / "disk" / "d.png").unlink()
    gallery = searcher.index(photos)
    assert (len(gallery), list(gallery.report.not_seen)) == (4, [str(photos / "disk")])  # type: ignore[union-attr]
    assert names(searcher.index(photos, prune=True).report.removed) == ["d.png"]  # type: ignore[union-attr]
    (photos / "disk").rmdir()
    assert searcher.index(photos).report.not_looked == {}  # type: ignore[union-attr]


def test_a_subfolder_deleted_with_its_pictures_leaves(photos: Path) -> None:
    (photos / "old").mkdir()
    save(photos / "old" / "d.png", scene((RED, 10, 10, 60)))
    searcher = PersonSearcher(RectangleModel())
    searcher.index(photos)
    (photos / "old" / "d.png").unlink()
    (photos / "old").rmdir()
    assert names(searcher.index(photos).report.removed) == ["d.png"]  # type: ignore[union-attr]


def test_people_of_a_picture_that_cannot_be_opened_stay(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A read error says nothing about the content; it removed the people."""
    searcher = PersonSearcher(RectangleModel())
    searcher.index(photos)
    os.utime(photos / "a.png", (1, 1))

    def failing(item: items.Item) -> str:
        try:
            raise OSError(5, "Input/output error")
        except OSError as error:
            raise ImageError(f"{item.image}: cannot be read") from error

    with monkeypatch.context() as patch:
        patch.setattr(items.Item, "fingerprint", failing)
        gallery = searcher.index(photos)
    assert gallery.report is not None
    assert (len(gallery), gallery.report.unreadable) == (3, {})
    assert str(photos / "a.png") in gallery.report.not_seen


def test_a_source_of_which_nothing_can_be_read_is_an_error(tmp_path: Path) -> None:
    """It looked the same as a source without the person."""
    (tmp_path / "a.heic").write_bytes(b"no picture")
    (tmp_path / "b.jpg").write_bytes(b"no picture")
    with pytest.raises(SourceError, match="nothing could be read of the 2 pictures"):
        PersonSearcher(RectangleModel()).search(np.full((60, 20, 3), RED, np.uint8), tmp_path)


def test_a_search_says_what_it_could_not_look_at(photos: Path) -> None:
    (photos / "b.png").write_bytes(b"no picture")
    result = PersonSearcher(RectangleModel()).search(np.full((60, 20, 3), RED, np.uint8), photos)
    assert list(result.not_looked) == [str(photos / "b.png")]
    assert list(result.to_dict()["not_looked"]) == [str(photos / "b.png")]
    assert "1 not looked at" in repr(result)


def test_a_renamed_folder_is_not_embedded_again(photos: Path, tmp_path: Path) -> None:
    """The old names stayed for good, and half of the hits were files that do not exist."""
    model = RectangleModel()
    searcher = PersonSearcher(model)
    before = searcher.index(photos, gallery=tmp_path / "g").people()
    photos.rename(tmp_path / "new")
    gallery = searcher.index(tmp_path / "new", gallery=tmp_path / "g")
    assert gallery.report is not None
    assert gallery.report.renamed == {str(photos / f"{name}.png"): str(tmp_path / "new" / f"{name}.png") for name in "abc"}
    assert (model.detected, gallery.image_count) == (3, 3)
    assert [Path(image).parent.name for image in gallery.people().images] == ["new"] * 3
    assert np.array_equal(gallery.people().embeddings, before.embeddings)
    assert searcher.index(tmp_path / "new", gallery=tmp_path / "g").report.unchanged == tuple(gallery.images())  # type: ignore[union-attr]


def test_a_picture_turned_with_its_date_kept_is_changed(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """exiftool -P keeps size and date; only the time of change tells."""
    monkeypatch.setattr(plan, "RACY_NS", 0)
    bmp = photos / "e.bmp"
    save(bmp, scene((RED, 10, 10, 60)))
    os.utime(bmp, ns=(10**18, 10**18))
    model = RectangleModel()
    searcher = PersonSearcher(model)
    searcher.index(photos)
    save(bmp, scene((BLUE, 10, 10, 60)))
    os.utime(bmp, ns=(10**18, 10**18))
    assert names(searcher.index(photos).report.changed) == ["e.bmp"]  # type: ignore[union-attr]
    os.chmod(bmp, 0o600)
    assert searcher.index(photos).report.changed == ()  # type: ignore[union-attr]
    assert model.detected == 5


def test_force_reads_every_picture_again(photos: Path) -> None:
    model = RectangleModel()
    searcher = PersonSearcher(model)
    searcher.index(photos)
    assert names(searcher.index(photos, force=True).report.changed) == ["a.png", "b.png", "c.png"]  # type: ignore[union-attr]
    assert model.detected == 6


# A search keeps what an index run chose


def test_a_search_keeps_every_and_min_score_of_the_gallery(tmp_path: Path) -> None:
    """A search without `every` read the whole video again, and replaced the gallery."""
    video(tmp_path / "film.avi", [RED, RED, GREEN, GREEN, BLUE, BLUE])
    model = RectangleModel()
    searcher = PersonSearcher(model)
    made = searcher.index(tmp_path / "film.avi", every=2, min_score=0.5)
    assert (made.every, made.min_score, model.detected) == (2, 0.5, 3)
    opened = searcher.open_gallery(tmp_path / "film.avi")
    assert (opened.location, opened.every, opened.min_score, model.detected) == (made.location, 2, 0.5, 3)
    assert "every 2" in repr(opened)


@pytest.mark.parametrize(("option", "text"), [({"every": 3}, "every=2, not with 3"), ({"min_score": 0.4}, "min_score=0.5, not with 0.4")])
def test_a_conflict_with_the_gallery_is_an_error(tmp_path: Path, option: dict[str, Any], text: str) -> None:
    video(tmp_path / "film.avi", [RED, RED, GREEN])
    searcher = PersonSearcher(RectangleModel())
    searcher.index(tmp_path / "film.avi", every=2, min_score=0.5)
    for call in (searcher.index, searcher.open_gallery):
        with pytest.raises(GalleryOptionError, match=text):
            call(tmp_path / "film.avi", **option)


# Memory


def test_large_pictures_are_read_one_at_a_time(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """24 pictures of 9459 x 9459 took 7 GB, as only their number was bounded."""
    monkeypatch.setattr(decoding, "MEMORY", 1)
    sizes = []

    class Counting(RectangleModel):
        def detect(self, prepared: Sequence[np.ndarray], *, min_score: float = 0.0) -> list[Detections]:
            sizes.append(len(prepared))
            return super().detect(prepared, min_score=min_score)

    assert len(PersonSearcher(Counting()).index(photos, batch_size=8)) == 3
    assert sizes == [1, 1, 1]


def test_a_picture_too_large_for_the_memory_is_reported(photos: Path) -> None:
    class Small(RectangleModel):
        def prepare(self, image: np.ndarray) -> np.ndarray:
            if (image[40, 20] == GREEN).all():
                raise MemoryError
            return super().prepare(image)

        def detect(self, prepared: Sequence[np.ndarray], *, min_score: float = 0.0) -> list[Detections]:
            if any((image[40, 20] == BLUE).all() for image in prepared):
                raise MemoryError
            return super().detect(prepared, min_score=min_score)

    gallery = PersonSearcher(Small()).index(photos)
    assert gallery.report is not None
    assert (names(tuple(gallery.report.unreadable)), len(gallery)) == (["b.png", "c.png"], 1)
    assert names(gallery.report.added) == ["a.png"]

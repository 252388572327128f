"""Indexing: only new and changed pictures, nothing lost, and one bad picture never stops the rest."""

import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from personsearch import Gallery, PersonSearcher, Query
from personsearch.errors import ConfigError
from personsearch.gallery import ImageRecords
from personsearch.indexing import plan, updating
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


def test_only_new_and_changed_pictures_are_read_again(photos: Path) -> None:
    model = RectangleModel()
    searcher = PersonSearcher(model)
    first = searcher.index(photos)
    assert first.report is not None
    assert names(first.report.added) == ["a.png", "b.png", "c.png"]
    assert model.detected == 3

    save(photos / "b.png", scene((RED, 10, 10, 60), (RED, 60, 10, 60)))
    (photos / "c.png").unlink()
    save(photos / "d.png", scene())
    again = searcher.index(photos)
    assert again.report is not None
    assert names(again.report.added) == ["d.png"]
    assert names(again.report.changed) == ["b.png"]
    assert names(again.report.removed) == ["c.png"]
    assert names(again.report.unchanged) == ["a.png"]
    assert model.detected == 5
    assert sorted(Path(image).name for image in again.images()) == ["a.png", "b.png", "d.png"]
    assert len(again) == 3


def test_a_touched_picture_with_the_same_content_is_unchanged(photos: Path) -> None:
    model = RectangleModel()
    searcher = PersonSearcher(model)
    searcher.index(photos)
    os.utime(photos / "a.png", (1, 1))
    assert searcher.index(photos).report.changed == ()  # type: ignore[union-attr]
    assert model.detected == 3


def test_a_picture_rewritten_with_same_size_and_time_is_changed(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Within the resolution of the file's time stamp an equal time proves nothing (git's racy rule)."""
    monkeypatch.setattr(plan, "RACY_NS", 60 * plan.RACY_NS)  # however slow the machine is
    searcher = PersonSearcher(RectangleModel())
    bmp = photos / "e.bmp"
    save(bmp, scene((RED, 10, 10, 60)))
    searcher.index(photos)
    before = bmp.stat()
    save(bmp, scene((BLUE, 10, 10, 60)))
    os.utime(bmp, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert bmp.stat().st_size == before.st_size
    assert names(searcher.index(photos).report.changed) == ["e.bmp"]  # type: ignore[union-attr]


def test_an_unreadable_picture_does_not_stop_the_rest(photos: Path) -> None:
    (photos / "b.png").write_text("not a picture")
    (photos / "d.jpg").write_bytes(b"")
    gallery = PersonSearcher(RectangleModel()).index(photos)
    assert gallery.report is not None
    assert gallery.report.unreadable.keys() == {str(photos / "b.png"), str(photos / "d.jpg")}
    assert gallery.report.unreadable[str(photos / "d.jpg")].startswith("is empty (0 bytes)")  # the reason, without the name again
    assert names(gallery.report.added) == ["a.png", "c.png"]
    assert len(gallery) == 2


def test_a_picture_that_became_unreadable_leaves_the_gallery(photos: Path) -> None:
    searcher = PersonSearcher(RectangleModel())
    searcher.index(photos)
    (photos / "a.png").write_text("not a picture any more")
    gallery = searcher.index(photos)
    assert len(gallery) == 2
    assert gallery.report is not None
    assert names(tuple(gallery.report.unreadable)) == ["a.png"]
    assert gallery.report.changed == ()


def test_a_picture_changed_while_being_read_is_read_again(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The digest was taken after decoding, so the old features were kept for the new content."""
    decode = items.load_bytes  # type: ignore[attr-defined]

    def load_and_replace(data: bytes, image: str) -> np.ndarray:
        pixels = decode(data, image)
        if image.endswith("a.png"):
            save(photos / "a.png", scene((GREEN, 40, 10, 60)))
        return pixels

    searcher = PersonSearcher(RectangleModel())
    with monkeypatch.context() as patch:
        patch.setattr(items, "load_bytes", load_and_replace)
        searcher.index(photos)
    gallery = searcher.index(photos)
    assert names(gallery.report.changed) == ["a.png"]  # type: ignore[union-attr]
    assert gallery.people().boxes[0].tolist() == [40, 10, 60, 70]


def test_another_process_may_drop_the_same_pictures_first(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both processes saw the deleted picture, and the second removal failed."""
    searcher = PersonSearcher(RectangleModel())
    gallery = searcher.index(photos)
    (photos / "a.png").unlink()
    records = gallery.records()
    PersonSearcher(RectangleModel()).index(photos)
    with monkeypatch.context() as patch:
        patch.setattr(Gallery, "records", lambda _: records)
        assert names(searcher.index(photos).report.removed) == ["a.png"]  # type: ignore[union-attr]
    assert len(gallery) == 2


def test_an_addition_makes_no_record_of_the_other_pictures(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each addition made a record of every picture of the gallery, so that the cost of one grew with the gallery."""
    searcher = PersonSearcher(RectangleModel())
    made: list[int] = []
    at = ImageRecords._at
    monkeypatch.setattr(ImageRecords, "_at", lambda records, positions: made.append(len(positions)) or at(records, positions))
    for name in "abc":
        searcher.index([photos / f"{name}.png"], gallery=tmp_path / "g.lance")
    assert sum(made) == 0
    assert len(Gallery.open(tmp_path / "g.lance").images()) == 3
    assert sum(made) == 3


def test_two_sources_share_a_gallery(photos: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    save(other / "z.png", scene((RED, 10, 10, 60)))
    searcher = PersonSearcher(RectangleModel())
    searcher.index(photos, gallery=tmp_path / "g.lance")
    searcher.index(other, gallery=tmp_path / "g.lance")
    (photos / "a.png").unlink()
    gallery = searcher.index(photos, gallery=tmp_path / "g.lance")
    assert sorted(Path(image).name for image in gallery.images()) == ["b.png", "c.png", "z.png"]


def test_a_deleted_picture_leaves_however_it_was_indexed(photos: Path, tmp_path: Path) -> None:
    """A picture indexed by a pattern or a list was never removed when its folder was indexed."""
    searcher = PersonSearcher(RectangleModel())
    table = tmp_path / "g.lance"
    searcher.index([photos / "a.png"], gallery=table)
    searcher.index(photos / "b*.png", gallery=table)
    save(tmp_path / "photos.png", scene((RED, 10, 10, 60)))  # beside the folder; its path starts with the folder's
    searcher.index([tmp_path / "photos.png"], gallery=table)
    for name in ("photos/a.png", "photos/b.png", "photos.png"):
        (tmp_path / name).unlink()
    gallery = searcher.index(photos, gallery=table)
    assert names(gallery.report.removed) == ["a.png", "b.png"]  # type: ignore[union-attr]
    assert names(tuple(gallery.images())) == ["photos.png", "c.png"]


def test_an_existing_picture_outside_the_source_stays(photos: Path, tmp_path: Path) -> None:
    save(photos / ".hidden.png", scene((RED, 10, 10, 60)))
    searcher = PersonSearcher(RectangleModel())
    searcher.index([photos / ".hidden.png"], gallery=tmp_path / "g.lance")
    gallery = searcher.index(photos, gallery=tmp_path / "g.lance")
    assert gallery.report.removed == ()  # type: ignore[union-attr]
    assert names(tuple(gallery.images())) == [".hidden.png", "a.png", "b.png", "c.png"]


def test_arrays_and_a_picture_named_twice(photos: Path) -> None:
    searcher = PersonSearcher(RectangleModel())
    assert len(searcher.index([scene((RED, 10, 10, 60)), scene((BLUE, 10, 10, 60))])) == 2
    assert len(searcher.index([photos / "a.png", photos / "a.png"])) == 1


def video(path: Path, colours: list[tuple[int, int, int]]) -> None:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"FFV1"), 10, (200, 120))
    assert writer.isOpened()
    for colour in colours:
        writer.write(np.ascontiguousarray(scene((colour, 10, 10, 60))[:, :, ::-1]))
    writer.release()


def test_a_video_is_a_gallery(tmp_path: Path) -> None:
    video(tmp_path / "film.avi", [RED, RED, GREEN, GREEN, BLUE, BLUE])
    model = RectangleModel()
    searcher = PersonSearcher(model)
    query = Query(np.full((60, 20, 3), BLUE, np.uint8), crop=True)  # no detector run on the query
    hit = searcher.search(query, searcher.index(tmp_path / "film.avi", every=2))[0]
    assert (hit.frame, hit.time) == (4, pytest.approx(0.4))
    assert model.detected == 3
    assert names(searcher.index(tmp_path / "film.avi", every=2).report.unchanged) == ["film.avi"]  # type: ignore[union-attr]
    assert names(searcher.index(tmp_path / "film.avi", every=3, force=True).report.changed) == ["film.avi"]  # type: ignore[union-attr]
    assert model.detected == 5


def test_an_interrupted_run_continues_from_its_commits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commits after every batch; the network dies in the third."""
    monkeypatch.setattr(updating, "COMMIT_FRAMES", 1)
    folder = tmp_path / "photos"
    folder.mkdir()
    for i in range(3):
        save(folder / f"{i}.png", scene((RED, 10 + i, 10, 60)))
    video(folder / "z.avi", [RED, GREEN, BLUE, RED, GREEN, BLUE])

    class Dying(RectangleModel):
        def detect(self, prepared, *, min_score=0.0):  # type: ignore[no-untyped-def]
            if self.detected >= 6:
                raise KeyboardInterrupt
            return super().detect(prepared, min_score=min_score)

    table = tmp_path / "g.lance"
    with pytest.raises(KeyboardInterrupt):
        PersonSearcher(Dying()).index(folder, gallery=table, batch_size=2)
    assert len(Gallery.open(table)) == 6
    model = RectangleModel()
    gallery = PersonSearcher(model).index(folder, gallery=table, batch_size=2)
    assert model.detected == 3
    assert len(gallery) == 9
    people = gallery.people()
    assert people.frames[people.images == str(folder / "z.avi")].tolist() == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize("min_score", [-0.1, 1.1, float("nan")])
def test_a_threshold_out_of_range_is_an_error(photos: Path, min_score: float) -> None:
    with pytest.raises(ConfigError, match="min_score"):
        PersonSearcher(RectangleModel()).index(photos, min_score=min_score)


@pytest.mark.parametrize("name", ["every", "batch_size", "workers"])
@pytest.mark.parametrize("value", [0, "5", 2.5, [], True, float("nan")])
def test_an_option_out_of_range_is_an_error(photos: Path, name: str, value: object) -> None:
    """Text raised a TypeError, and 2.5 pictures at a time were accepted."""
    with pytest.raises(ConfigError, match=name):
        PersonSearcher(RectangleModel()).index(photos, **{name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("min_score", value) for value in ("abc", "0.5", [], True, 1j)),
        *((name, value) for name in ("progress", "force", "prune") for value in ("yes", 1, [])),
        *(("gallery", value) for value in (5, [], 1.5, b"here")),
    ],
)
def test_an_option_of_the_wrong_type_is_an_error(photos: Path, name: str, value: object) -> None:
    model = RectangleModel()
    with pytest.raises(ConfigError, match=name):
        PersonSearcher(model).index(photos, **{name: value})
    assert model.detected == 0


@pytest.mark.parametrize("unreadable", ["", "a", "c", "ac"])
def test_the_progress_bar_counts_unreadable_pictures(photos: Path, unreadable: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The bar stopped before its end."""
    for name in unreadable:
        (photos / f"{name}.png").write_bytes(b"no picture")
    gallery = PersonSearcher(RectangleModel()).index(photos, batch_size=1, progress=True)
    assert gallery.report is not None
    assert len(gallery.report.unreadable) == len(unreadable)
    assert "3/3" in capsys.readouterr().err.rsplit("\r", 1)[-1]


def test_the_progress_bar_counts_frames(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    video(tmp_path / "z.avi", [RED, GREEN, BLUE, RED])
    (tmp_path / "broken.avi").write_bytes(b"no video")
    Image.fromarray(scene((RED, 10, 10, 60))).save(tmp_path / "a.png")
    PersonSearcher(RectangleModel()).index(tmp_path, batch_size=2, progress=True)
    assert "6/6" in capsys.readouterr().err.rsplit("\r", 1)[-1]

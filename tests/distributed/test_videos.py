"""A large video is read by several workers: its ranges give the frames of one reading, and it is complete when all are committed."""

from pathlib import Path

import numpy as np
import pytest

from personsearch import Gallery, PersonSearcher
from personsearch.distributed import chunks, index
from personsearch.distributed.chunks import VideoRange, split
from personsearch.errors import SourceError
from personsearch.sources import open_source
from tests.helpers.fake_ray import FakeRay
from tests.helpers.fakes import GREEN, RED, RectangleModel, scene
from tests.helpers.many_machines import fake_cluster
from tests.helpers.pictures import write_video

FRAMES = 23


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "LARGE_VIDEO", 1)
    monkeypatch.setattr(chunks, "RANGE", 8)


@pytest.fixture
def film(tmp_path: Path) -> Path:
    path = tmp_path / "film.avi"
    write_video(path, [scene((RED, 10, 10, 40 + n), *([(GREEN, 60, 20, 60)] if n % 2 else [])) for n in range(FRAMES)])
    return path


@pytest.fixture
def ray(monkeypatch: pytest.MonkeyPatch) -> FakeRay:
    return fake_cluster(monkeypatch)


@pytest.mark.parametrize("every", [1, 3])
def test_ranges_give_the_frames_of_one_reading(film: Path, every: int) -> None:
    (item,) = open_source(film).items
    ranges = [chunk.items[0] for chunk in split([item], {}, 2, every)]
    assert [(one.start, one.stop) for one in ranges if isinstance(one, VideoRange)] == [(0, 8), (8, 16), (16, None)]
    frames = [frame for one in ranges for frame in one.frames(every)]
    whole = list(item.frames(every))
    assert [(frame.frame, frame.time) for frame in frames] == [(frame.frame, frame.time) for frame in whole]
    assert all(np.array_equal(one.pixels, other.pixels) for one, other in zip(frames, whole, strict=True))
    assert [frame.frame for frame in ranges[1].frames(every, frozenset({9, 12}))] == [
        n for n in range(8, 16) if n % every == 0 and n not in (9, 12)
    ]


@pytest.mark.parametrize("every", [1, 3])
def test_a_split_video_gives_the_rows_of_one_machine(film: Path, tmp_path: Path, ray: FakeRay, every: int) -> None:
    alone = PersonSearcher(RectangleModel()).index(film, gallery=tmp_path / "alone", every=every, progress=False)
    gallery = index(film, gallery=tmp_path / "many", model=RectangleModel, every=every, progress=False)
    assert ray.calls.count("read") == 3
    assert gallery.report == alone.report
    assert np.array_equal(gallery.people().embeddings, alone.people().embeddings)
    assert gallery.people().frames.tolist() == alone.people().frames.tolist()
    (record,) = gallery.images().values()
    assert record.complete
    ray.calls.clear()
    assert index(film, gallery=tmp_path / "many", model=RectangleModel, progress=False).report.unchanged  # type: ignore[union-attr]
    assert ray.calls == []


def test_a_video_is_not_complete_while_a_range_is_missing(film: Path, tmp_path: Path, ray: FakeRay) -> None:
    """The range with the last frame may come first; a killed run would then have left the others out for ever."""
    ray.ends = lambda name, arguments: name == "read" and getattr(arguments[0].items[0], "start", None) == 8
    with pytest.raises(SourceError, match="it ended the worker 3 times"):
        index(film, gallery=tmp_path / "many", model=RectangleModel, progress=False)
    (record,) = Gallery.open(tmp_path / "many").images().values()
    assert (record.complete, record.frames) == (False, frozenset(range(8)))
    ray.ends = lambda name, arguments: False
    gallery = index(film, gallery=tmp_path / "many", model=RectangleModel, progress=False)
    (record,) = gallery.images().values()
    assert (record.complete, record.frames) == (True, frozenset(range(FRAMES)))


def test_a_video_that_ends_before_its_last_range_is_read_again_whole(
    film: Path, tmp_path: Path, ray: FakeRay, monkeypatch: pytest.MonkeyPatch
) -> None:
    ranges = chunks._ranges

    def too_long(item: object, every: int) -> list[VideoRange]:
        parts = ranges(item, every)  # type: ignore[arg-type]
        facts = (parts[0].image, parts[0].size, parts[0].modified_ns, parts[0].changed_ns, parts[0].root)
        return [*parts[:2], VideoRange(*facts, start=16, stop=900), VideoRange(*facts, start=900, stop=None)]

    monkeypatch.setattr(chunks, "_ranges", too_long)
    gallery = index(film, gallery=tmp_path / "many", model=RectangleModel, progress=False)
    (record,) = gallery.images().values()
    assert (record.complete, record.frames) == (True, frozenset(range(FRAMES)))
    assert len(gallery) == len(Gallery.open(gallery.location).people()) == FRAMES + FRAMES // 2

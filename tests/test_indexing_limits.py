"""Indexing goes on without a picture or frame that takes too long, or needs more memory than there is."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image

from personsearch import PersonSearcher, images
from personsearch.boxes import Array
from personsearch.errors import WeightsError
from personsearch.indexing import workers
from personsearch.memory import is_lack_of_memory
from personsearch.sources import Frames, items, videos
from tests.helpers.fakes import GREEN, RED, RectangleModel, scene
from tests.helpers.pictures import write_video


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for name, colour in (("a", RED), ("b", GREEN), ("c", RED)):
        Image.fromarray(scene((colour, 10, 10, 60))).save(folder / f"{name}.png")
    return folder


@pytest.fixture
def short_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a second of processor time, or three on the clock."""
    monkeypatch.setenv("PERSONSEARCH_MAX_SECONDS", "0.5")
    monkeypatch.setattr(workers, "CHECK_SECONDS", 0.05)


@pytest.fixture
def release() -> Iterator[threading.Event]:
    """What a hanging thread waits for; set after the test."""
    event = threading.Event()
    yield event
    event.set()


def hanging(event: threading.Event) -> Callable[[], object]:
    return lambda: event.wait(60)


def working(event: threading.Event) -> Callable[[], object]:
    def work() -> None:
        while not event.is_set():
            sum(range(1000))

    return work


@pytest.mark.usefixtures("short_limits")
@pytest.mark.parametrize("way", [hanging, working])
def test_a_picture_that_takes_too_long_is_reported(
    photos: Path, monkeypatch: pytest.MonkeyPatch, release: threading.Event, way: Callable[[threading.Event], Callable[[], object]]
) -> None:
    """It kept the whole run waiting. One thread decodes, so that the rest needs another one."""
    load, stop = images.load_bytes, way(release)

    def slow(data: bytes, name: str) -> Array:
        if name.endswith("b.png"):
            stop()
        return load(data, name)

    monkeypatch.setattr(items, "load_bytes", slow)
    gallery = PersonSearcher(RectangleModel()).index(photos, workers=1)
    assert gallery.report is not None
    assert [Path(image).name for image in gallery.report.added] == ["a.png", "c.png"]
    ((image, reason),) = gallery.report.unreadable.items()
    assert Path(image).name == "b.png"
    assert reason.startswith("takes longer than 0.5 s to decode; save it again")


@pytest.mark.usefixtures("short_limits")
@pytest.mark.skipif(not hasattr(time, "pthread_getcpuclockid"), reason="this system does not tell a thread's processor time")
def test_a_picture_is_not_slow_because_the_machine_is_busy(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a machine with 25 programs at once, one picture of 24 was given up after two minutes with 2 s of processor time."""
    load = images.load_bytes
    monkeypatch.setattr(workers, "WAITING", 1.0)

    def starved(data: bytes, name: str) -> Array:
        for _ in range(8):  # 1.6 s on the clock, hardly any of work
            time.sleep(0.2)
            sum(range(20_000))
        return load(data, name)

    monkeypatch.setattr(items, "load_bytes", starved)
    gallery = PersonSearcher(RectangleModel()).index(photos)
    assert gallery.report is not None
    assert (len(gallery.report.added), gallery.report.unreadable) == (3, {})


@pytest.mark.usefixtures("short_limits")
def test_a_video_that_hangs_keeps_its_first_frames(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, release: threading.Event) -> None:
    folder = tmp_path / "films"
    folder.mkdir()
    for name in ("a.avi", "b.avi"):
        write_video(folder / name, [scene((RED, 10, 10, 60))] * 4, codec="FFV1")
    read = videos.video_frames

    def slow(image: str, *arguments: object) -> Iterator[object]:
        for number, frame in enumerate(read(image, *arguments)):
            if image.endswith("a.avi") and number == 3:
                release.wait(60)
            yield frame

    monkeypatch.setattr(items, "video_frames", slow)
    gallery = PersonSearcher(RectangleModel()).index(folder)
    assert gallery.report is not None
    ((image, reason),) = gallery.report.partial.items()
    assert Path(image).name == "a.avi"
    assert reason.startswith("2 frames; the next one takes longer than 0.5 s to decode")
    assert sorted(Path(name).name for name in gallery.people().images) == ["a.avi"] * 2 + ["b.avi"] * 4


@pytest.mark.usefixtures("short_limits")
def test_a_long_step_between_frames_is_not_slow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit is one of each frame that is decoded, wanted or not."""
    write_video(tmp_path / "a.avi", [scene((RED, 10, 10, 60))] * 21, codec="FFV1")
    real = videos.video_frames

    def steady(image: str, content: str, every: int, skip: object, frames: Frames) -> Iterator[object]:
        for frame in real(image, content, 1, frozenset(), frames):
            time.sleep(0.2)
            if frame.frame % every == 0:
                yield frame

    monkeypatch.setattr(items, "video_frames", steady)
    gallery = PersonSearcher(RectangleModel()).index(tmp_path / "a.avi", every=20)  # 4 s from one wanted frame to the next
    assert (len(gallery), gallery.report.not_looked) == (2, {})  # type: ignore[union-attr]


def test_errors_that_mean_a_lack_of_memory_are_known() -> None:
    class OtherError(Exception):
        """An error of some other library."""

    wrapped = WeightsError("fails on inputs")
    wrapped.__cause__ = RuntimeError("std::bad_alloc")
    assert is_lack_of_memory(MemoryError())
    assert is_lack_of_memory(RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 4 bytes"))
    assert is_lack_of_memory(wrapped)
    assert not is_lack_of_memory(RuntimeError("shapes differ"))
    assert not is_lack_of_memory(OtherError("out of memory"))


def test_a_batch_too_large_for_the_network_runs_picture_by_picture(photos: Path) -> None:
    class Small(RectangleModel):
        def detect(self, prepared: list[Array], *, min_score: float = 0.0) -> list:  # type: ignore[override]
            if len(prepared) > 1 or (prepared[0][40, 20] == GREEN).all():
                raise RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: not enough memory")
            return super().detect(prepared, min_score=min_score)

    gallery = PersonSearcher(Small()).index(photos)
    assert gallery.report is not None
    assert [Path(image).name for image in gallery.report.unreadable] == ["b.png"]
    assert len(gallery) == 2


def test_another_error_of_a_network_is_not_hidden(photos: Path) -> None:
    class Broken(RectangleModel):
        def detect(self, prepared: list[Array], *, min_score: float = 0.0) -> list:  # type: ignore[override]
            raise RuntimeError("shapes differ")

    with pytest.raises(RuntimeError, match="shapes differ"):
        PersonSearcher(Broken()).index(photos)


def test_ctrl_c_ends_the_threads(photos: Path) -> None:
    before = threading.active_count()

    class Interrupted(RectangleModel):
        def detect(self, prepared: list[Array], *, min_score: float = 0.0) -> list:  # type: ignore[override]
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        PersonSearcher(Interrupted()).index(photos)
    assert threading.active_count() == before


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes with names")
def test_a_pipe_is_reported_and_not_waited_for(photos: Path) -> None:
    """Opening it to learn its size waited for a writer that never came."""
    os.mkfifo(photos / "b2.png")
    gallery = PersonSearcher(RectangleModel()).index(photos)
    assert gallery.report is not None
    ((image, reason),) = gallery.report.unreadable.items()
    assert Path(image).name == "b2.png"
    assert reason.startswith("is not a regular file")
    assert len(gallery) == 3

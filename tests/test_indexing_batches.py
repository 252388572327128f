"""Batches of indexing that run at the same time: their order, their room in memory, and errors."""

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from personsearch import PersonSearcher
from personsearch.boxes import Array
from personsearch.gallery import Gallery
from personsearch.indexing import IndexOptions, decoding
from personsearch.indexing.choices import model_key
from personsearch.indexing.decoding import Decoded
from personsearch.indexing.detecting import BatchDetector
from personsearch.indexing.plan import make_plan
from personsearch.models.base import batches_at_once
from personsearch.results import Detections
from personsearch.sources import Item, open_source
from tests.helpers.fakes import RED, RectangleModel, scene

SECONDS = 60.0  # a batch waits so long for another


class TwoAtOnce(RectangleModel):
    """A model that may run two batches at the same time."""

    batches_at_once = 2

    def __init__(self) -> None:
        super().__init__()
        self.running = self.most = 0
        self._lock = threading.Lock()

    def detect(self, prepared: Sequence[Array], *, min_score: float = 0.0) -> list[Detections]:
        with self._lock:
            self.running += 1
            self.most = max(self.most, self.running)
        try:
            self.wait(prepared)
            return super().detect(prepared, min_score=min_score)
        finally:
            with self._lock:
                self.running -= 1

    def wait(self, prepared: Sequence[Array]) -> None:
        """Nothing; a test may wait here."""


class SecondFirst(TwoAtOnce):
    """The first batch ends after the second."""

    def __init__(self) -> None:
        super().__init__()
        self.first: int | None = None
        self.second_ended = threading.Event()

    def wait(self, prepared: Sequence[Array]) -> None:
        if self.first is None:
            self.first = threading.get_ident()
            assert self.second_ended.wait(SECONDS), "the second batch did not run beside the first"
        else:
            self.second_ended.set()


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(7):
        Image.fromarray(scene((RED, 10, 10, 40 + number))).save(folder / f"{number}.png")
    return folder


def frame(number: int) -> Decoded:
    """A decoded picture."""
    return Decoded(Item("x.png"), number, None, 120, 200, "", scene((RED, 10, 10, 40 + number)), True)


def heights(gallery) -> list[int]:
    people = gallery.people()
    return (people.boxes[:, 3] - people.boxes[:, 1]).astype(int).tolist()


def test_batches_keep_their_order_when_a_later_one_ends_first(photos: Path, tmp_path: Path) -> None:
    model = SecondFirst()
    gallery = PersonSearcher(model).index(photos, gallery=tmp_path / "gallery", batch_size=2, progress=False)
    assert gallery.report is not None
    assert [Path(image).name for image in gallery.report.added] == [f"{number}.png" for number in range(7)]
    assert heights(gallery) == [40, 41, 42, 43, 44, 45, 46]
    assert model.most == 2


def test_a_batch_waits_for_those_before_it_and_two_run_at_most() -> None:
    """The gallery sorts what it gets, so the order is that of the detector itself; a third batch would need room of its own."""
    given: list[int] = []
    ended: list[int] = []

    def batches() -> Iterator[list[Decoded]]:
        for number in range(5):
            assert len(given) - len(ended) <= 1
            given.append(number)
            yield [frame(number)]

    with BatchDetector(SecondFirst(), 0.3) as detector:
        for detected in detector.detect(batches()):
            ended.append(detected.batch[0].frame)
    assert ended == [0, 1, 2, 3, 4]


def test_people_below_the_threshold_enter_no_gallery(photos: Path, tmp_path: Path) -> None:
    gallery = PersonSearcher(TwoAtOnce()).index(photos, gallery=tmp_path / "gallery", min_score=0.43, progress=False)
    assert heights(gallery) == [43, 44, 45, 46]  # pixels; the score is a hundredth


def test_a_model_that_does_not_say_runs_one_batch_in_this_thread(photos: Path, tmp_path: Path) -> None:
    class Alone(RectangleModel):
        def detect(self, prepared: Sequence[Array], *, min_score: float = 0.0) -> list[Detections]:
            assert threading.current_thread() is threading.main_thread()
            return super().detect(prepared, min_score=min_score)

    assert batches_at_once(Alone()) == 1
    assert len(PersonSearcher(Alone()).index(photos, gallery=tmp_path / "gallery", batch_size=2, progress=False)) == 7


def test_pictures_wait_until_a_batch_that_runs_leaves_them_room(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "MEMORY", 1)  # every picture is too large to share the memory
    model = TwoAtOnce()
    gallery = PersonSearcher(model).index(photos, gallery=tmp_path / "gallery", batch_size=2, progress=False)
    assert heights(gallery) == [40, 41, 42, 43, 44, 45, 46]
    assert model.most == 1


def test_a_batch_too_large_beside_another_runs_picture_by_picture(photos: Path, tmp_path: Path) -> None:
    class Small(TwoAtOnce):
        def wait(self, prepared: Sequence[Array]) -> None:
            if len(prepared) > 1 or (prepared[0] != scene()).any(axis=2).sum() == 20 * 44:
                raise MemoryError

    gallery = PersonSearcher(Small()).index(photos, gallery=tmp_path / "gallery", batch_size=3, progress=False)
    assert gallery.report is not None
    ((image, reason),) = gallery.report.unreadable.items()
    assert Path(image).name == "4.png"
    assert "memory" in reason
    assert heights(gallery) == [40, 41, 42, 43, 45, 46]


def test_a_picture_was_called_too_large_while_another_batch_ran() -> None:
    """Two batches together need more memory than there is: the pictures of the first run alone once the second has ended."""

    class RoomForOne(TwoAtOnce):
        second, alone = threading.Event(), threading.Event()

        def wait(self, prepared: Sequence[Array]) -> None:
            if len(prepared) == 1:
                self.alone.set()
            elif np.array_equal(prepared[0], frame(2).prepared):
                self.second.set()
                self.alone.wait(0.5)  # as long as a picture alone may begin too early
                return
            if self.second.wait(SECONDS) and (self.running > 1 or len(prepared) > 1):
                raise MemoryError

    batches = [[frame(0), frame(1)], [frame(2), frame(3)]]
    with BatchDetector(RoomForOne(), 0.3) as detector:
        detected = list(detector.detect(batches))
    assert [[None if people is None else len(people) for people in one.people] for one in detected] == [[1, 1], [1, 1]]


def test_an_error_of_a_batch_is_raised_and_its_threads_end(photos: Path, tmp_path: Path) -> None:
    class Broken(TwoAtOnce):
        def wait(self, prepared: Sequence[Array]) -> None:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        PersonSearcher(Broken()).index(photos, gallery=tmp_path / "gallery", batch_size=2, progress=False)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("batch")]


def test_no_batches_give_no_people() -> None:
    with BatchDetector(TwoAtOnce(), 0.3) as detector:
        assert list(detector.detect([])) == []
        assert list(detector.detect([[], []])) == []


def test_the_room_of_a_batch_is_free_once_it_is_released(photos: Path, tmp_path: Path) -> None:
    model = RectangleModel()
    gallery = Gallery.create_or_open(tmp_path / "gallery", model_key(model, 0.3))
    source = open_source(photos)
    options = IndexOptions(min_score=0.3, batch_size=4)
    with decoding.Decoder(model, make_plan(source.items, source, gallery.records(), options, owned=True), options) as decoder:
        for batch in decoder.batches():
            assert decoder._held >= sum(np.asarray(decoded.prepared).nbytes for decoded in batch) > 0
            decoder.release(batch)
            assert batch == []
        assert decoder._held == 0

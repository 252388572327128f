"""The numbers that a function of `index(progress=)` gets."""

from pathlib import Path

import pytest
from PIL import Image

from personsearch import Gallery, PersonSearcher
from personsearch.indexing import Progress, updating
from tests.helpers.fakes import BLUE, GREEN, RED, RectangleModel, scene
from tests.helpers.pictures import write_video


def write(folder: Path) -> Path:
    """A video of four frames with one person each, a picture of two people, and a file that is not a picture."""
    folder.mkdir()
    write_video(folder / "z.avi", [scene((colour, 10, 10, 60)) for colour in (RED, GREEN, BLUE, RED)])
    Image.fromarray(scene((RED, 10, 10, 60), (BLUE, 80, 10, 60))).save(folder / "a.png")
    (folder / "b.png").write_bytes(b"no picture")
    return folder


def test_progress_counts_frames_and_people(tmp_path: Path) -> None:
    steps: list[Progress] = []
    PersonSearcher(RectangleModel()).index(write(tmp_path / "photos"), batch_size=1, progress=steps.append)
    assert [(step.done, step.people) for step in steps] == [(1, 2), (3, 3), (4, 4), (5, 5), (6, 6), (6, 6)]
    assert [step.total for step in steps] == [3, 6, 6, 6, 6, 6]  # the video's length is known once it is open
    assert steps[-1].image.endswith("z.avi")


def test_progress_has_no_end_before_the_first_frame() -> None:
    assert Progress(0, 5, 0, 2.0, "").seconds_left is None
    assert Progress(2, 5, 0, 2.0, "").seconds_left == 3.0


def test_progress_of_a_second_run_with_nothing_to_do(tmp_path: Path) -> None:
    searcher, folder = PersonSearcher(RectangleModel()), write(tmp_path / "photos")
    searcher.index(folder, progress=False)
    steps: list[Progress] = []
    searcher.index(folder, progress=steps.append)
    assert [(step.done, step.total, step.people) for step in steps] == [(1, 1, 0)]  # the damaged file is tried again


def test_an_error_of_the_function_ends_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(updating, "COMMIT_FRAMES", 1)
    folder = write(tmp_path / "photos")

    def stop(progress: Progress) -> None:
        if progress.done > 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        PersonSearcher(RectangleModel()).index(folder, batch_size=1, gallery=tmp_path / "gallery", progress=stop)
    assert len(Gallery.open(tmp_path / "gallery")) == 3  # committed before


def test_the_bar_counts_frames(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A video of an hour was one step, without a time left."""
    PersonSearcher(RectangleModel()).index(write(tmp_path / "photos"), batch_size=1, progress=True)
    last = capsys.readouterr().err.replace("\r", "\n").strip().splitlines()[-1]
    assert "6/6" in last
    assert "frame/s" in last
    PersonSearcher(RectangleModel()).index(iter([scene((RED, 10, 10, 60))] * 40), progress=True)
    assert "8/8" in capsys.readouterr().err.replace("\r", "\n").strip().splitlines()[-1]  # a stream is read in parts of 32

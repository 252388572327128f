"""Sources through the searcher: which gallery they get, what it holds, and what is deleted again."""

import gc
import tempfile
from pathlib import Path

import numpy as np
import pytest

from personsearch import PersonSearcher
from personsearch.errors import ImageError
from tests.helpers.fakes import RectangleModel
from tests.helpers.pictures import encode, gradient


@pytest.fixture
def searcher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PersonSearcher:
    monkeypatch.setenv("PERSONSEARCH_HOME", str(tmp_path / "home"))
    return PersonSearcher(RectangleModel())


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    (tmp_path / "pics").mkdir()
    files = [tmp_path / "pics" / f"{name}.png" for name in "abcdef"]
    for number, path in enumerate(files):
        path.write_bytes(encode(np.roll(gradient(), number, axis=1), "PNG"))
    return files


def galleries(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "home/galleries").glob("*.lance"))


def test_a_list_that_changes_by_one_is_the_same_gallery(searcher: PersonSearcher, paths: list[Path], tmp_path: Path) -> None:
    """Every change of a list indexed all of it anew, and three galleries stayed on the disk."""
    reports = [searcher.index(entries).report for entries in (paths[:5], paths, paths[::-1], paths[1:])]
    assert [(len(report.added), len(report.unchanged), len(report.removed)) for report in reports if report] == [
        (5, 0, 0),
        (1, 5, 0),
        (0, 6, 0),
        (0, 5, 1),
    ]
    assert len(galleries(tmp_path)) == 1
    assert searcher.index(paths[1:]).image_count == 5


def test_pictures_in_memory_leave_nothing_on_the_disk(searcher: PersonSearcher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each search of a frame left a gallery behind."""
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    gallery = searcher.index([gradient()])
    assert gallery.image_count == 1
    assert len(list((tmp_path / "temporary").iterdir())) == 1
    del gallery
    for number in range(3):
        searcher.search(gradient(), [np.roll(gradient(), number, axis=0)])
    gc.collect()
    assert list((tmp_path / "temporary").iterdir()) == []
    assert galleries(tmp_path) == []


def test_searching_an_address_is_refused_in_one_line(searcher: PersonSearcher) -> None:
    """The message was about object stores, with a path of the machine that built them."""
    with pytest.raises(ImageError, match=r"^rtsp://cam/1 is a live stream, not a path; pass a generator of its frames"):
        searcher.search(gradient(), "rtsp://cam/1")

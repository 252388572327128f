"""The gallery of a list of files: the one of the list that it continues."""

import os
from pathlib import Path

import pytest
from PIL import Image

from personsearch import Gallery, PersonSearcher
from personsearch.home import home
from tests.helpers.fakes import RED, RectangleModel, scene


@pytest.fixture
def photos(tmp_path: Path) -> list[Path]:
    """Twelve different pictures of one person each."""
    (tmp_path / "photos").mkdir()
    paths = [tmp_path / "photos" / f"{number:02}.png" for number in range(12)]
    for number, path in enumerate(paths):
        Image.fromarray(scene((RED, 10, 10, 50 + number))).save(path)
    return paths


class Counted:
    """A searcher, and how many pictures it has looked at."""

    def __init__(self) -> None:
        self.model = RectangleModel()
        self.searcher = PersonSearcher(self.model)

    def index(self, paths: list[Path]) -> tuple[Gallery, int]:
        before = self.model.detected
        gallery = self.searcher.index(paths)
        return gallery, self.model.detected - before


def test_two_lists_of_one_folder_keep_their_galleries(photos: list[Path]) -> None:
    """Each run threw the other list's people away, and embedded its own again."""
    counted = Counted()
    first, _ = counted.index(photos[:6])
    second, _ = counted.index(photos[6:])
    for paths, gallery in ((photos[:6], first), (photos[6:], second)):
        again, looked_at = counted.index(paths)
        assert (again.location, len(again), looked_at) == (gallery.location, 6, 0)
    assert first.location != second.location


@pytest.mark.parametrize("change", ["one more", "one less", "another order", "another file", "one of another folder"])
def test_a_list_that_changes_by_one_keeps_its_gallery(photos: list[Path], tmp_path: Path, change: str) -> None:
    counted = Counted()
    before, _ = counted.index(photos[:5])
    other = photos[0] if change != "one of another folder" else tmp_path / "other.png"
    Image.fromarray(scene((RED, 30, 10, 40))).save(tmp_path / "other.png")
    lists = {
        "one more": photos[:6],
        "one less": photos[:4],
        "another order": photos[4::-1],
        "another file": photos[1:6],
        "one of another folder": [*photos[:5], other],
    }
    after, looked_at = counted.index(lists[change])
    assert (after.location, looked_at) == (before.location, int(change not in ("one less", "another order")))
    again, looked_at = counted.index(photos[:5])
    assert (again.location, looked_at) == (before.location, int(change in ("one less", "another file")))


def test_a_list_of_renamed_files_keeps_its_gallery(photos: list[Path]) -> None:
    counted = Counted()
    before, _ = counted.index(photos[:4])
    renamed = [path.rename(path.with_stem(f"holiday-{path.stem}")) for path in photos[:4]]
    after, looked_at = counted.index(renamed)
    assert (after.location, looked_at, sorted(after.images())) == (before.location, 0, [str(path) for path in renamed])


def test_lists_in_a_loop_do_not_pile_up(photos: list[Path]) -> None:
    counted = Counted()
    for number in range(11):
        for pair in ([photos[number], photos[11]], [photos[number], photos[(number + 5) % 11]]):
            counted.index(pair)
    assert len(list((home() / "galleries").iterdir())) <= 8


def test_the_list_used_least_recently_gives_its_place(photos: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("personsearch.indexing.places.LISTS", 2)
    counted = Counted()
    _, (second, _) = counted.index(photos[:3]), counted.index(photos[3:6])
    os.utime(second.location, (1, 1))
    third, _ = counted.index(photos[6:9])
    assert third.location == second.location
    assert sorted(third.images()) == [str(path) for path in photos[6:9]]
    assert counted.index(photos[:3])[1] == 0

"""Items of a source with their facts as columns."""

import os
from pathlib import Path

import pytest

from personsearch.sources import UNKNOWN, Item, Listing, open_source
from personsearch.sources.files import file_item


def test_listed_files_are_the_items_of_the_files(tmp_path: Path) -> None:
    paths = [str(tmp_path / name) for name in ("a.png", "b.png")]
    for length, path in enumerate(paths):
        Path(path).write_bytes(bytes(length))
    listing = Listing.of_files([*paths, str(tmp_path / "gone.png")], str(tmp_path))
    assert list(listing) == [file_item(path, str(tmp_path)) for path in [*paths, str(tmp_path / "gone.png")]]
    assert (len(listing), listing[1].size, listing[-1].size, listing[:2]) == (3, 1, None, list(listing)[:2])
    assert listing.facts[2].tolist() == [UNKNOWN] * 3


def test_no_files_are_an_empty_listing() -> None:
    listing = Listing.of_files([], "/photos")
    assert (listing.facts.shape, list(listing), bool(listing)) == ((0, 3), [], False)


def test_of_two_items_with_one_name_the_last_counts() -> None:
    listing = Listing.of_items([Item("a", 1), Item("b", 2, 3, 4), Item("a", 5)])
    assert [(item.image, item.size) for item in listing] == [("a", 5), ("b", 2)]
    assert listing.facts.tolist() == [[5, UNKNOWN, UNKNOWN], [2, 3, 4]]
    assert Listing.of_items(listing) is listing


def test_a_folder_is_listed_without_an_item_per_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3):
        (tmp_path / f"{number}.png").write_bytes(b"x")
    monkeypatch.setattr("personsearch.sources.listing.Item", None)  # making one would fail
    source = open_source(tmp_path)
    assert isinstance(source.items, Listing)
    assert [os.path.basename(name) for name in source.items.names] == ["0.png", "1.png", "2.png"]

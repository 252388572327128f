"""The gallery's table: its schema, its rows by hand, and which of two writes counts."""

from pathlib import Path

import numpy as np
import pytest

from personsearch.errors import GalleryError, ShapeError
from personsearch.gallery import Gallery, ModelKey
from personsearch.gallery.snapshot import Snapshot
from personsearch.gallery.table import People, read_key, schema, storage_of, to_rows
from tests.helpers.gallery_frames import KEY, frame


def test_the_schema_holds_the_model_and_the_creation_time() -> None:
    columns = schema(KEY, 17, "float16")
    assert read_key(columns, "here") == (KEY, 17)
    assert (storage_of(columns), storage_of(schema(KEY, 17, "float32"))) == ("float16", "float32")


def test_a_schema_without_a_key_is_not_a_gallery() -> None:
    with pytest.raises(GalleryError, match="here is a Lance table, but not a personsearch gallery"):
        read_key(schema(KEY, 17, "float32").remove_metadata(), "here")


def test_a_frame_has_its_own_row_before_its_people() -> None:
    rows = to_rows([frame("a.jpg", 2), frame("empty.jpg", 0)], schema(KEY, 1, "float32"), 99).to_pydict()
    assert rows["image"] == ["a.jpg", "a.jpg", "a.jpg", "empty.jpg"]
    assert rows["row"] == [-1, 0, 1, -1]
    assert rows["indexed_ns"] == [99] * 4
    assert [value is None for value in rows["fingerprint"]] == [False, True, True, False]
    for person_column in ("box", "score", "embedding"):
        assert [value is None for value in rows[person_column]] == [True, False, False, True]


def test_rows_of_another_length_or_twice_are_refused() -> None:
    with pytest.raises(ShapeError, match="the gallery stores 5 numbers per person"):
        to_rows([frame("a.jpg")], schema(ModelKey("m", "f", 5), 1, "float32"), 1)
    with pytest.raises(GalleryError, match=r"a\.jpg frame 0 is in the batch twice"):
        to_rows([frame("a.jpg"), frame("a.jpg")], schema(KEY, 1, "float32"), 1)


def test_a_snapshot_makes_people_of_any_rows(tmp_path: Path) -> None:
    """Table rows come in the order of writing: b.jpg, its old and new people, then a.jpg."""
    import lance

    gallery = Gallery.create_or_open(tmp_path / "gallery", KEY)
    for batch in ([frame("b.jpg", 2, seed=1)], [frame("b.jpg", 1)], [frame("a.jpg", 2)]):
        gallery.add(batch)
    snapshot = Snapshot(lance.dataset(gallery.location), 1)
    all_people = gallery.people()
    assert all_people.images.tolist() == ["a.jpg", "a.jpg", "b.jpg"]
    for rows, first in (
        (snapshot.table.to_table(), 0),
        (snapshot.table.to_table().slice(4, 3), 1),
    ):  # the last has b.jpg's and a.jpg's first
        part = snapshot.people_in(rows)
        chosen = [0, 1, 2] if first == 0 else [0, 2]
        for name in People.__dataclass_fields__:
            assert np.array_equal(getattr(part, name), getattr(all_people, name)[chosen], equal_nan=name == "times"), name
    (one,) = [snapshot.people_in(snapshot.table.to_table(filter="image = 'a.jpg' AND row = 0"))]
    assert snapshot.whole_scenes(one).rows.tolist() == [0, 1]


def test_people_are_counted_without_those_of_replaced_frames(tmp_path: Path) -> None:
    gallery = Gallery.create_or_open(tmp_path / "gallery", KEY)
    gallery.add([frame("a.jpg", 3), frame("v.mp4", 2, number=4, last=False), frame("empty.jpg", 0)])
    gallery.add([frame("a.jpg", 1, seed=1), frame("v.mp4", 5, number=4), frame("v.mp4", 1, number=5)])
    gallery.add([frame("a.jpg", 2, seed=2)])
    fresh = Gallery.open(gallery.location)
    assert (len(fresh), fresh.image_count, len(fresh.people())) == (8, 3, 8)
    assert [(item.image, item.frame) for item in fresh.records().replaced] == [("a.jpg", 0), ("v.mp4", 4)]
    gallery.compact()
    assert (len(gallery), gallery.records().replaced, len(gallery.people())) == (8, [], 8)

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


def test_a_snapshot_finds_people_by_table_row(tmp_path: Path) -> None:
    """Table rows come in the order of writing: b.jpg, its old and new people, then a.jpg."""
    import lance

    gallery = Gallery.create_or_open(tmp_path / "gallery", KEY)
    for batch in ([frame("b.jpg", 2, seed=1)], [frame("b.jpg", 1)], [frame("a.jpg", 2)]):
        gallery.add(batch)
    snapshot = Snapshot(lance.dataset(gallery.location), 1)
    row_ids = snapshot.table.to_table(columns=[], with_row_id=True)["_rowid"].to_numpy()
    assert snapshot.gallery_rows(row_ids).tolist() == [-1, -1, -1, -1, 2, -1, 0, 1]
    all_people = gallery.people()
    assert all_people.images.tolist() == ["a.jpg", "a.jpg", "b.jpg"]
    part = snapshot.people_at(np.array([1, 2]))
    for name in People.__dataclass_fields__:
        assert np.array_equal(getattr(part, name), getattr(all_people, name)[1:], equal_nan=name == "times"), name
    assert snapshot.scenes.tolist() == all_people.scenes.tolist() == [0, 0, 1]

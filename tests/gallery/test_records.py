"""What a gallery knows about its images, as columns."""

import numpy as np
import pyarrow as pa
import pytest

from personsearch.gallery import ImageRecords


@pytest.fixture
def records() -> ImageRecords:
    names = ["/b/x.png", "/a/1.png", "/a", "/a-b/2.png", "/a0", "/a/é.png", "/b/x.png"]
    count = len(names)
    return ImageRecords(
        pa.table(
            {
                "image": names,
                "frame": pa.array([0] * count, pa.int32()),
                "indexed_ns": range(count),
                "fingerprint": ["f0", "f1", "f2", "f3", "f4", "f5", "f6"],
                "size": range(count),
                "modified_ns": range(count),
                "root": ["/b", "/a", None, "/a", "/a", "/c", "/b"],
                "done": [True] * count,
            }
        )
    )


def chosen(records: ImageRecords, mask: np.ndarray) -> list[str]:
    return [str(name) for name in records.names[mask]]


def test_images_below_a_folder(records: ImageRecords) -> None:
    assert chosen(records, records.below("/a")) == ["/a", "/a/1.png", "/a/é.png"]
    assert chosen(records, records.below("/b/x.png")) == ["/b/x.png"]
    assert chosen(records, records.below("/nothing")) == []
    assert chosen(records, records.below("/")) == list(records.names)


def test_images_of_roots(records: ImageRecords) -> None:
    assert chosen(records, records.is_from(["/a", "/c"])) == ["/a-b/2.png", "/a/1.png", "/a/é.png", "/a0"]
    assert chosen(records, records.is_from([])) == []
    assert chosen(records, records.is_from(["/\udcff", "/b"])) == ["/b/x.png"]  # a name that is not text is in no table


def test_images_of_a_content_by_its_newest_write(records: ImageRecords) -> None:
    assert chosen(records, records.has_content(["f0", "f1"])) == ["/a/1.png"]
    assert chosen(records, records.has_content(["f6"])) == ["/b/x.png"]


def test_names_and_roots_at_positions(records: ImageRecords) -> None:
    assert records.sources(np.array([0, 5])) == [("/a", None), ("/b/x.png", "/b")]
    assert [record.image for record in records.at([5])] == ["/b/x.png"]
    assert records.at([]) == []

"""The vector index of a large gallery: it proposes similar people, and follows additions, replacements and removals."""

import os
from pathlib import Path

import numpy as np
import pytest

from personsearch.boxes import Array
from personsearch.gallery import FramePeople, Gallery, ModelKey, People, vector_index
from personsearch.ranking import rank
from personsearch.results import Detections
from tests.helpers.gallery_frames import frame

DIM, PEOPLE = 8, 6


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vector_index, "LEAST_ROWS", 100)


def crowd(number: int, seed: int = 0) -> FramePeople:
    """A frame of six people: two of each of three directions, so that each has a similar person."""
    rng = np.random.default_rng([seed, number])
    rows = rng.standard_normal((3, DIM)).repeat(2, axis=0) + 0.2 * rng.standard_normal((PEOPLE, DIM))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    detections = Detections(
        rng.uniform(0, 99, (PEOPLE, 4)).astype(np.float32), rng.uniform(size=PEOPLE).astype(np.float32), rows.astype(np.float32)
    )
    return FramePeople(**{**vars(frame(f"{number:04d}.jpg")), "detections": detections})


@pytest.fixture
def gallery(tmp_path: Path) -> Gallery:
    """120 frames with 720 people, some of them replaced, and one frame without people."""
    made = Gallery.create_or_open(tmp_path / "people.lance", ModelKey("m", "f", DIM))
    made.add([frame("empty.jpg", 0, dim=DIM), *(crowd(number, seed=1) for number in range(5))])
    made.add([crowd(number) for number in range(120)])
    made.memory_limit = 0
    return made


def names(people: People) -> set[tuple[str, int]]:
    return set(zip(people.images.tolist(), people.rows.tolist(), strict=True))


def best(queries: Array, parts: list[People]) -> list[set[tuple[str, int]]]:
    best_rows = [rank(query[None], part.embeddings, 10)[0].rows for query, part in zip(queries, parts, strict=True)]
    return [names(people_at(part, rows)) for part, rows in zip(parts, best_rows, strict=True)]


def people_at(people: People, index: Array) -> People:
    return People(*(getattr(people, name)[index] for name in People.__dataclass_fields__))


def test_candidates_contain_the_nearest_people_unchanged(gallery: Gallery) -> None:
    all_people = gallery.people()
    queries = all_people.embeddings[::60]
    near = gallery.nearest(queries, 100)
    assert {len(part) for part in near} == {100}
    assert best(queries, near) == best(queries, [all_people] * len(queries))
    for part in near:
        index = np.flatnonzero([name in names(part) for name in zip(all_people.images, all_people.rows, strict=True)])
        same = people_at(all_people, index)
        for name in People.__dataclass_fields__:
            assert np.array_equal(getattr(part, name), getattr(same, name), equal_nan=name == "times"), name
            assert getattr(part, name).dtype == getattr(same, name).dtype
    few = gallery.nearest(queries, 3)  # codes alone cannot rank so few: the order comes from exact cosines of more candidates
    assert best(queries, few) != best(queries, near)


def test_candidates_can_include_their_whole_scenes(gallery: Gallery) -> None:
    query = gallery.people().embeddings[:1]
    (part,) = gallery.nearest(query, 4)
    (scenes,) = gallery.nearest(query, 4, scenes=True)
    assert names(scenes) == {(image, row) for image in set(part.images.tolist()) for row in range(PEOPLE)}
    assert np.array_equal(scenes.scenes, np.arange(len(scenes)) // PEOPLE)


def test_replaced_and_removed_people_leave_the_index(gallery: Gallery) -> None:
    old, first = crowd(3, seed=1).detections.embeddings, gallery.people().embeddings[:1]
    (near,) = gallery.nearest(old[:1], 5)
    assert not (near.embeddings == old[0]).all(axis=1).any()
    before = os.listdir(Path(gallery.location, "_indices"))
    gallery.remove("0000.jpg")
    assert "0000.jpg" not in gallery.nearest(first, 50)[0].images
    after = os.listdir(Path(gallery.location, "_indices"))
    assert len(before) == 1
    assert not set(before) & set(after)  # codes are personal data just as embeddings are


def test_new_people_are_found_and_the_index_takes_them_in(gallery: Gallery) -> None:
    gallery.nearest(gallery.people().embeddings[:1], 5)
    index = os.listdir(Path(gallery.location, "_indices"))
    gallery.add([crowd(number) for number in range(500, 540)])
    new = crowd(539).detections.embeddings[:1]
    assert "0539.jpg" in gallery.nearest(new, 5)[0].images
    assert os.listdir(Path(gallery.location, "_indices")) == index  # a search builds nothing
    assert not vector_index.is_current(gallery._refresh().table)
    gallery.tidy()
    assert vector_index.is_current(gallery._refresh().table)
    assert gallery._refresh().newer_frames == {}
    assert "0539.jpg" in gallery.nearest(new, 5)[0].images


def test_a_person_of_a_changed_picture_is_not_proposed_again(gallery: Gallery) -> None:
    """The index still has the old person, and the new picture has no people."""
    old = crowd(7).detections.embeddings[:1]
    assert "0007.jpg" in gallery.nearest(old, 3)[0].images
    gallery.add([frame("0007.jpg", 0, dim=DIM)])
    assert "0007.jpg" not in gallery.nearest(old, 700)[0].images
    gallery.build_index()
    assert "0007.jpg" not in gallery.nearest(old, 700)[0].images


def test_the_partitions_that_a_search_reads_are_chosen_on_a_sample(gallery: Gallery, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vector_index, "partitions", lambda rows: 12)
    monkeypatch.setattr(vector_index, "CANDIDATES", 10)
    chosen = []
    for recall in (0.1, 1.1):  # the second cannot be reached
        monkeypatch.setattr(vector_index, "RECALL", recall)
        monkeypatch.setattr(vector_index, "OUTGROWN", 0)
        gallery.build_index()
        chosen.append(vector_index._choices(gallery._refresh().table)["probes"])
    assert chosen == [1, 12]


def test_only_large_galleries_use_the_index(gallery: Gallery, monkeypatch: pytest.MonkeyPatch) -> None:
    for limit, fits in ((720 * DIM * 4, True), (720 * DIM * 4 - 1, False)):
        gallery.memory_limit = limit
        assert gallery.fits_in_memory is fits
    monkeypatch.setattr(vector_index, "LEAST_ROWS", 721)
    assert gallery.fits_in_memory

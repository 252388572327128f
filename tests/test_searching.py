"""Searching a gallery that is too large for memory: the vector index proposes, exact cosines decide, and the result says so."""

import json
from pathlib import Path

import numpy as np
import pytest

from personsearch import PersonSearcher
from personsearch.boxes import Array
from personsearch.gallery import FramePeople, Gallery, ModelKey, vector_index
from personsearch.ranking import Context
from personsearch.results import Detections
from personsearch.searching import Found, SearchOptions, search
from tests.helpers.fakes import RED, RectangleModel
from tests.helpers.gallery_frames import frame

DIM, FRAMES, PEOPLE = 8, 300, 4


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vector_index, "LEAST_ROWS", 100)


def crowd(number: int, dim: int = DIM) -> FramePeople:
    rng = np.random.default_rng([7, number])
    rows = rng.standard_normal((PEOPLE, dim))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    boxes = rng.uniform(0, 50, (PEOPLE, 4)).astype(np.float32)
    found = Detections(boxes, np.sort(rng.uniform(0.5, 1, PEOPLE))[::-1].astype(np.float32), rows.astype(np.float32))
    return FramePeople(**{**vars(frame(f"{number:04d}.jpg")), "detections": found})


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Gallery:
    """1,200 people; its index is made by the first search."""
    made = Gallery.create_or_open(tmp_path_factory.mktemp("large"), ModelKey("m", "f", DIM))
    made.add([crowd(number) for number in range(FRAMES)])
    return made


def queries() -> Array:
    return np.concatenate([crowd(number).detections.embeddings[:1] for number in (3, 40, 99)])


def contexts() -> list[Context]:
    return [Context(one.embeddings, one.scores) for one in (crowd(number).detections for number in (3, 40, 99))]


def hits(found: Found) -> list[tuple[str, int, float, float]]:
    people, ranked = found.people, found.ranked
    where = zip(people.images[ranked.rows], people.rows[ranked.rows], strict=True)
    return [(image, int(row), *numbers) for (image, row), *numbers in zip(where, ranked.similarities, ranked.keys, strict=True)]


@pytest.mark.parametrize(
    ("options", "with_contexts"),
    [
        (SearchOptions(10), False),
        (SearchOptions(10, min_similarity=0.7), False),
        (SearchOptions(10, confidence_weighted=True), False),
        (SearchOptions(5, k1=5, k2=3), True),
        (SearchOptions(5, k1=5, k2=3, variant="authors", min_similarity=0.2), True),
    ],
)
def test_the_index_gives_what_comparing_everybody_gives(gallery: Gallery, options: SearchOptions, with_contexts: bool) -> None:
    """400 of 1,200 people, with CBGM all of their scenes, are looked at, so here none of the best is missed."""
    given = contexts() if with_contexts else None
    found = {}
    for engine, limit in (("exact", 10**9), ("index", 0)):
        gallery.memory_limit = limit
        found[engine] = search(gallery, queries(), given, options)
        assert {one.engine for one in found[engine]} == {engine}
    assert [hits(one) for one in found["index"]] == [hits(one) for one in found["exact"]]
    assert any(hits(one) for one in found["exact"])
    assert all(len(one.people) < FRAMES * PEOPLE for one in found["index"])


def test_too_few_candidates_do_miss_somebody(gallery: Gallery, monkeypatch: pytest.MonkeyPatch) -> None:
    """So the test above can fail."""
    monkeypatch.setattr("personsearch.searching.CANDIDATES", 1)
    monkeypatch.setattr("personsearch.searching.FEWEST_CANDIDATES", 1)
    exact_gallery = Gallery.open(gallery.location)
    gallery.memory_limit = 0
    options = SearchOptions(10)
    exact, near = (search(one, queries(), None, options) for one in (exact_gallery, gallery))
    assert [hits(one) for one in near] != [hits(one) for one in exact]


def test_no_query_and_nobody(gallery: Gallery, tmp_path: Path) -> None:
    gallery.memory_limit = 0
    assert search(gallery, np.zeros((0, DIM), np.float32), None, SearchOptions(3)) == []
    empty = Gallery.create_or_open(tmp_path, ModelKey("m", "f", DIM))
    empty.memory_limit = 0
    (found,) = search(empty, queries()[:1], None, SearchOptions(3))
    assert (len(found.ranked), found.engine) == (0, "exact")


def test_a_result_says_how_it_was_found(tmp_path: Path) -> None:
    searcher = PersonSearcher(RectangleModel())
    large = Gallery.create_or_open(tmp_path, ModelKey("rectangles", f"{searcher.model.fingerprint}@0.3", 3), storage="float16")
    large.add([crowd(number, 3) for number in range(FRAMES)])
    crop = np.full((60, 20, 3), RED, np.uint8)
    exact = searcher.search(crop, large)
    large.memory_limit = 0
    near = searcher.search(crop, large)
    assert (exact.engine, near.engine) == ("exact", "index")
    assert near.hits == exact.hits
    assert json.loads(near.to_json())["engine"] == "index"

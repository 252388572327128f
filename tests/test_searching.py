"""Searching a gallery that does not fit in memory: candidates of the vector index, ranked by exact cosines."""

import json
from pathlib import Path

import numpy as np
import pytest

from personsearch import PersonSearcher
from personsearch.boxes import Array
from personsearch.calibration import Calibration
from personsearch.errors import QueryError
from personsearch.gallery import FramePeople, Gallery, ModelKey, vector_index
from personsearch.ranking import CBGM, Context
from personsearch.results import Detections
from personsearch.searching import RankedPeople, SearchOptions, context_rows, search
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
    detections = Detections(boxes, np.sort(rng.uniform(0.5, 1, PEOPLE))[::-1].astype(np.float32), rows.astype(np.float32))
    return FramePeople(**{**vars(frame(f"{number:04d}.jpg")), "detections": detections})


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Gallery:
    """1,200 people; the first search makes the index."""
    made = Gallery.create_or_open(tmp_path_factory.mktemp("large"), ModelKey("m", "f", DIM))
    made.add([crowd(number) for number in range(FRAMES)])
    return made


def queries() -> Array:
    return np.concatenate([crowd(number).detections.embeddings[:1] for number in (3, 40, 99)])


def contexts() -> list[Context]:
    return [Context(people.embeddings, people.scores) for people in (crowd(number).detections for number in (3, 40, 99))]


def hits(result: RankedPeople) -> list[tuple[str, int, float, float]]:
    people, ranked = result.people, result.ranked
    where = zip(people.images, people.rows, strict=True)
    return [(image, int(row), *numbers) for (image, row), *numbers in zip(where, ranked.similarities, ranked.keys, strict=True)]


@pytest.mark.parametrize(
    ("options", "with_contexts"),
    [
        (SearchOptions(10), False),
        (SearchOptions(10, min_similarity=0.7), False),
        (SearchOptions(10, confidence_weighted=True), False),
        (SearchOptions(5, CBGM(5, 3)), True),
        (SearchOptions(5, CBGM(5, 3, "authors"), confidence_weighted=True, min_similarity=0.2), True),
    ],
)
def test_the_index_gives_the_exact_ranking(gallery: Gallery, options: SearchOptions, with_contexts: bool) -> None:
    """400 of 1,200 people are candidates, with CBGM all people of their scenes, so here none of the best is missed."""
    context = contexts() if with_contexts else None
    results = {}
    for engine, limit in (("exact", 10**9), ("index", 0)):
        gallery.memory_limit = limit
        results[engine] = search([gallery], context_rows(queries(), context), options)
        assert {result.engine for result in results[engine]} == {engine}
    assert [hits(result) for result in results["index"]] == [hits(result) for result in results["exact"]]
    assert any(hits(result) for result in results["exact"])
    assert all(result.compared < FRAMES * PEOPLE for result in results["index"])


def test_too_few_candidates_miss_people(gallery: Gallery, monkeypatch: pytest.MonkeyPatch) -> None:
    """This shows that the test above can fail."""
    monkeypatch.setattr("personsearch.searching.engine.CANDIDATES", 1)
    monkeypatch.setattr("personsearch.searching.engine.FEWEST_CANDIDATES", 1)
    exact_gallery = Gallery.open(gallery.location)
    gallery.memory_limit = 0
    options = SearchOptions(10)
    exact, near = (search([searched], context_rows(queries()), options) for searched in (exact_gallery, gallery))
    assert [hits(result) for result in near] != [hits(result) for result in exact]


def test_no_query_and_an_empty_gallery(gallery: Gallery, tmp_path: Path) -> None:
    gallery.memory_limit = 0
    assert search([gallery], [], SearchOptions(3)) == []
    empty = Gallery.create_or_open(tmp_path, ModelKey("m", "f", DIM))
    empty.memory_limit = 0
    (result,) = search([empty], context_rows(queries()[:1]), SearchOptions(3))
    assert (len(result.ranked), result.engine) == (0, "exact")


def test_cbgm_without_contexts_is_an_error(gallery: Gallery) -> None:
    with pytest.raises(QueryError, match="pass contexts"):
        search([gallery], context_rows(queries()), SearchOptions(rerank="cbgm"))


def test_a_calibrated_threshold_needs_a_calibration() -> None:
    calibration = Calibration(min_similarity=0.6, false_match_rate=0.01, miss_rate=0.3, data="pairs")
    options = SearchOptions(min_similarity="auto")
    assert options.threshold(calibration) == 0.6
    assert SearchOptions(min_similarity=0.2).threshold(calibration) == 0.2
    assert SearchOptions().threshold(calibration) is None
    with pytest.raises(QueryError, match="no calibration"):
        options.threshold(None)


def test_a_result_names_its_engine(tmp_path: Path) -> None:
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

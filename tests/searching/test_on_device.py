"""Searches of a model on a CUDA device compare large galleries there, with the same hits, and free what the gallery drops."""

import gc
from pathlib import Path

import numpy as np
import pytest
import torch

from personsearch import Gallery, PersonSearcher, Where, searching
from personsearch.boxes import Array
from personsearch.gallery import FramePeople, ModelKey
from personsearch.ranking.device import DeviceGallery
from personsearch.results import Detections
from personsearch.searching import SearchOptions, context_rows, on_device, search
from personsearch.searching.on_device import DeviceRows
from tests.helpers.fakes import RectangleModel
from tests.helpers.stand_in_cuda import stand_in_cuda

DIM, COUNT = 8, 60
OPTIONS = [
    SearchOptions(5),
    SearchOptions(5, confidence_weighted=True),
    SearchOptions(5, min_similarity=0.2),
    SearchOptions(5, min_similarity=0.2, confidence_weighted=True),  # in memory: the best products need not have the best cosines
    SearchOptions(5, rerank="k-reciprocal"),
    SearchOptions(5, rerank="query-expansion"),
    SearchOptions(5, where=Where(min_score=0.5)),  # a part, in memory
]


def unit(count: int, seed: int) -> Array:
    rows = np.random.default_rng(seed).normal(size=(count, DIM)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.fixture
def gallery(tmp_path: Path) -> Gallery:
    made = Gallery.create_or_open(tmp_path / "gallery", ModelKey("m", "f@0", DIM))
    scores = np.sort(np.random.default_rng(1).random(COUNT).astype(np.float32))[::-1]
    people = Detections(np.tile(np.array([0, 0, 9, 9], np.float32), (COUNT, 1)), scores, unit(COUNT, 2))
    made.add([FramePeople("/a.jpg", 0, None, 90, 90, "digest", 1, 1, "photos", True, people)])
    return made


@pytest.fixture
def ranked_on(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Devices of the rankings on devices; galleries of this size are ranked there too, in blocks of 7 rows."""
    devices: list[str] = []
    rank = DeviceGallery.rank

    def logged(self: DeviceGallery, *arguments: object, **keywords: object) -> object:
        devices.append(str(self.device))
        return rank(self, *arguments, **keywords)

    monkeypatch.setattr(on_device, "LEAST_ROWS", 1)
    monkeypatch.setattr(DeviceGallery, "rank", logged)
    monkeypatch.setattr(DeviceGallery.__init__, "__kwdefaults__", {"rows": 7, "blocks": None})
    return devices


@pytest.mark.parametrize("options", OPTIONS)
def test_a_search_on_a_device_has_the_hits_of_a_search_in_memory(gallery: Gallery, ranked_on: list[str], options: SearchOptions) -> None:
    queries = context_rows(unit(3, 3))
    in_memory = [one.hits() for one in search([gallery], queries, options)]
    assert not ranked_on
    with stand_in_cuda():
        there = [one.hits() for one in search([gallery], queries, options, device="cuda:0")]
    assert there == in_memory
    is_ranked_there = options.where is None and not (options.confidence_weighted and options.min_similarity)
    assert set(ranked_on) == ({"cuda:0"} if is_ranked_there else set())


def test_rows_are_copied_once_and_leave_with_their_gallery(ranked_on: list[str]) -> None:
    rows, embeddings, query = DeviceRows("cuda:0"), unit(COUNT, 4), unit(1, 5)
    with stand_in_cuda():
        for _ in range(2):
            rows.rank(query, embeddings, 3, scores=None, min_similarity=None, part=None)
        (blocks,) = [blocks for _, blocks in rows._blocks.values()]
        assert [len(block) for block in blocks] == [7] * 8 + [4]
        assert rows._gallery(embeddings).blocks is blocks
        del embeddings
        gc.collect()
        assert not rows._blocks


def test_a_device_with_too_little_memory_leaves_the_search_to_the_cpu(
    ranked_on: list[str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(self: DeviceRows, embeddings: Array) -> DeviceGallery:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    monkeypatch.setattr(DeviceRows, "_gallery", refuse)
    with caplog.at_level("INFO"):
        (one,) = DeviceRows("cuda:0").rank(unit(1, 5), unit(COUNT, 4), 3, scores=None, min_similarity=None, part=None)
    assert len(one) == 3
    assert "60 people are compared in memory" in caplog.text


def test_a_searcher_compares_on_the_device_of_its_model(gallery: Gallery, monkeypatch: pytest.MonkeyPatch) -> None:
    devices = []
    monkeypatch.setattr(searching, "search", lambda *given, device: devices.append(device) or search(*given))
    model = RectangleModel()
    PersonSearcher(model).search(np.zeros((20, 10, 3), np.uint8), [np.zeros((90, 90, 3), np.uint8)])
    monkeypatch.setattr(model, "device", torch.device("cuda", 1), raising=False)
    PersonSearcher(model).search(np.zeros((20, 10, 3), np.uint8), [np.zeros((90, 90, 3), np.uint8)])
    assert devices == ["cpu", "cuda:1"]

"""Several people at once: right answers, also while a source is being indexed."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from PIL import Image

from personsearch.ui.galleries import Galleries
from personsearch.ui.pictures import Cache
from tests.helpers.fakes import BLUE, GREEN, RED, RectangleModel, scene
from tests.helpers.pictures import encode
from tests.ui.conftest import index, wait


def test_each_client_gets_their_own_answer(client: TestClient, opened: dict[str, Any]) -> None:
    shots = ["1.0.0.0", "1.0.0.1", "1.1.0.0", "1.1.0.1"]
    alone = {shot: client.get("/hits", params={"shot": shot}).json()["hits"] for shot in shots}
    sent = {colour: encode(np.full((60, 20, 3), colour, np.uint8), "PNG") for colour in (RED, GREEN, BLUE)}
    best = {RED: "1.0.0.0", GREEN: "1.0.0.1", BLUE: "1.1.0.1"}

    def search(number: int) -> bool:
        shot, colour = shots[number % 4], list(sent)[number % 3]
        picture = client.post("/pictures", content=sent[colour]).json()["picture"]
        hits = client.get("/hits", params={"shot": picture, "gallery": 1}).json()["hits"]
        equal = [hit["person"] for hit in hits if hit["similarity"] == hits[0]["similarity"]]
        return client.get("/hits", params={"shot": shot}).json()["hits"] == alone[shot] and best[colour] in equal

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(search, range(24)))


class SlowModel(RectangleModel):
    """Waits at each picture until the test goes on."""

    def __init__(self) -> None:
        super().__init__()
        self.go_on = threading.Semaphore(0)
        self.waits = False

    def detect(self, prepared: Any, *, min_score: float = 0.0) -> Any:
        if self.waits:
            assert self.go_on.acquire(timeout=30)
        return super().detect(prepared, min_score=min_score)


@pytest.fixture
def slow(app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> SlowModel:
    model = SlowModel()
    app.state.service.searcher.model = model
    monkeypatch.setattr("personsearch.indexing.updating.COMMIT_FRAMES", 1)
    return model


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """Twenty pictures with a red person."""
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(20):
        Image.fromarray(scene((RED, 5 + 5 * number, 10, 60))).save(folder / f"{number:02d}.png")
    return folder


def test_searches_go_on_while_a_source_is_indexed(client: TestClient, opened: dict[str, Any], slow: SlowModel, many: Path) -> None:
    slow.waits = True
    number = client.post("/galleries", data={"source": str(many)}).json()["gallery"]
    slow.go_on.release()  # one batch of eight

    def state() -> Any:
        return client.get(f"/galleries/{number}/progress").json()

    half = wait(state, lambda value: value["people"] > 0)
    assert half["state"] == "indexing"
    assert (half["progress"]["done"], half["progress"]["total"]) == (8, 20)
    assert client.get("/hits", params={"shot": "1.0.0.0"}).json()["hits"]  # the other gallery
    inside = client.get("/hits", params={"shot": f"{number}.0.0.0"}).json()["hits"]  # what is there of this one
    assert len(inside) == half["people"] - 1
    slow.go_on.release(2)
    assert wait(state, lambda value: value["state"] == "ready")["people"] == 20
    assert len(client.get("/hits", params={"shot": f"{number}.0.0.0"}).json()["hits"]) == 19


def test_indexing_can_be_stopped_and_goes_on_later(client: TestClient, slow: SlowModel, many: Path) -> None:
    slow.waits = True
    client.post("/galleries", data={"source": str(many)})
    slow.go_on.release()
    wait(lambda: client.get("/galleries/1/progress").json(), lambda value: value["people"] > 0)
    client.post("/galleries/1/stop")
    slow.go_on.release(5)
    stopped = wait(lambda: client.get("/galleries/1/progress").json(), lambda value: value["state"] == "stopped")
    assert 8 <= stopped["people"] < 20
    slow.waits = False
    assert index(client, many)["people"] == 20


def test_sources_wait_for_one_another(client: TestClient, slow: SlowModel, many: Path, photos: Path) -> None:
    slow.waits = True
    for source in (many, photos):
        client.post("/galleries", data={"source": str(source)})
    wait(lambda: client.get("/galleries/1/progress").json(), lambda value: value["state"] == "indexing")
    assert client.get("/galleries/2/progress").json()["state"] == "waiting"
    assert client.post("/galleries", data={"source": str(many)}).json()["gallery"] == 1  # not a second time
    slow.waits = False
    slow.go_on.release(10)
    wait(lambda: client.get("/galleries/2/progress").json(), lambda value: value["state"] == "ready")


def test_the_end_of_the_service_ends_indexing(app: FastAPI, slow: SlowModel, many: Path) -> None:
    galleries: Galleries = app.state.service.galleries
    slow.waits = True
    opened = galleries.add(str(many))
    wait(lambda: opened.state, lambda state: state == "indexing")
    threading.Timer(0.1, slow.go_on.release, [5]).start()
    galleries.shut_down()
    assert opened.state == "stopped"


def test_a_cache_keeps_what_was_used_last() -> None:
    cache: Cache[str] = Cache(10)
    cache.put("a", "A", 4)
    cache.put("b", "B", 4)
    assert cache.get("a") == "A"
    cache.put("c", "C", 4)  # b was used longest ago
    assert [cache.get(key) for key in "abc"] == ["A", None, "C"]
    cache.put("d", "D", 11)  # larger than the cache
    assert [cache.get(key) for key in "acd"] == ["A", "C", None]
    cache.put("a", "AA", 10)
    assert [cache.get(key) for key in "ac"] == ["AA", None]

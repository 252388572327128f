"""A service of the fake model with pictures and a video, and clients of it."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from PIL import Image

from personsearch import Calibration, PersonSearcher
from personsearch.ui import create_app
from tests.helpers.fakes import BLUE, GREEN, RED, RectangleModel, scene
from tests.helpers.pictures import write_video

TOKEN = "a-token-of-the-tests"
BASE = "http://127.0.0.1:8000"
THRESHOLD = 0.7
PINK = (228, 128, 148)  # cosine .98 with red


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Three pictures, one of them without people, and a video of a red person who walks."""
    folder = tmp_path / "photos"
    folder.mkdir()
    Image.fromarray(scene((RED, 10, 10, 60), (GREEN, 100, 20, 40))).save(folder / "a.png")
    Image.fromarray(scene((PINK, 40, 10, 80), (BLUE, 120, 20, 50))).save(folder / "b.png")
    Image.fromarray(scene()).save(folder / "empty.png")
    write_video(folder / "z.avi", [scene((RED, 10 + 10 * step, 10, 60)) for step in range(4)])
    return folder


@pytest.fixture
def app(tmp_path: Path) -> FastAPI:
    """The application, calibrated to `THRESHOLD`."""
    calibration = Calibration(min_similarity=THRESHOLD, false_match_rate=0.01, miss_rate=0.1, data="made up")
    return create_app(PersonSearcher(RectangleModel(), calibration=calibration), token=TOKEN)


@pytest.fixture
def client(app: FastAPI) -> Iterator[TestClient]:
    """An app's client: it sends the token and gets JSON."""
    with TestClient(app, base_url=BASE, headers={"Authorization": f"Bearer {TOKEN}"}) as made:
        yield made


@pytest.fixture
def browser(app: FastAPI, client: TestClient) -> TestClient:
    """A browser's client: it has the cookie and gets pages."""
    made = TestClient(app, base_url=BASE, headers={"Accept": "text/html", "Origin": BASE})
    assert made.get("/", params={"token": TOKEN}).status_code == 200
    return made


@pytest.fixture
def opened(client: TestClient, photos: Path) -> dict[str, Any]:
    """The photos, indexed."""
    return index(client, photos)


def index(client: TestClient, source: Path, **form: Any) -> dict[str, Any]:
    """Index a source, and wait for the end."""
    number = client.post("/galleries", data={"source": str(source), **form}).json()["gallery"]
    return wait(lambda: client.get(f"/galleries/{number}/progress").json(), lambda value: value["state"] not in ("waiting", "indexing"))


def wait(read: Callable[[], Any], is_done: Callable[[Any], bool]) -> Any:
    """Read again and again until the value is as wanted."""
    end = time.monotonic() + 20
    while not is_done(value := read()):
        assert time.monotonic() < end, value
        time.sleep(0.01)
    return value

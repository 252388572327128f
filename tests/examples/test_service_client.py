"""The client of the service, against a real server on a free port."""

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import uvicorn
from PIL import Image

from examples import service_client
from personsearch import Calibration, PersonSearcher
from personsearch.ui import bound, create_app
from tests.helpers.fakes import BLUE, RED, RectangleModel, scene
from tests.helpers.pictures import encode

TOKEN = "a-token-of-the-tests"


@pytest.fixture
def address() -> Iterator[str]:
    """A server on a free port."""
    calibration = Calibration(min_similarity=0.7, false_match_rate=0.01, miss_rate=0.1, data="made up")
    app = create_app(PersonSearcher(RectangleModel(), calibration=calibration), token=TOKEN)
    listener = bound(0)
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = True
    thread.join()


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    Image.fromarray(scene((RED, 10, 10, 60), (BLUE, 100, 10, 60))).save(folder / "a.png")
    return folder


def test_the_client_indexes_and_searches(
    address: str, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PERSONSEARCH_TOKEN", TOKEN)
    (tmp_path / "me.png").write_bytes(encode(np.full((60, 20, 3), RED, np.uint8), "PNG"))
    assert service_client.main([address, str(photos), str(tmp_path / "me.png")]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.split() == ["1", "1.000", "match", str(photos / "a.png")]
    assert "below the threshold" in second


def test_the_client_says_what_the_service_refuses(address: str, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="does not exist"):
        service_client.Client(address, TOKEN).index(str(tmp_path / "nothing"))
    with pytest.raises(RuntimeError, match="token"):
        service_client.Client(address, "wrong").ask("/galleries")


def test_the_client_without_arguments_says_how_to_use_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert service_client.main([]) == 2
    assert "usage" in capsys.readouterr().err

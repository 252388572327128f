"""The `ui` command, without a browser."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from typer.testing import CliRunner

from personsearch import ui
from personsearch.cli.app import app
from personsearch.errors import MissingExtraError
from tests.ui.conftest import wait


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Applications that the command would have served."""
    apps: list[Any] = []

    def serve(application: Any, listener: Any) -> None:
        listener.close()
        apps.append(application)

    monkeypatch.setattr(ui, "serve", serve)
    return apps


def test_ui_prints_its_address_and_opens_the_sources(folder: Path, served: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERSONSEARCH_TOKEN", "a-token-of-the-app")
    run = CliRunner().invoke(app, ["ui", str(folder / "photos"), "--model", str(folder / "model"), "--no-browser"])
    assert run.exit_code == 0, run.output
    printed = json.loads(run.stdout.splitlines()[0])
    assert printed["token"] == "a-token-of-the-app"
    assert printed["url"] == f"http://127.0.0.1:{printed['port']}/?token=a-token-of-the-app"
    client = TestClient(served[0], base_url="http://127.0.0.1", headers={"Authorization": "Bearer a-token-of-the-app"})
    (gallery,) = wait(lambda: client.get("/galleries").json()["galleries"], lambda galleries: galleries[0]["state"] == "ready")
    assert gallery["people"] == 1


def test_ui_with_a_root_still_opens_what_is_named(folder: Path, served: list[Any]) -> None:
    (folder / "root").mkdir()
    arguments = ["ui", str(folder / "photos"), "--model", str(folder / "model"), "--no-browser", "--root", str(folder / "root")]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    service = served[0].state.service
    assert [opened.source for opened in service.galleries.all()] == [str(folder / "photos")]


def test_the_browser_gets_a_private_file(folder: Path, served: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """The token is not among the arguments of a process, which other users can read."""
    seen: list[tuple[str, int, str]] = []

    def open_browser(address: str) -> bool:
        file = Path(address.removeprefix("file://"))
        seen.append((address, file.stat().st_mode & 0o777, file.read_text()))
        return True

    monkeypatch.setattr("webbrowser.open", open_browser)
    monkeypatch.setenv("PERSONSEARCH_TOKEN", "a-token-of-the-app")
    assert CliRunner().invoke(app, ["ui", "--model", str(folder / "model")]).exit_code == 0
    ((address, mode, content),) = seen
    assert ("token" in address, mode) == (False, 0o600)
    assert "/?token=a-token-of-the-app" in content
    assert not Path(address.removeprefix("file://")).exists()


def test_ui_without_its_extra_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("personsearch.ui")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "fastapi", None)
    with pytest.raises(MissingExtraError, match=r"personsearch\[ui\]"):
        __import__("personsearch.ui")

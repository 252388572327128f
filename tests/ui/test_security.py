"""The door of the service: token, host, origin, size of a body, headers, and what is served."""

import socket
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from personsearch import PersonSearcher
from personsearch.errors import ConfigError, GalleryModelError, SourceError
from personsearch.gallery import Gallery, ModelKey
from personsearch.ui import address_of, bound, create_app
from personsearch.ui.galleries import Galleries
from personsearch.ui.security import HEADERS
from tests.helpers.fakes import RectangleModel
from tests.ui.conftest import BASE, TOKEN, index

ADDRESSES = ["/", "/galleries", "/hits?shot=1.0.0.0", "/scenes/1.0.0/picture", "/openapi.json", "/static/page.js", "/api", "/nothing"]


@pytest.fixture
def stranger(app: FastAPI, client: TestClient) -> TestClient:
    """A client without token and cookie."""
    return TestClient(app, base_url=BASE)


@pytest.mark.parametrize("address", ADDRESSES)
def test_nothing_is_served_without_the_token(stranger: TestClient, address: str) -> None:
    answer = stranger.get(address)
    assert answer.status_code == 401
    assert "galleries" not in answer.text


@pytest.mark.parametrize("value", ["", "Bearer", "Bearer ", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", "Bearer é", f"Basic {TOKEN}"])
def test_a_wrong_token_is_refused(stranger: TestClient, value: str) -> None:
    assert stranger.get("/", headers={"Authorization": value.encode()}).status_code == 401


def test_a_wrong_token_in_the_address_sets_no_cookie(stranger: TestClient) -> None:
    answer = stranger.get("/", params={"token": f"{TOKEN}x"})
    assert (answer.status_code, "set-cookie" in answer.headers) == (401, False)


def test_the_first_visit_sets_a_strict_cookie(stranger: TestClient) -> None:
    answer = stranger.get("/galleries/1", params={"token": TOKEN, "start": "2"})
    cookie = answer.headers["set-cookie"].lower()
    assert all(part in cookie for part in ("httponly", "samesite=strict", "path=/"))
    assert 'url=/galleries/1?start=2"' in answer.text  # without the token
    assert stranger.get("/").status_code == 200


def test_the_first_visit_leads_to_this_service_only(stranger: TestClient) -> None:
    answer = stranger.get(f"{BASE}//example.org/x", params={"token": TOKEN})
    assert 'url=/example.org/x"' in answer.text


@pytest.mark.parametrize("host", ["example.org", "127.0.0.1.example.org", "", "localhost.example.org:8000", "192.168.0.1:8000", "[::2]:80"])
def test_another_host_name_is_refused(client: TestClient, host: str) -> None:
    """A foreign page may give its own name to 127.0.0.1."""
    assert client.get("/", headers={"Host": host}).status_code == 421


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:9", "localhost:8000", "LOCALHOST", "[::1]:8000"])
def test_names_of_this_machine_are_served(client: TestClient, host: str) -> None:
    assert client.get("/", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("origin", [None, "http://127.0.0.1:9999", "http://example.org", "null", "file://"])
def test_another_origin_cannot_use_the_cookie_to_write(browser: TestClient, origin: str | None) -> None:
    del browser.headers["Origin"]
    headers = {} if origin is None else {"Origin": origin}
    assert browser.post("/galleries", data={"source": "/"}, headers=headers).status_code == 403
    assert browser.delete("/galleries/1", headers=headers).status_code == 403


def test_another_page_cannot_embed_pictures(browser: TestClient, opened: dict[str, Any]) -> None:
    same_site = {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "no-cors"}  # a page of another port of this machine
    assert browser.get("/scenes/1.0.0/picture", headers=same_site).status_code == 403
    assert browser.get("/", headers={"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "navigate"}).status_code == 200  # a link


@pytest.mark.parametrize("address", ["/", "/nothing", "/scenes/1.0.0/picture", "/static/page.css", "/hits"])
def test_every_answer_has_the_headers(browser: TestClient, stranger: TestClient, opened: dict[str, Any], address: str) -> None:
    for client in (browser, stranger):
        headers = client.get(address).headers
        assert {name: headers[name] for name in HEADERS} == HEADERS
    assert "unsafe" not in HEADERS["Content-Security-Policy"]
    assert HEADERS["Cache-Control"] == "no-store"


def test_a_large_body_is_refused(tmp_path: Path) -> None:
    app = create_app(PersonSearcher(RectangleModel()), token=TOKEN, max_bytes=1000)
    client = TestClient(app, base_url=BASE, headers={"Authorization": f"Bearer {TOKEN}"})
    assert client.post("/pictures", content=b"x" * 1001).status_code == 413
    assert client.post("/pictures", content=iter([b"x" * 600] * 2)).status_code == 413  # without a length beforehand
    assert client.post("/galleries", data={"source": "x" * 1001}).status_code == 413
    assert client.post("/pictures", content=b"x" * 1000).status_code == 422  # not a picture


def test_files_are_served_by_number_only(client: TestClient, opened: dict[str, Any], photos: Path) -> None:
    for key in (str(photos / "a.png"), "../a.png", "..%2f..%2fa.png", "%2e%2e/page.js"):
        for address in (f"/scenes/{key}/picture", f"/people/{key}/picture", f"/scenes/{key}/video", f"/static/{key}"):
            assert client.get(address).status_code in (404, 422), address


def test_only_real_videos_are_sent(client: TestClient, opened: dict[str, Any], photos: Path) -> None:
    """A gallery that a stranger made may call any file a video."""
    (photos / "z.avi").write_text("secret")
    answer = client.get("/scenes/1.3.0/video")
    assert (answer.status_code, "secret" in answer.text) == (422, False)


def test_a_fixed_service_takes_no_sources(photos: Path) -> None:
    app = create_app(PersonSearcher(RectangleModel()), token=TOKEN, sources=False)
    with TestClient(app, base_url=BASE, headers={"Authorization": f"Bearer {TOKEN}"}) as client:
        assert client.post("/galleries", data={"source": str(photos)}).status_code == 422
        assert client.get("/folders").status_code == 422
        assert client.get("/").json()["takes_sources"] is False


def test_sources_stay_below_the_root(tmp_path: Path, photos: Path) -> None:
    galleries = Galleries(PersonSearcher(RectangleModel()), tmp_path / "photos")
    (tmp_path / "photos" / "out").symlink_to(tmp_path)
    assert galleries.check(str(photos / "a.png"))
    assert galleries.check(f"{photos}/*.png")
    for source in (str(tmp_path), f"{photos}/../", f"{tmp_path}/*", f"{photos}/out", f"{tmp_path}/photos2", "~"):
        with pytest.raises(SourceError):
            galleries.check(source)


@pytest.mark.parametrize("token", ["", "short", "é" * 20, "a b\n" * 10])
def test_a_weak_token_is_an_error(token: str) -> None:
    with pytest.raises(ConfigError, match="token"):
        create_app(PersonSearcher(RectangleModel()), token=token)


def test_each_run_has_its_own_token() -> None:
    tokens = {create_app(PersonSearcher(RectangleModel())).state.token for _ in range(3)}
    assert len(tokens) == 3
    assert min(map(len, tokens)) >= 43  # 256 bits


def test_a_gallery_of_another_model_is_refused(tmp_path: Path, client: TestClient) -> None:
    gallery = Gallery.create_or_open(tmp_path / "other", ModelKey("other", "o" * 64, 3))
    with pytest.raises(GalleryModelError):
        create_app(PersonSearcher(RectangleModel()), galleries=[gallery])


def test_the_service_listens_on_this_machine_only(app: FastAPI) -> None:
    listener = bound(0)
    try:
        assert listener.getsockname()[0] == "127.0.0.1"
        assert address_of(app, listener) == f"http://127.0.0.1:{listener.getsockname()[1]}/?token={TOKEN}"
        with pytest.raises(ConfigError, match="port"):
            bound(listener.getsockname()[1])
    finally:
        listener.close()


def test_no_connection_is_opened(client: TestClient, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Indexing, searching and the pages need no network; a connection would be an error here."""

    def refuse(*_: object) -> None:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    assert index(client, photos)["state"] == "ready"
    assert client.get("/hits", params={"shot": "1.0.0.0"}).json()["hits"]
    assert client.get("/api", headers={"Accept": "text/html"}).status_code == 200


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("headers", [{"Origin": "http://example.org"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}])
def test_another_origin_cannot_use_the_token(client: TestClient, method: str, headers: dict[str, str]) -> None:
    """With the token in its header, a request of any page was answered, although SECURITY.md says that foreign origins are refused."""
    assert client.request(method, "/galleries", data={"source": "/"}, headers=headers).status_code == 403
    assert client.get("/galleries").status_code == 200

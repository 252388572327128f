"""The pages as a browser gets them: headings, labels, empty and error states, and nothing of another server."""

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from PIL import Image

from personsearch.ui.answering import duration, environment
from tests.helpers.fakes import RED, scene
from tests.helpers.pictures import encode
from tests.ui.conftest import index

PAGES = ["/", "/galleries/1", "/scenes/1.0.0", "/scenes/1.2.0", "/scenes/1.3.1", "/hits?shot=1.0.0.0", "/api", "/nothing", "/scenes/1.99.0"]
PART = {"HX-Request": "true"}


class Page(HTMLParser):
    """Tags with their attributes, in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))

    def all(self, name: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.tags if tag == name]


@pytest.fixture
def texts(browser: TestClient, opened: dict[str, Any]) -> dict[str, str]:
    """Every page by its address."""
    return {address: browser.get(address).text for address in PAGES}


def test_pages_load_from_this_service_only(texts: dict[str, str]) -> None:
    for address, text in texts.items():
        page = Page(text)
        assert page.tags
        for _, attributes in page.tags:
            for name in ("src", "href", "hx-get", "hx-post", "hx-delete", "action"):
                value = attributes.get(name)
                assert value is None or re.match(r"/(?!/)|#", value), (address, value)


def test_pages_need_neither_inline_scripts_nor_styles(texts: dict[str, str]) -> None:
    """The content policy forbids them."""
    for address, text in texts.items():
        page = Page(text)
        assert not page.all("style"), address
        assert all("src" in script for script in page.all("script")), address
        names = {name for _, attributes in page.tags for name in attributes}
        assert not [name for name in names if name == "style" or name.startswith(("on", "hx-on"))], address


def test_pages_are_readable_by_a_screen_reader(texts: dict[str, str]) -> None:
    for address, text in texts.items():
        page = Page(text)
        assert page.all("html")[0]["lang"] == "en", address
        assert len(page.all("h1")) == len(page.all("main")) == 1, address
        assert all("alt" in image for image in page.all("img")), address
        labelled = {label.get("for") for label in page.all("label")}
        wrapped = re.findall(r"<label>.*?</label>", text, re.DOTALL)
        for control in [*page.all("input"), *page.all("select")]:
            is_in_label = any(f'name="{control.get("name")}"' in label for label in wrapped)
            assert control.get("type") == "hidden" or control.get("id") in labelled or is_in_label, (address, control)
        ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
        assert len(ids) == len(set(ids)), address


def test_every_person_of_a_scene_is_a_button(browser: TestClient, opened: dict[str, Any]) -> None:
    page = Page(browser.get("/scenes/1.0.0").text)
    people = [group for group in page.all("g") if group["class"] == "person"]
    assert {group["data-number"]: group["hx-get"] for group in people} == {"1": "/hits?shot=1.0.0.0", "2": "/hits?shot=1.0.0.1"}
    assert all(group["role"] == "button" and group["tabindex"] == "0" and "Person" in (group["aria-label"] or "") for group in people)
    assert [rect["x"] for rect in page.all("rect")][-1] == "10.0"  # the best score is on top


def test_a_scene_without_people_says_so(browser: TestClient, opened: dict[str, Any]) -> None:
    assert "No person was detected" in browser.get("/scenes/1.2.0").text


def test_a_frame_of_a_video_has_its_time(browser: TestClient, opened: dict[str, Any]) -> None:
    text = browser.get("/scenes/1.3.1").text
    assert "at 0:00.1" in text
    assert 'src="/scenes/1.3.1/video#t=0.10"' in text


def test_the_threshold_is_drawn_between_the_hits(browser: TestClient, opened: dict[str, Any]) -> None:
    text = browser.get("/hits?shot=1.0.0.0").text
    before, after = text.split("Below the threshold 0.70: probably somebody else")
    assert (before.count('class="card hit'), after.count('class="card hit')) == (5, 2)
    assert after.count('class="card hit weak"') == 2
    assert text.count('class="limit" x="69.0"') == 7


def test_no_line_divides_hits_that_are_not_ordered_by_similarity(client: TestClient, browser: TestClient, tmp_path: Path) -> None:
    """Times the score two tall strangers (cosine .6) are before a small hit: the page drew the line above all three."""
    folder = tmp_path / "mixed"
    folder.mkdir()
    strangers = ((188, 208, 128), 60, 10, 100), ((188, 208, 128), 100, 10, 90)
    Image.fromarray(scene((RED, 10, 10, 90))).save(folder / "a.png")
    Image.fromarray(scene((RED, 10, 10, 40), *strangers)).save(folder / "b.png")
    index(client, folder)
    hits = client.get("/hits?shot=1.0.0.0&confidence_weighted=true").json()["hits"]
    assert [hit["is_match"] for hit in hits] == [False, False, True]
    assert "Below the threshold" not in browser.get("/hits?shot=1.0.0.0&confidence_weighted=true").text
    before, after = browser.get("/hits?shot=1.0.0.0").text.split("Below the threshold")
    assert (before.count('class="card hit'), after.count('class="card hit')) == (1, 2)


def test_the_chosen_rule_stays_in_every_link(browser: TestClient, opened: dict[str, Any]) -> None:
    for rule in ("True", "False"):
        page = Page(browser.get(f"/hits?shot=1.0.0.0&confidence_weighted={rule}").text)
        assert {option.get("value") for option in page.all("option") if "selected" in option} == {rule.lower(), None}  # and 24 hits
        links = [link.get("href") or "" for link in page.all("a")] + [button.get("hx-get") or "" for button in page.all("button")]
        changed = [link for link in links if "shot=1.0.0.0&" in link]  # exports, and the search with one shot more or less
        assert len(changed) > 10
        assert all(f"confidence_weighted={rule}" in link for link in changed)


def test_no_match_is_said_in_words(browser: TestClient, opened: dict[str, Any]) -> None:
    assert "No hit reaches the threshold" in browser.get("/hits?shot=1.0.0.1").text
    assert "No hit." in browser.get("/hits?shot=1.0.0.1&matches=true").text


def test_htmx_gets_parts(browser: TestClient, opened: dict[str, Any]) -> None:
    for address, heading in (("/hits?shot=1.0.0.0", "hits-title"), ("/scenes/1.0.0", "scene-title")):
        text = browser.get(address, headers=PART).text
        assert "<html" not in text
        assert f'id="{heading}"' in text


def test_marks_change_the_address(browser: TestClient, opened: dict[str, Any]) -> None:
    page = Page(browser.get("/hits?shot=1.0.0.0&not=1.1.0.1&top_k=12").text)
    buttons = {button.get("aria-label"): button.get("hx-get") for button in page.all("button")}
    assert buttons["Hit 1 is the person"] == "/hits?shot=1.0.0.0&shot=1.3.0.0&not=1.1.0.1&top_k=12"
    assert buttons["Hit 1 is not the person"] == "/hits?shot=1.0.0.0&not=1.1.0.1&not=1.3.0.0&top_k=12"
    assert buttons["Search for the person of hit 1"] == "/hits?shot=1.3.0.0"
    removals = [link["href"] for link in page.all("a") if link.get("class") == "remove"]
    assert removals == ["/hits?shot=1.0.0.0&top_k=12"]  # the only shot cannot be removed


def test_cbgm_of_a_crop_is_switched_off_with_a_reason(browser: TestClient, client: TestClient, opened: dict[str, Any]) -> None:
    sent = client.post("/pictures", content=encode(scene((RED, 10, 10, 60))[10:70, 10:30], "PNG")).json()["picture"]
    text = browser.get(f"/hits?shot={sent}&gallery=1").text
    assert 'value="cbgm" disabled' in text
    assert "needs people in a scene" in text


def test_a_sent_scene_asks_which_person(browser: TestClient, client: TestClient, opened: dict[str, Any]) -> None:
    sent = client.post("/pictures", content=encode(scene((RED, 10, 10, 40), (RED, 100, 10, 40)), "PNG")).json()["picture"]
    text = browser.get(f"/pictures/{sent}?gallery=1").text
    assert f"/hits?shot={sent}.2&amp;gallery=1" in text
    assert "Which person?" in text


def test_mistakes_are_pages_and_parts(browser: TestClient, opened: dict[str, Any]) -> None:
    whole = browser.get("/scenes/1.99.0")
    assert (whole.status_code, 'role="alert"' in whole.text, "<html" in whole.text) == (404, True, True)
    part = browser.post("/galleries", data={"source": "/no/such"}, headers=PART)
    assert (part.status_code, "does not exist" in part.text, "<html" in part.text) == (422, True, False)


def test_a_broken_picture_keeps_its_people(browser: TestClient, opened: dict[str, Any], photos: Path) -> None:
    (photos / "a.png").write_bytes(b"damaged")
    text = browser.get("/scenes/1.0.0").text
    assert "The picture cannot be shown" in text
    assert "Search for person 2" in text


def test_a_failed_source_says_why(browser: TestClient, client: TestClient, tmp_path: Path) -> None:
    (tmp_path / "nothing").mkdir()
    index(client, tmp_path / "nothing")
    text = browser.get("/galleries/1").text
    assert 'role="alert"' in text
    assert "No scene yet" in text


def test_names_of_files_are_escaped(browser: TestClient, client: TestClient, tmp_path: Path) -> None:
    folder = tmp_path / "<b>&'\""
    folder.mkdir()
    Image.fromarray(scene((RED, 10, 10, 60), (RED, 100, 10, 60))).save(folder / "<img src=x onerror=alert(1)>.png")
    index(client, folder)
    for address in ("/", "/galleries/1", "/scenes/1.0.0", "/hits?shot=1.0.0.0"):
        text = browser.get(address).text
        assert "<img src=x" not in text
        assert "<b>&'" not in text


def test_the_end_of_a_run_loads_the_page_again(browser: TestClient, opened: dict[str, Any]) -> None:
    assert browser.get("/galleries/1/progress", headers=PART).headers["HX-Refresh"] == "true"


def test_an_address_with_json_at_its_end_is_json(browser: TestClient, opened: dict[str, Any]) -> None:
    assert browser.get("/hits.json?shot=1.0.0.0").json()["hits"]
    assert browser.get("/galleries/1.json").json()["total"] == 7
    assert browser.get("/scenes/1.0.0.json").json()["scene"] == "1.0.0"


def test_responsible_use_is_said_on_every_page(browser: TestClient, opened: dict[str, Any]) -> None:
    for address in PAGES:
        assert "A high similarity is not an identity" in browser.get(address).text


def test_durations_are_said_in_words() -> None:
    assert [duration(seconds) for seconds in (0.4, 59, 60, 3599, 3600, 9000)] == [
        "0 s",
        "59 s",
        "1 min",
        "1 h 0 min",
        "1 h 0 min",
        "2 h 30 min",
    ]


def test_every_template_is_valid() -> None:
    names = environment().list_templates()
    assert len(names) > 10
    for name in names:
        environment().get_template(name)

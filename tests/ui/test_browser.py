"""The page in a real browser: `pytest -m browser tests/ui/test_browser.py`, with playwright and the system's chromium.

PERSONSEARCH_SHOTS names a folder for the screenshots.
"""

import os
import shutil
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import pytest
import uvicorn

from personsearch import PersonSearcher
from personsearch.ui import address_of, bound, create_app
from personsearch.weights.manifest import PACKAGE
from tests.helpers.pictures import write_av

DEMO = PACKAGE / "data" / "demo"
PATIENCE = 180_000  # milliseconds; machines are busy
pytestmark = [pytest.mark.browser, pytest.mark.slow]


@dataclass
class Visit:
    """A page in the browser, and everything that it asked for."""

    page: Any
    address: str
    requests: list[str] = field(default_factory=list)
    mistakes: list[str] = field(default_factory=list)

    @property
    def outside(self) -> list[str]:
        start = self.address.split("?")[0]
        return [url for url in self.requests if not url.startswith((start, "blob:"))]

    def shot(self, name: str, **options: Any) -> None:
        if folder := os.environ.get("PERSONSEARCH_SHOTS"):
            self.page.wait_for_load_state("networkidle")
            self.page.screenshot(path=Path(folder) / f"{name}.png", **options)

    def open(self, source: Path) -> None:
        self.page.goto(self.address)
        self.page.fill("#source", str(source))
        self.page.get_by_role("button", name="Look for people").click()
        self.page.wait_for_selector(".scenes .card")
        self.page.wait_for_function("() => !document.querySelector('.progress')")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's pictures, and a video of three of them."""
    folder = tmp_path_factory.mktemp("page") / "holiday"
    shutil.copytree(DEMO / "scenes", folder)
    frames = [cv2.imread(str(path))[:, :, ::-1] for path in sorted(folder.glob("*.jpg"))[:3] for _ in range(5)]
    write_av(folder.parent / "street.mp4", [cv2.resize(frame, (960, 540)) for frame in frames], codec="libx264", rate=5)
    return folder


@pytest.fixture
def visit() -> Iterator[Visit]:
    """A service with the bundled model, and a browser at its page."""
    from playwright.sync_api import sync_playwright

    app = create_app(PersonSearcher.from_pretrained(device="cpu"))
    listener = bound(0)
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert chromium, "tests marked browser need chromium (apt-get install chromium)"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1400, "height": 900})
        page.set_default_timeout(PATIENCE)
        made = Visit(page, address_of(app, listener))
        page.on("request", lambda request: made.requests.append(request.url))
        page.on("pageerror", lambda error: made.mistakes.append(str(error)))
        page.on(
            "console",
            lambda message: made.mistakes.append(f"{message.text} {message.location}") if "Content Security" in message.text else None,
        )
        yield made
        browser.close()
    server.should_exit = True
    thread.join()


def test_a_folder_from_choosing_to_export(visit: Visit, pictures: Path) -> None:
    page = visit.page
    page.goto(visit.address)
    visit.shot("home")
    visit.open(pictures)
    assert "token" not in page.url
    assert page.locator(".scenes .card").count() == 13
    visit.shot("scenes")
    page.get_by_role("link", name="scene_03.jpg").click()
    page.wait_for_selector("svg.people")
    visit.shot("scene")

    page.keyboard.press("2")
    page.wait_for_selector(".hit")
    assert page.evaluate("document.activeElement.id") == "hits-title"
    assert "reach the threshold" in page.locator("#status").text_content()
    assert page.locator("g.person.chosen").get_attribute("data-number") == "2"
    visit.shot("hits")
    before = page.locator(".hit .view").nth(0).get_attribute("href")

    page.locator(".hit .yes").first.click()
    page.wait_for_function("() => document.querySelectorAll('.shots li').length === 2")
    assert page.locator(".hit .view").nth(0).get_attribute("href") != before
    page.locator(".hit .no").last.click()
    page.wait_for_selector(".shots .negative")
    page.go_back()
    page.wait_for_function("() => !document.querySelector('.shots .negative')")

    page.locator(".hit .view").nth(1).click()
    page.wait_for_function("() => !document.querySelector('#scene-title').textContent.includes('scene_03.jpg')")
    assert page.locator("#scene .person.chosen").count() == 1
    visit.shot("hit_in_scene")
    assert page.locator(".hit").count() > 0  # the hits stay beside the scene
    with page.expect_download() as waiting:
        page.get_by_role("link", name="table").click()
    table = Path(waiting.value.path()).read_text(encoding="utf-8")
    assert table.startswith("rank,image,")
    assert len(table.splitlines()) == 1 + page.locator(".hit").count()
    assert visit.outside == []
    assert visit.mistakes == []


def test_the_slider_shows_who_is_left(visit: Visit, pictures: Path) -> None:
    page = visit.page
    visit.open(pictures)
    page.get_by_role("link", name="scene_03.jpg").click()
    page.locator("g.person[data-number='1'] .box").click()
    page.wait_for_selector(".hit")
    count = page.locator(".hit:visible").count()
    page.click("#to-threshold")
    assert 0 <= page.locator(".hit:visible").count() < count
    page.locator("#least").fill("1")
    assert page.locator(".hit:visible").count() == 0
    assert page.locator("#none-left").is_visible()
    visit.shot("nobody_left")
    assert page.locator(".shots li").count() == 1  # the slider asks the service nothing


def test_a_video_has_times_and_spells(visit: Visit, pictures: Path) -> None:
    page = visit.page
    visit.open(pictures.parent / "street.mp4")
    page.locator(".scenes a").nth(7).click()  # 1.4 s
    page.wait_for_selector("svg.people")
    page.locator(".film summary").click()
    page.wait_for_function("() => document.querySelector('video').readyState > 1")
    assert page.evaluate("document.querySelector('video').currentTime") == pytest.approx(1.4, abs=0.05)
    page.keyboard.press("1")
    page.wait_for_selector(".hit")
    frames = page.locator(".hit").count()
    page.get_by_label("One hit for each stretch of time").check()
    page.wait_for_function(f"() => document.querySelectorAll('.hit').length < {frames}")
    assert " to " in page.locator(".hit .time").first.text_content()
    visit.shot("spells")
    assert visit.outside == []


def test_a_crop_is_dropped_and_a_broken_picture_refused(visit: Visit, pictures: Path, tmp_path: Path) -> None:
    page = visit.page
    visit.open(pictures)
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no picture")
    page.set_input_files("#picture", broken)
    page.wait_for_function("() => document.querySelector('#drop-message').textContent.includes('not a picture')")
    visit.shot("broken")
    page.set_input_files("#picture", DEMO / "query.jpg")
    page.wait_for_url("**/hits?**")
    page.wait_for_selector(".hit")
    assert page.locator("input[value=cbgm]").is_disabled()
    visit.shot("crop")


def test_a_picture_that_is_gone_says_so(visit: Visit, pictures: Path, tmp_path: Path) -> None:
    page = visit.page
    folder = tmp_path / "few"
    folder.mkdir()
    for name in ("scene_03.jpg", "scene_09.jpg"):
        shutil.copy(pictures / name, folder)
    visit.open(folder)
    (folder / "scene_09.jpg").write_bytes(b"damaged")
    page.reload()
    page.wait_for_function("() => document.querySelectorAll('.scenes .missing').length === 1")
    page.get_by_role("link", name="scene_09.jpg").click()
    assert "cannot be shown" in page.get_by_role("alert").text_content()
    visit.shot("gone")


def test_a_phone_shows_everything_in_its_width(visit: Visit, pictures: Path) -> None:
    page = visit.page
    page.set_viewport_size({"width": 390, "height": 844})
    visit.open(pictures)
    addresses = [page.url]
    page.get_by_role("link", name="scene_03.jpg").click()
    page.wait_for_selector("svg.people")
    addresses.append(page.url)
    page.locator(".faces a").nth(1).click()
    page.wait_for_selector(".hit")
    time.sleep(0.5)
    assert page.evaluate("document.querySelector('#hits').getBoundingClientRect().top") < 400  # scrolled to the hits
    visit.shot("phone_hits")
    addresses += [page.url, visit.address.split("?")[0], f"{visit.address.split('?')[0]}api"]
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        for number, address in enumerate(addresses):
            page.goto(address)
            page.wait_for_load_state("networkidle")
            assert page.evaluate("document.documentElement.scrollWidth") <= 390, address
            visit.shot(f"phone_{scheme}_{number}")


CONTRAST = """() => {
  const parse = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((v) => v / 255).map((v) => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
  const behind = (element) => {
    for (let one = element; one; one = one.parentElement) {
      const colour = parse(getComputedStyle(one).backgroundColor);
      if (colour.length < 4 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  const bad = [];
  for (const element of document.querySelectorAll("main *, header *, footer *")) {
    const text = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    if (!text || element.closest("svg, .unseen, option") || element.disabled || !element.checkVisibility()) continue;
    const [a, b] = [light(parse(getComputedStyle(element).color)), light(behind(element))];
    const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
    if (ratio < 4.5) bad.push(`${element.tagName}.${element.className} ${ratio.toFixed(2)} ${element.textContent.trim().slice(0, 30)}`);
  }
  return bad;
}"""


def test_texts_have_contrast_and_controls_have_focus(visit: Visit, pictures: Path) -> None:
    page = visit.page
    visit.open(pictures)
    scenes = page.url
    page.get_by_role("link", name="scene_03.jpg").click()
    page.wait_for_selector("svg.people")
    page.keyboard.press("1")
    page.wait_for_selector(".hit")
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        for address in (scenes, page.url, visit.address.split("?")[0]):
            page.goto(address)
            assert page.evaluate(CONTRAST) == []
        visit.shot(f"home_{scheme}")
    page.goto(scenes)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.get_by_role("link", name="scene_03.jpg").focus()
    page.keyboard.press("Enter")
    page.locator("g.person").first.focus()
    page.keyboard.press("Enter")
    page.wait_for_selector(".hit")

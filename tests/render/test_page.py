"""Results as one page."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image

from personsearch import render
from personsearch.hits import Query
from personsearch.render import views
from tests.helpers.render_scenes import BOX, MAGENTA, extent, hit, jpegs, page_of, result, saved, scene


class Page(HTMLParser):
    """Tags, attributes and text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text += data


def test_page_prints_every_fact(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.png")
    parsed = Page(page_of(result(hit(path, 1, score=0.87, similarity=0.612, ranked_by=0.532, time=75.2, frame=1880), query=Query(path))))
    words = parsed.text.split()
    for word in ("1", "0.612", "0.532", "0.87", "1:15.2", "1880"):
        assert word in words
    assert parsed.text.count(path) == 2  # of the query and of the hit
    alts = [value for name, value in parsed.attributes if name == "alt"]
    assert alts == [
        "The query person, in a.png",
        "Rank 1, similarity 0.612: person in a.png at 1:15.2",
        "The scene of rank 1, a.png, with the person's box",
    ]


def test_page_hides_the_ranking_number_if_it_is_the_similarity(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.png")
    assert "ranked by" not in page_of(result(hit(path)))
    assert "ranked by" in page_of(result(hit(path, ranked_by=0.5)))


def test_page_escapes_names() -> None:
    name = '<script>alert(1)</script>" onerror="alert(2)'
    parsed = Page(page_of(result(hit(name), query=Query(name))))
    assert "script" not in parsed.tags
    assert not [attribute for attribute, _ in parsed.attributes if attribute.startswith("on")]
    assert parsed.text.count("<script>alert(1)</script>") == 2  # of the query and of the hit
    assert "script" in Page(name).tags, "the parser would have seen it"


def test_page_loads_nothing(tmp_path: Path) -> None:
    parsed = Page(page_of(result(hit(saved(tmp_path / "a.png")))))
    assert not {"script", "link", "iframe", "object", "base"} & set(parsed.tags)
    addresses = [value or "" for name, value in parsed.attributes if name in ("src", "href", "srcset", "action", "poster")]
    assert len(addresses) == 3
    assert all(address.startswith("data:image/jpeg;base64,") for address in addresses)
    assert ("content", "default-src 'none'; img-src data:; style-src 'unsafe-inline'") in parsed.attributes


def test_page_pictures_hold_the_person_in_the_box(tmp_path: Path) -> None:
    query, person, whole = jpegs(page_of(result(hit(saved(tmp_path / "a.png")))))
    assert (query.size, person.size, whole.size) == ((300, 400), (300, 400), (400, 300))
    assert extent(person, MAGENTA, 60)[1] == pytest.approx(400 * (1 - views.PERSON_SHARE) / 2, abs=3)


def test_page_pictures_carry_no_exif(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x010F] = "a camera"
    exif.get_ifd(0x8825)[1] = "N"  # a GPS position
    path = tmp_path / "a.jpg"
    Image.fromarray(scene()).save(path, exif=exif, comment=b"home")
    assert Image.open(path).getexif(), "the source has EXIF, or this test sees nothing"
    for picture in jpegs(page_of(result(hit(str(path)), query=Query(path, BOX)))):
        assert not picture.getexif()
        assert not {"exif", "comment", "icc_profile", "xmp"} & set(picture.info)


def test_page_without_hits() -> None:
    text = page_of(result())
    assert "No hits" in text
    assert len(jpegs(text)) == 1  # the query


def test_page_of_fifty_hits(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.png")
    text = page_of(result(*(hit(path, rank) for rank in range(1, 51))))
    assert [int(rank) for rank in re.findall(r'alt="Rank (\d+),', text)] == list(range(1, 51))


def test_save_html_makes_folders_and_replaces_files(tmp_path: Path) -> None:
    path = tmp_path / "new" / "hits.html"
    result().save_html(path)
    result(hit("gone.png")).save_html(str(path))
    assert "gone.png" in path.read_text(encoding="utf-8")
    assert list(path.parent.iterdir()) == [path], "no temporary file stays"


def test_a_page_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    taken = tmp_path / "hits.html"
    taken.mkdir()
    with pytest.raises(OSError, match=r"hits\.html"):
        render.save_html(Query("q.jpg"), (), taken)
    assert list(tmp_path.iterdir()) == [taken]


def test_a_page_that_fails_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "hits.html"
    path.write_text("old")

    def half_written(self: Path, text: str, encoding: str) -> int:
        self.write_bytes(text[:10].encode())
        raise OSError("disk full")

    monkeypatch.setattr(Path, "write_text", half_written)
    with pytest.raises(OSError, match="disk full"):
        result().save_html(path)
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_bytes() == b"old"


def test_page_draws_the_threshold_between_the_hits(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.png")
    hits = [hit(path, rank, similarity=one, ranked_by=one, threshold=0.6) for rank, one in enumerate((0.9, 0.6, 0.5), start=1)]
    text = page_of(result(*hits))
    parsed = Page(text)
    assert parsed.text.count("threshold 0.600; below: probably somebody else") == 1
    assert text.index("Rank 2,") < text.index("threshold 0.600; below") < text.index("Rank 3,")
    assert parsed.text.count("below 0.600: probably somebody else") == 1
    assert "2 match" in parsed.text
    assert [value for name, value in parsed.attributes if name == "class" and value and "below" in value] == ["card below"]


def test_page_marks_hits_in_another_order_one_by_one(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.png")
    text = page_of(result(hit(path, 1, similarity=0.5, ranked_by=0.9, threshold=0.6), hit(path, 2, threshold=0.6)))
    assert "threshold 0.600; below" not in text
    assert text.count("below 0.600: probably somebody else") == 1


def test_page_without_a_calibration_draws_no_threshold(tmp_path: Path) -> None:
    text = page_of(result(hit(saved(tmp_path / "a.png"))))
    assert "probably somebody else" not in text
    assert "match" not in Page(text).text


def test_page_says_that_a_hit_is_small_and_when_it_begins(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.png")
    text = Page(page_of(result(hit(path, box=(100, 60, 120, 101), time=45.2, start=31.0, end=61.5)))).text
    assert "small: 41 pixels high" in text
    assert "0:31.0 to 1:01.5, best at 0:45.2" in text

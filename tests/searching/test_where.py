"""A part of a gallery, several galleries at once, and one hit for each picture."""

from pathlib import Path

import numpy as np
import pytest

from personsearch import Gallery, PersonSearcher, Where
from personsearch.boxes import Array
from personsearch.errors import GalleryModelError, QueryError
from personsearch.gallery import FramePeople, ModelKey, vector_index, where
from personsearch.results import Detections
from personsearch.searching import SearchOptions, context_rows, search
from tests.helpers.fakes import RectangleModel

DIM, PEOPLE = 4, 3
FOLDERS = ("/a", "/a b", "/a'b", '/a"; --', "/100%_", "/ü\u4eba", "/line\nbreak", "/a/deep\\er")
KEY = ModelKey("m", "f@0", DIM)


def rows(number: int) -> Array:
    values = np.random.default_rng([3, number]).standard_normal((PEOPLE, DIM)).astype(np.float32)
    return values / np.linalg.norm(values, axis=1, keepdims=True)


def person_frame(image: str, number: int, *, frame: int = 0, time: float | None = None) -> FramePeople:
    """Three people of 10, 20 and 30 pixels' height with scores .9, .6 and .3."""
    boxes = np.array([[0, 0, 5, 10], [0, 5, 5, 25], [9, 0, 20, 30]], np.float32)
    people = Detections(boxes, np.array([0.9, 0.6, 0.3], np.float32), rows(number))
    return FramePeople(image, frame, time, 90, 90, f"digest {image}", 1, 1, "photos", True, people)


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Gallery:
    """Five pictures in each odd folder, and a video with a frame every second."""
    made = Gallery.create_or_open(tmp_path_factory.mktemp("odd"), KEY)
    names = [f"{folder}/{i}.jpg" for folder in FOLDERS for i in range(5)]
    made.add([person_frame(name, number) for number, name in enumerate(names)])
    made.add([person_frame("/videos/street.mp4", 100 + i, frame=25 * i, time=float(i)) for i in range(10)])
    return made


@pytest.fixture(params=["exact", "part", "index"])
def opened(gallery: Gallery, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Gallery:
    """The gallery in memory, too large for memory with the part read, and with its vector index."""
    again = Gallery.open(gallery.location)
    if request.param != "exact":
        monkeypatch.setattr(vector_index, "LEAST_ROWS", 10)
        monkeypatch.setattr(vector_index, "NUMBERS_PER_CODE", 1)
        again.memory_limit = 0
    if request.param == "index":
        monkeypatch.setattr(where, "MOST_READ", 0)
        monkeypatch.setattr(vector_index, "exists", lambda table: True)  # so that everybody is compared
    return again


def found(gallery: Gallery, condition: Where | None, top_k: int = 1000) -> list[tuple[str, int, float, float]]:
    (result,) = search([gallery], context_rows(rows(7)[:1]), SearchOptions(top_k, where=condition))
    return [(hit.image, hit.frame, hit.box[3] - hit.box[1], round(hit.score, 1)) for hit in result.hits()]


@pytest.mark.parametrize("folder", FOLDERS)
def test_names_may_hold_any_characters(opened: Gallery, folder: str) -> None:
    images = [image for image, *_ in found(opened, Where(folder=folder))]
    deeper = 5 if folder == "/a" else 0  # /a/deep\er
    assert len(images) == (5 + deeper) * PEOPLE
    assert all(image.startswith(folder + "/") for image in images)
    name = f"{folder}/3.jpg"
    assert {image for image, *_ in found(opened, Where(image=name))} == {name}


@pytest.mark.parametrize("nothing", ["' OR '1'='1", "/nowhere", "/a%", "/a_b", "half \ud800", "nul\0", "/a/0.jp"])
def test_a_part_without_people_gives_an_empty_result(opened: Gallery, nothing: str) -> None:
    for condition in (Where(folder=nothing), Where(image=nothing), Where(folder=nothing, image="/a/1.jpg")):
        (result,) = search([opened], context_rows(rows(7)[:1]), SearchOptions(where=condition))
        assert (result.hits(), result.compared) == ((), 0)


def test_time_leaves_pictures_out(opened: Gallery) -> None:
    assert {frame for _, frame, *_ in found(opened, Where(start=3, end=5))} == {75, 100, 125}
    assert {frame for _, frame, *_ in found(opened, Where(start=8.5))} == {225}
    assert {image for image, *_ in found(opened, Where(end=2))} == {"/videos/street.mp4"}
    assert len(found(opened, Where(start=0))) == 10 * PEOPLE


def test_score_and_height_meet_their_bounds(opened: Gallery) -> None:
    """Scores are stored as float32: .9 is .89999998."""
    assert {score for *_, score in found(opened, Where(min_score=0.6))} == {0.9, 0.6}
    assert {score for *_, score in found(opened, Where(min_score=0.9))} == {0.9}
    assert {height for *_, height, _ in found(opened, Where(min_height=20))} == {20, 30}
    assert {(height, score) for *_, height, score in found(opened, Where(min_height=15, min_score=0.5, folder=["/a", "/videos"]))} == {
        (20, 0.6)
    }


def test_a_part_ranks_as_a_gallery_of_these_people(opened: Gallery) -> None:
    everyone = found(Gallery.open(opened.location), None)
    for condition in (Where(folder="/a b"), Where(min_height=20), Where(image=["/a/1.jpg", "/videos/street.mp4"])):
        inside = set(found(opened, condition))
        assert found(opened, condition, 7) == [one for one in everyone if one in inside][:7]


def test_paths_are_made_absolute(gallery: Gallery, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    assert len(found(gallery, Where(folder="a b"))) == len(found(gallery, Where(folder=Path("a b/")))) == 5 * PEOPLE
    assert len(found(gallery, Where(image="a/../a/1.jpg"))) == PEOPLE
    assert len(found(gallery, Where(folder="/"))) == len(gallery)
    assert len(found(gallery, Where())) == len(gallery)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"start": 5, "end": 4}, "before its start"),
        ({"start": -1}, "0 or more"),
        ({"start": float("nan")}, "a number"),
        ({"min_score": 1.5}, "0..1"),
        ({"min_height": "80"}, "a number"),
        ({"folder": []}, "empty list"),
        ({"image": ""}, "is empty"),
        ({"folder": 3}, "path or text"),
        ({"folder": b"x"}, "path or text"),
    ],
)
def test_wrong_conditions_are_errors(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(QueryError, match=message):
        Where(**arguments)  # type: ignore[arg-type]


def test_other_values_are_no_conditions() -> None:
    with pytest.raises(QueryError, match=r"where must be Where\("):
        SearchOptions(where={"folder": "x"})  # type: ignore[arg-type]


def test_one_hit_for_each_picture(opened: Gallery) -> None:
    (plain,) = search([opened], context_rows(rows(7)[:1]), SearchOptions(1000))
    first = list(dict.fromkeys(hit.image for hit in plain.hits()))
    (grouped,) = search([opened], context_rows(rows(7)[:1]), SearchOptions(20, group_by="image"))
    assert [hit.image for hit in grouped.hits()] == first[:20]
    assert [hit.rank for hit in grouped.hits()] == list(range(1, 21))
    assert grouped.hits()[0].box == plain.hits()[0].box


def test_several_galleries_are_one_ranking(gallery: Gallery, tmp_path: Path) -> None:
    other = Gallery.create_or_open(tmp_path / "other.lance", KEY)
    other.add([person_frame("/other/1.jpg", 7), person_frame("/a/0.jpg", 0)])
    (result,) = search([gallery, other], context_rows(rows(7)[:1]), SearchOptions(1000))
    assert len(result.hits()) == len(gallery) + len(other)
    assert {hit.gallery for hit in result.hits()} == {gallery.location, other.location}
    assert [hit.gallery for hit in result.hits()][:2] == [gallery.location, other.location]  # both have the query: ties by order
    similarities = [hit.similarity for hit in result.hits()]
    assert similarities == sorted(similarities, reverse=True)


def test_a_list_of_galleries_is_no_source(gallery: Gallery, tmp_path: Path) -> None:
    searcher = PersonSearcher(RectangleModel())
    first = searcher.index([np.zeros((40, 40, 3), np.uint8)], gallery=tmp_path / "first")
    second = searcher.index([np.zeros((40, 40, 3), np.uint8)], gallery=tmp_path / "second")
    expected = [first.location, second.location]
    for many in ([first, second], [str(tmp_path / "first"), tmp_path / "second", second], (first, tmp_path / "second")):
        assert [one.location for one in searcher.open_galleries(many)] == expected
    with pytest.raises(GalleryModelError, match="was made by m"):
        searcher.search(np.full((60, 20, 3), 200, np.uint8), [first, gallery])

"""Queries: what the detector sees in a picture without a box, people by number, frames of videos, and values that are refused."""

import base64
import io
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from personsearch import Detections, PersonSearcher, Query, QueryWarning, images
from personsearch.boxes import Array
from personsearch.errors import BoxError, ConfigError, ImageError, ImagesError, PersonSearchError, QueryError
from personsearch.hits import Detection, Hit
from personsearch.query import doubt_of
from personsearch.render import views
from tests.helpers.fakes import BLUE, GREEN, RED, RectangleModel, scene
from tests.helpers.pictures import write_video

PEOPLE = ((RED, 10, 10, 60), (GREEN, 100, 20, 50), (BLUE, 150, 20, 40))  # best score first; 5 % of the scene at most


def filled(colour: tuple[int, int, int]) -> Array:
    """One person who fills the picture."""
    return np.full((60, 20, 3), colour, np.uint8)


def seen(*boxes: tuple[float, float, float, float]) -> Detections:
    return Detections(np.array(boxes, np.float32).reshape(-1, 4), np.linspace(0.9, 0.5, len(boxes)), np.zeros((len(boxes), 2)))


@pytest.fixture
def searcher() -> PersonSearcher:
    return PersonSearcher(RectangleModel())


@pytest.fixture
def street(tmp_path: Path) -> Path:
    """A video of 1 s: red alone until .5 s, then green and blue."""
    early, late = scene((RED, 10, 10, 60)), scene((GREEN, 100, 20, 50), (BLUE, 150, 20, 40))
    write_video(tmp_path / "street.avi", [early] * 5 + [late] * 5)
    return tmp_path / "street.avi"


# -- a picture without a box


def test_a_whole_scene_as_the_query_warns_with_numbered_people(searcher: PersonSearcher) -> None:
    """It was searched as if it were one person, and the hits looked like an answer."""
    with pytest.warns(QueryWarning, match=r"the largest of 3 people in it covers 5\.0% of the picture") as warned:
        result = searcher.search(scene(*PEOPLE), [scene(*PEOPLE)])
    text = str(warned[0].message)
    assert "1 at (10, 10, 30, 70), score 0.60; 2 at (100, 20, 120, 70), score 0.50; 3 at (150, 20, 170, 60), score 0.40" in text
    assert "Query(image, person=N)" in text
    assert "Query(image, crop=True)" in text
    assert warned[0].filename == __file__
    assert len(result) == 3  # the search goes on


def test_one_person_who_fills_the_picture_is_searched_as_before(searcher: PersonSearcher) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        embedded = searcher.embed_query(filled(RED))
    assert embedded.row.tolist() == searcher.embed(filled(RED))[0].tolist()
    assert embedded.query.box is None


def test_a_crop_that_says_so_is_not_looked_at(searcher: PersonSearcher) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        embedded = searcher.embed_query(Query(scene(*PEOPLE), crop=True))
    assert searcher.model.detected == 0  # type: ignore[attr-defined]
    assert embedded.row.tolist() == searcher.embed(scene(*PEOPLE))[0].tolist()


def test_the_detector_looks_once_and_the_picture_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.fromarray(scene(*PEOPLE)).save(tmp_path / "a.png")
    model, loaded, load = RectangleModel(), [], images.load
    monkeypatch.setattr(images, "load", lambda image: loaded.append(image) or load(image))
    for query in (Query(tmp_path / "a.png"), Query(tmp_path / "a.png", person=2)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", QueryWarning)
            PersonSearcher(model).embed_query(query)
    assert (loaded, model.detected) == ([tmp_path / "a.png"] * 2, 2)


def test_an_embedded_query_warns_once(searcher: PersonSearcher) -> None:
    with pytest.warns(QueryWarning):
        embedded = searcher.embed_query(scene(*PEOPLE))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        searcher.search(embedded, [scene(*PEOPLE)])


@pytest.mark.parametrize(
    ("boxes", "size", "doubtful"),
    [
        ([(0, 0, 40, 50)], (100, 100), False),  # exactly .2 of the picture
        ([(0, 0, 40, 49)], (100, 100), True),
        ([(0, 0, 40, 100), (50, 0, 83, 100)], (100, 100), True),  # more than .8 of the largest
        ([(0, 0, 40, 100), (50, 0, 81, 100)], (100, 100), False),
        ([(50, 0, 83, 100), (0, 0, 40, 100)], (100, 100), True),  # the best score is not the largest
        ([(0, 0, 40, 60), (0, 40, 40, 100)], (100, 100), False),  # two parts of one person
        ([(0, 0, 40, 100), (29, 0, 69, 100)], (100, 100), True),  # 11 of 40 columns in common
        ([(0, 0, 40, 100), (27, 0, 67, 100)], (100, 100), False),  # 13 of 40
        ([(-500, 0, 40, 49)], (100, 100), True),  # only the part inside counts
        ([], (100, 40), False),  # tight crops often have no detection
        ([], (319, 1000), False),
        ([], (320, 400), True),
        ([], (1000, 799), False),
        ([], (1000, 800), True),
    ],
)
def test_the_rule_that_doubts_a_crop(boxes: list[Any], size: tuple[int, int], doubtful: bool) -> None:
    assert (doubt_of("a.jpg", seen(*boxes), *size) is not None) == doubtful


def test_a_crowd_is_listed_in_part(searcher: PersonSearcher) -> None:
    doubt = doubt_of("a.jpg", seen(*[(i, 0, i + 1, 1) for i in range(30)]), 100, 100)
    assert doubt is not None
    assert doubt.message("do this").count(" at (") == 20
    assert doubt.message("do this").endswith("; and 10 more; do this")


# -- people by number


def test_a_person_of_a_scene_by_number(searcher: PersonSearcher) -> None:
    gallery = searcher.index([scene(*PEOPLE)])
    detections = searcher.detect(scene(*PEOPLE))
    assert detections.people == [1, 2, 3]
    for number in detections.people:
        by_number = searcher.search(Query(scene(*PEOPLE), person=number), gallery, rerank="cbgm")
        by_box = searcher.search(Query(scene(*PEOPLE), detections.boxes[number - 1]), gallery, rerank="cbgm")
        assert by_number.hits == by_box.hits
        assert by_number.query.box == by_box.query.box


@pytest.mark.parametrize(("picture", "message"), [(scene(*PEOPLE), "only people 1 to 3 are"), (scene(), "no person is")])
def test_a_number_out_of_range_says_how_many_there_are(searcher: PersonSearcher, picture: Array, message: str) -> None:
    with pytest.raises(QueryError, match=rf"person 4 does not exist, {message} detected \(from score 0.3 on\)"):
        searcher.embed_query(Query(picture, person=4))


@pytest.mark.parametrize(
    "options",
    [
        *({"person": value} for value in (0, -1, 1.5, "2", True, [1])),
        *({"time": value} for value in (-1, float("inf"), float("nan"), "12", True)),
        *({"frame": value} for value in (-1, 1.5, "2")),
        {"crop": "yes"},
        {"box": (1, 2, 30, 40), "person": 1},
        {"box": (1, 2, 30, 40), "crop": True},
        {"person": 1, "crop": True},
    ],
)
def test_wrong_values_of_a_query_are_errors(options: dict[str, Any]) -> None:
    with pytest.raises(QueryError, match="|".join(options)):
        Query("party.jpg", **options)


def test_a_detection_and_a_hit_are_queries(searcher: PersonSearcher, tmp_path: Path) -> None:
    Image.fromarray(scene(*PEOPLE)).save(tmp_path / "a.png")
    detections = searcher.detect(tmp_path / "a.png")
    assert [(one.person, one.box[0]) for one in detections] == [(1, 10), (2, 100), (3, 150)]
    result = searcher.search(detections[1], [tmp_path / "a.png"])
    assert result[0].box == detections[1].box
    assert searcher.search(result[2], [tmp_path / "a.png"])[0].box == result[2].box
    assert searcher.search(detections[-1], [tmp_path / "a.png"])[0].box[0] == 150


def test_detections_keep_their_numbers_when_some_are_taken(searcher: PersonSearcher) -> None:
    some = searcher.detect(scene(*PEOPLE)).take(np.array([2, 0]))
    assert some.people == some.to_dict()["person"] == [3, 1]
    assert [one.person for one in some] == [3, 1]


def test_a_detection_or_hit_without_its_picture_says_what_to_pass(searcher: PersonSearcher) -> None:
    with pytest.raises(QueryError, match="does not hold its picture"):
        searcher.embed_query(Detection(1, (1, 2, 30, 40), 0.9))
    hit = searcher.search(filled(RED), [scene(*PEOPLE)])[0]
    with pytest.raises(QueryError, match=r"not stored; pass them with the box: Query\(pixels, box=hit.box\)"):
        searcher.embed_query(hit)


# -- detect


def test_detect_drops_the_people_that_a_gallery_drops(searcher: PersonSearcher) -> None:
    """Python gave 31 people where the command line gave 4."""
    picture = scene((RED, 10, 10, 60), (GREEN, 100, 20, 25))
    assert len(searcher.detect(picture)) == len(searcher.index([picture])) == 1
    assert len(searcher.detect(picture, min_score=0)) == 2
    assert [len(one) for one in searcher.detect([picture], min_score=0.25)] == [2]
    for value in (-0.1, 1.1, "0.5", float("nan")):
        with pytest.raises(ConfigError, match="min_score"):
            searcher.detect(picture, min_score=value)  # type: ignore[arg-type]


def test_one_bad_picture_of_a_list_does_not_cost_the_others(searcher: PersonSearcher, tmp_path: Path) -> None:
    (tmp_path / "bad.jpg").write_text("not a picture")
    several = [scene(*PEOPLE)] * 9 + [tmp_path / "bad.jpg", scene(), "gone.jpg"]
    with pytest.raises(ImagesError, match="2 of 12 pictures cannot be used") as raised:
        searcher.detect(several)
    assert list(raised.value.unreadable) == [9, 11]
    assert [None if people is None else len(people) for people in raised.value.results] == [*[3] * 9, None, 0, None]
    with pytest.raises(ImagesError, match=r"\[1\] .*bad.jpg") as raised:
        searcher.embed([filled(RED), tmp_path / "bad.jpg"])
    assert raised.value.results[0].shape == (1, 3)
    with pytest.raises(ImagesError, match=r"\[0\] .*bad.jpg.*\n\[2\] gone.jpg"):
        searcher.search([tmp_path / "bad.jpg", filled(RED), "gone.jpg"], [scene()])


# -- videos


@pytest.mark.parametrize(("time", "left"), [(0, 10), (0.4, 10), (0.49, 10), (0.5, 100), (0.95, 100)])
def test_the_frame_that_is_shown_at_a_time(searcher: PersonSearcher, street: Path, time: float, left: int) -> None:
    assert searcher.detect(Query(street, time=time)).boxes[0, 0] == left


def test_a_person_of_a_video_is_a_query(searcher: PersonSearcher, street: Path) -> None:
    gallery = searcher.index(street)
    result = searcher.search(Query(street, time=0.7, person=2), gallery, top_k=5)
    assert {hit.box[0] for hit in result} == {150}
    tile = np.asarray(views.of_query(result.query, (60, 80)))
    assert (tile == BLUE).all(axis=2).mean() > 0.1  # the person, and not a grey tile
    again = searcher.search(result[3], gallery, top_k=5)
    assert {hit.box[0] for hit in again} == {150}
    assert again.to_dict()["query"]["time"] == result[3].time
    people = searcher.detect(Query(street, time=0.7))
    assert searcher.search(people[0], gallery)[0].box[0] == 100
    assert people.draw().size == (200, 120)


def test_a_time_after_the_end_is_an_error(searcher: PersonSearcher, street: Path) -> None:
    with pytest.raises(ImageError, match="no frame at 99 s"):
        searcher.embed_query(Query(street, time=99))


def test_a_time_of_a_picture_is_an_error(searcher: PersonSearcher, tmp_path: Path) -> None:
    Image.fromarray(scene()).save(tmp_path / "a.png")
    with pytest.raises(ImageError, match="leave the time out"):
        searcher.embed_query(Query(tmp_path / "a.png", time=1))
    with pytest.raises(QueryError, match="belong to the path of a video"):
        searcher.embed_query(Query(scene(), time=1))


# -- values that are not pictures


@pytest.mark.parametrize("box", [(10, 10, 13, 70), (10, 10, 30, 13.5), (197, 10, 240, 70), (0.9, 0.4, 0.96, 0.6), (0, 0, 1, 1)])
def test_a_box_too_small_for_a_person_is_an_error(searcher: PersonSearcher, box: tuple[float, ...]) -> None:
    """A box of 0.06 pixels gave hits of .18."""
    with pytest.raises(BoxError, match=r"(too few to recognise a person; pass|looks like fractions .* in pixels; multiply)"):
        searcher.embed_query(Query(scene(*PEOPLE), box))  # type: ignore[arg-type]


def test_fractions_are_shown_in_pixels(searcher: PersonSearcher) -> None:
    for use in (
        lambda: searcher.embed_query(Query(scene(), (0.5, 0.25, 0.75, 1))),
        lambda: searcher.embed(scene(), [(0.5, 0.25, 0.75, 1)]),
    ):
        with pytest.raises(BoxError, match=r"in this picture of 200 x 120 pixels it is \(100, 30, 150, 120\)"):
            use()


def test_a_box_of_four_pixels_is_searched(searcher: PersonSearcher) -> None:
    assert searcher.embed_query(Query(scene(*PEOPLE), (10, 10, 14, 14))).row.tolist() == [1, 0, 0]


def _encoded() -> str:
    return base64.b64encode(bytes(range(256)) * 40).decode()


@pytest.mark.parametrize(
    ("value", "advice"),
    [
        (_encoded, "b64decode"),
        (lambda: f"data:image/jpeg;base64,{_encoded()}", "b64decode"),
        (lambda: np.zeros((3, 60, 40), np.uint8), "transpose"),
        (lambda: np.zeros((2, 60, 40, 3), np.uint8), "list"),
        (lambda: np.zeros((60, 40, 3), np.float32), "uint8"),
        (lambda: "x" * 5000 + ".jpg", "path|name"),
    ],
    ids=["base64", "data", "CHW", "NHWC", "float", "long name"],
)
def test_what_is_not_a_picture_is_refused_in_a_line_with_a_way_out(searcher: PersonSearcher, value: Callable[[], Any], advice: str) -> None:
    """The whole base64 text was the message, and so in the logs."""
    for call in (searcher.detect, searcher.embed, searcher.embed_query, lambda image: searcher.search(image, [scene()])):
        with pytest.raises(PersonSearchError, match=advice) as raised:
            call(value())
        assert len(str(raised.value)) < 500


def test_a_file_object_is_a_picture(searcher: PersonSearcher, tmp_path: Path) -> None:
    Image.fromarray(scene(*PEOPLE)).save(tmp_path / "a.png")
    with open(tmp_path / "a.png", "rb") as file:
        for image in (file, io.BytesIO((tmp_path / "a.png").read_bytes())):
            assert searcher.detect(image).people == [1, 2, 3]
            assert searcher.search(Query(image, person=3), [scene(*PEOPLE)])[0].box[0] == 150


def test_a_video_as_a_query_names_the_time(searcher: PersonSearcher, street: Path) -> None:
    """It was "no picture that can be read, or its start is damaged"."""
    for call in (searcher.detect, searcher.embed_query):
        with pytest.raises(ImageError, match=r"is a video, not a picture; name the moment too: .*time=12.4.*--time 12.4"):
            call(street)


def test_an_address_is_refused_by_name_or_read(searcher: PersonSearcher) -> None:
    """An address was taken for a file in the working folder."""
    for address in ("rtsp://127.0.0.1:9/cam", "ftp://example.com/me.jpg"):
        with pytest.raises(PersonSearchError, match=r"(rtsp|ftp)://") as raised:
            searcher.embed_query(address)
        assert "rtsp:/1" not in str(raised.value)


def test_hits_and_queries_of_pictures_name_no_time() -> None:
    hit = Hit(rank=1, image="a.jpg", frame=0, time=None, box=(1, 2, 30, 40), score=0.9, similarity=0.8, ranked_by=0.72)
    assert hit.query == Query("a.jpg", (1, 2, 30, 40))

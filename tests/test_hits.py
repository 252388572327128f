"""The query's box, the fields of a hit, and its pixels."""

from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from personsearch import PersonSearcher
from personsearch.calibration import Calibration
from personsearch.errors import BoxError, ImageError, QueryError
from personsearch.hits import SMALL, Detection, Hit, Query
from tests.helpers.fakes import BLUE, RED, RectangleModel, scene
from tests.helpers.pictures import write_video


@pytest.mark.parametrize(
    "box",
    [(10, 10, 30.5, 70), [10, 10, 30.5, 70], np.array([10, 10, 30.5, 70], np.float32), tuple(np.array([10, 10, 30.5, 70], np.float32))],
    ids=["tuple", "list", "array", "tuple of NumPy numbers"],
)
def test_a_query_box_is_four_python_floats(box: Any) -> None:
    query = Query("party.jpg", box)
    assert query == Query("party.jpg", (10, 10, 30.5, 70))
    assert isinstance(query.box, tuple)
    assert {type(value) for value in query.box} == {float}


@pytest.mark.parametrize("box", [(), (1, 2, 3), np.zeros((2, 4)), np.zeros((0, 4)), "1,2,3,4", 7, [[1, 2, 3, 4]]])
def test_a_query_box_that_is_not_four_numbers_is_an_error(box: Any) -> None:
    with pytest.raises(BoxError, match="four numbers"):
        Query("party.jpg", box)


def test_a_query_without_a_box_is_a_crop() -> None:
    assert Query("me.jpg").box is None


def test_queries_and_hits_cannot_be_changed() -> None:
    hit = Hit(rank=1, image="a.jpg", frame=0, time=None, box=(1, 2, 3, 4), score=0.9, similarity=0.8, ranked_by=0.72)
    for value, field in ((hit, "rank"), (Query("me.jpg"), "box")):
        with pytest.raises(FrozenInstanceError):
            setattr(value, field, 2)


def made(**values: object) -> Hit:
    facts = {"rank": 1, "image": "a.jpg", "frame": 0, "time": None, "box": (1, 2, 3, 4), "score": 0.9, "similarity": 0.8, "ranked_by": 0.7}
    return Hit(**(facts | values))  # type: ignore[arg-type]


@pytest.mark.parametrize(("threshold", "is_match"), [(0.8, True), (0.81, False), (None, None)])
def test_a_hit_matches_from_the_threshold_on(threshold: float | None, is_match: bool | None) -> None:
    assert made(threshold=threshold).is_match is is_match


def test_the_threshold_is_about_the_similarity_not_the_order() -> None:
    assert made(similarity=0.5, ranked_by=0.9, threshold=0.6).is_match is False


def test_a_hit_of_few_pixels_is_small() -> None:
    assert made(box=(10, 10, 40, 10 + SMALL - 0.5)).is_small
    assert not made(box=(10, 10, 20, 10 + SMALL)).is_small


def test_a_hit_has_the_pixels_of_its_person_and_scene(tmp_path: Path) -> None:
    Image.fromarray(scene((RED, 10, 10, 60))).save(tmp_path / "a.png")
    hit = made(image=str(tmp_path / "a.png"), box=(10.4, 10.4, 29.6, 69.6))
    assert hit.crop().size == (20, 60)
    assert np.array_equal(np.asarray(hit.crop()), np.full((60, 20, 3), RED))
    assert np.array_equal(np.asarray(hit.scene()), scene((RED, 10, 10, 60)))
    assert made(image=hit.image, box=(10, 10, 30, 70)).crop(margin=0.5).size == (40, 100)  # 10 above, as the picture ends there
    with pytest.raises(QueryError, match="margin"):
        hit.crop(margin=-1)


def test_a_hit_of_a_video_has_the_pixels_of_its_frame(tmp_path: Path) -> None:
    write_video(tmp_path / "a.avi", [scene((RED, 10, 10, 60))] * 3 + [scene((BLUE, 10, 10, 60))] * 3)
    gallery = PersonSearcher(RectangleModel()).index(tmp_path / "a.avi", gallery=tmp_path / "g.lance")
    result = PersonSearcher(RectangleModel()).search(np.full((60, 20, 3), BLUE, np.uint8), gallery, top_k=1)
    pixel = np.asarray(result[0].crop())[30, 10].astype(int)
    assert (result[0].frame >= 3, pixel[2] - pixel[0] > 60) == (True, True)


def test_hits_in_arrays_have_pixels_as_long_as_the_arrays_live() -> None:
    pictures = [scene((RED, 10, 10, 60)), scene((BLUE, 50, 10, 60))]
    searcher = PersonSearcher(RectangleModel())
    (hit,) = searcher.search(np.full((60, 20, 3), BLUE, np.uint8), pictures, top_k=1)
    assert np.asarray(hit.crop())[0, 0].tolist() == list(BLUE)
    assert searcher.search(hit, pictures, top_k=1)[0].box == hit.box
    pictures[1][:] = 0
    with pytest.raises(ImageError, match="not stored"):
        hit.crop()  # the caller has changed it
    pictures.clear()
    with pytest.raises(ImageError, match="not stored"):
        hit.scene()


def test_a_hit_whose_picture_is_gone_says_so(tmp_path: Path) -> None:
    hit = made(image=str(tmp_path / "gone.png"))
    for pixels in (hit.crop, hit.scene):
        with pytest.raises(ImageError, match=r"gone\.png"):
            pixels()
    Image.fromarray(scene()).save(tmp_path / "gone.png")
    with pytest.raises(BoxError):
        made(image=hit.image, box=(500, 500, 600, 600)).crop()


def test_the_row_of_a_hit_removes_its_person(tmp_path: Path) -> None:
    picture = scene((RED, 10, 10, 60), (BLUE, 50, 10, 50))
    searcher = PersonSearcher(RectangleModel())
    gallery = searcher.index([picture], gallery=tmp_path / "g.lance")
    hit = searcher.search(np.full((60, 20, 3), BLUE, np.uint8), gallery)[0]
    assert hit.row == 1
    gallery.remove_person(hit.image, hit.row, hit.frame)
    assert [one.box[0] for one in searcher.search(np.full((60, 20, 3), BLUE, np.uint8), gallery)] == [10]


def test_a_search_says_which_hits_match() -> None:
    calibration = Calibration(min_similarity=0.9, false_match_rate=0.01, miss_rate=0.1, data="rectangles")
    picture = scene((RED, 10, 10, 60), (BLUE, 50, 10, 50))
    result = PersonSearcher(RectangleModel(), calibration=calibration).search(np.full((60, 20, 3), BLUE, np.uint8), [picture])
    assert ([hit.is_match for hit in result], result.threshold) == ([True, False], 0.9)
    plain = PersonSearcher(RectangleModel()).search(np.full((60, 20, 3), BLUE, np.uint8), [picture])
    assert ([hit.is_match for hit in plain], plain.threshold) == ([None, None], None)


def test_a_detection_has_pixels() -> None:
    picture = scene((RED, 10, 10, 60))
    (person,) = PersonSearcher(RectangleModel()).detect(picture)
    assert np.asarray(person.crop()).shape == (60, 20, 3)
    assert np.array_equal(np.asarray(person.scene()), picture)
    with pytest.raises(QueryError, match="does not hold its picture"):
        Detection(1, person.box, 0.9).crop()

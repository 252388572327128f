"""Values of results and queries, for every type that a caller may pass; tables, files, crops and notebooks."""

import csv
import io
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from personsearch import Detections, Hit, PersonSearcher, Query, SearchResult
from personsearch.errors import ImagesError, MissingExtraError, ShapeError
from personsearch.render import plain_stem
from personsearch.render.files import crop_name
from tests.helpers.fakes import BLUE, GREEN, RED, RectangleModel, scene


def test_a_search_by_a_detected_box_can_be_written(tmp_path: Path) -> None:
    """The row of an array made `to_json` and `save_html` fail."""
    Image.fromarray(scene((RED, 10, 10, 60), (GREEN, 100, 20, 50))).save(tmp_path / "a.png")
    searcher = PersonSearcher(RectangleModel())
    box = searcher.detect(tmp_path / "a.png").boxes[0]
    result = searcher.search(Query(tmp_path / "a.png", box), [tmp_path / "a.png"])
    assert json.loads(result.to_json())["query"]["box"] == [10, 10, 30, 70]
    result.save_html(tmp_path / "hits.html")
    assert "box 10, 10, 30, 70" in (tmp_path / "hits.html").read_text()


def test_a_result_shows_its_hits_in_one_line(tmp_path: Path) -> None:
    searcher = PersonSearcher(RectangleModel())
    result = searcher.search(np.full((60, 20, 3), RED, np.uint8), [scene((RED, 10, 10, 60))])
    assert repr(result) == f"SearchResult(1 hits, best 1.000 in {result[0].image}, engine='exact')"
    assert repr(searcher.search(np.full((60, 20, 3), RED, np.uint8), [scene()])) == "SearchResult(0 hits, engine='exact')"
    assert repr(searcher) == "PersonSearcher('rectangles', RectangleModel, 3 dimensions)"


def test_a_slice_of_a_result_is_a_tuple_of_hits() -> None:
    picture = scene((RED, 10, 10, 60), (GREEN, 100, 20, 50))
    result = PersonSearcher(RectangleModel()).search(np.full((60, 20, 3), RED, np.uint8), [picture])
    first: tuple[Hit, ...] = result[:1]
    assert first == (result[0],)


def hit(image: str = "a.jpg", rank: int = 1, **values: object) -> Hit:
    facts = {"frame": 0, "time": None, "box": (1.0, 2.0, 31.0, 102.5), "score": 0.9, "similarity": 0.8, "ranked_by": 0.8, "row": 0}
    return Hit(rank=rank, image=image, **(facts | values))  # type: ignore[arg-type]


def result(*hits: Hit) -> SearchResult:
    return SearchResult(hits, Query("q.jpg"), threshold=None if not hits else hits[0].threshold)


def test_the_json_says_which_hits_match_and_which_are_small() -> None:
    made = result(hit(threshold=0.7), hit(rank=2, similarity=0.6, threshold=0.7, box=(0, 0, 10, 20)))
    facts = json.loads(made.to_json())
    assert facts["threshold"] == 0.7
    assert [(one["is_match"], one["is_small"], one["row"]) for one in facts["hits"]] == [(True, False, 0), (False, True, 0)]
    assert json.loads(result(hit()).to_json())["hits"][0]["is_match"] is None


def test_json_has_no_nan() -> None:
    made = result(hit(similarity=float("nan"), ranked_by=float("inf"), time=float("nan")))
    text = made.to_json()
    assert (json.loads(text)["hits"][0]["similarity"], "NaN" in text, "Infinity" in text) == (None, False, False)
    json.dumps(made.to_coco(), allow_nan=False)


def test_csv_by_hand(tmp_path: Path) -> None:
    made = result(hit(threshold=0.7), hit("street.mp4", 2, frame=50, time=2.0, start=1.5, end=2.5, similarity=0.5, ranked_by=0.5))
    text = made.to_csv(tmp_path / "new" / "hits.csv")
    assert text.splitlines() == [
        "rank,image,frame,row,time,start,end,x1,y1,x2,y2,score,similarity,ranked_by,is_match,is_small",
        "1,a.jpg,0,0,,,,1.0,2.0,31.0,102.5,0.9,0.8,0.8,True,False",
        "2,street.mp4,50,0,2.0,1.5,2.5,1.0,2.0,31.0,102.5,0.9,0.5,0.5,,False",
    ]
    assert (tmp_path / "new" / "hits.csv").read_text() == text == made.to_csv()


@pytest.mark.parametrize("name", ["=1+1.jpg", "+1.jpg", "-1.jpg", "@SUM(A1).jpg", "\t=1.jpg"])
def test_no_name_is_a_formula_in_a_spreadsheet(name: str) -> None:
    (row,) = csv.DictReader(io.StringIO(result(hit(name)).to_csv(), newline=""))
    assert row["image"] == f"'{name}"


@pytest.mark.parametrize("name", ['a,"b".jpg', "two\nlines.jpg", "\r=1.jpg", "ж.jpg", "half\udc80.jpg", "=\ud800.jpg"])
def test_odd_names_can_be_written(tmp_path: Path, name: str) -> None:
    made = result(hit(name))
    made.to_csv(tmp_path / "a.csv")
    (row,) = csv.DictReader(io.StringIO((tmp_path / "a.csv").read_bytes().decode(), newline=""))
    assert row["image"].endswith(".jpg")
    made.to_json(tmp_path / "a.json")
    assert json.loads((tmp_path / "a.json").read_text())["hits"][0]["image"] == name
    assert "<img" in made._repr_html_()


def test_a_data_frame_has_the_same_columns_without_hits() -> None:
    empty, one = result().to_pandas(), result(hit(threshold=0.7), hit("b.mp4", 2, time=1.0)).to_pandas()
    assert list(empty.columns) == list(one.columns) == next(csv.reader([result().to_csv()]))
    assert (len(empty), len(one)) == (0, 2)
    assert (empty.dtypes == one.dtypes).all()
    assert one["time"].isna().tolist() == [True, False]
    assert one["is_match"].to_list()[0] is True


def test_without_pandas_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingExtraError, match=r"personsearch\[pandas\]"):
        result().to_pandas()


def test_coco_by_hand(tmp_path: Path) -> None:
    Image.fromarray(scene()).save(tmp_path / "a.png")
    path = str(tmp_path / "a.png")
    made = result(hit(path), hit(path, 2, row=1), hit("gone.mp4", 3, frame=50, time=2.0)).to_coco(tmp_path / "coco.json")
    assert made["images"] == [
        {"id": 1, "file_name": path, "width": 200, "height": 120},
        {"id": 2, "file_name": "gone.mp4", "width": None, "height": None, "frame": 50, "time": 2.0},
    ]
    assert made["categories"] == [{"id": 1, "name": "person"}]
    assert [(one["id"], one["image_id"], one["category_id"], one["row"]) for one in made["annotations"]] == [
        (1, 1, 1, 0),
        (2, 1, 1, 1),
        (3, 2, 1, 0),
    ]
    assert (made["annotations"][0]["bbox"], made["annotations"][0]["area"]) == ([1.0, 2.0, 30.0, 100.5], 3015.0)
    assert json.loads((tmp_path / "coco.json").read_text()) == made
    assert result().to_coco() == {"images": [], "annotations": [], "categories": [{"id": 1, "name": "person"}]}


def test_crops_are_written_by_rank(tmp_path: Path) -> None:
    Image.fromarray(scene((RED, 10, 10, 60))).save(tmp_path / "a b=.png")
    found = PersonSearcher(RectangleModel()).search(np.full((60, 20, 3), RED, np.uint8), [tmp_path / "a b=.png"])
    (path,) = found.save_crops(tmp_path / "new" / "crops")
    assert path == tmp_path / "new" / "crops" / "0001_a_b.png"
    assert np.array_equal(np.asarray(Image.open(path)), np.full((60, 20, 3), RED))
    assert result().save_crops(tmp_path / "empty") == []
    assert (tmp_path / "empty").is_dir()


@pytest.mark.parametrize(
    ("image", "stem"),
    [
        ("/a/b c=.png", "b_c"),
        ("/a/..\\..\\evil.png", "evil"),
        ("/a/\x1b[2J\n.png", "2J"),
        ("/a/...", ""),
        ("v" * 300 + ".mp4", "v" * 80),
        ("人" * 80 + ".mp4", "人" * 66),  # 80 letters of three bytes and a frame number were too long for a file's name
        ("\udcff.png", ""),
    ],
)
def test_a_pictures_name_becomes_a_plain_one(image: str, stem: str) -> None:
    assert plain_stem(image) == stem


def test_the_other_crops_are_written_if_a_picture_is_gone(tmp_path: Path) -> None:
    Image.fromarray(scene((RED, 10, 10, 60))).save(tmp_path / "a.png")
    with pytest.raises(ImagesError, match="1 of 2 crops") as caught:
        result(hit("../gone.png"), hit(str(tmp_path / "a.png"), 2, box=(10, 10, 30, 70))).save_crops(tmp_path / "crops")
    assert list((tmp_path / "crops").iterdir()) == [tmp_path / "crops" / "0002_a.png"] == caught.value.results[1:]


@pytest.mark.parametrize("name", ["../../x.jpg", "/etc/passwd", "..", "a\\..\\b.jpg", "x" * 300 + ".jpg", "\udc80.jpg", "con:.jpg"])
def test_names_of_crops_stay_in_the_folder(name: str) -> None:
    made = crop_name(hit(name))
    assert Path(made).name == made
    assert len(made) < 120
    assert made.encode().isascii()


def test_detections_are_indexed_and_filtered() -> None:
    picture = scene((RED, 10, 10, 60), (GREEN, 100, 20, 50), (BLUE, 150, 20, 40))
    people = PersonSearcher(RectangleModel()).detect(picture)
    assert [one.person for one in people] == [1, 2, 3]
    assert (people[0].score, people[-1].person, people[np.int64(1)].person) == (pytest.approx(0.6), 3, 2)
    for index, numbers in (
        (slice(1, None), [2, 3]),
        (people.scores < 0.55, [2, 3]),
        ([2, 0], [3, 1]),
        ([True, False, False], [1]),
        ([], []),
    ):
        part = people[index]
        assert isinstance(part, Detections)
        assert (part.people, part.image is picture, part.embeddings.shape[1]) == (numbers, True, 3)
    with pytest.raises(IndexError):
        people[3]
    with pytest.raises(ShapeError, match="mask"):
        people[np.array([True])]
    with pytest.raises(TypeError):
        people["1"]


def test_detections_go_to_supervision_and_back() -> None:
    picture = scene((RED, 10, 10, 60), (GREEN, 100, 20, 50), (BLUE, 150, 20, 40))
    people = PersonSearcher(RectangleModel()).detect(picture)
    theirs = people.to_supervision()
    assert (len(theirs), theirs.data["class_name"].tolist(), theirs.class_id.tolist()) == (3, ["person"] * 3, [0, 0, 0])
    back = Detections.from_supervision(theirs[theirs.confidence < 0.55], image=picture)
    assert (back.people, back.boxes.tolist()) == ([2, 3], people.boxes[1:].tolist())
    assert np.array_equal(back.embeddings, people.embeddings[1:])
    assert back[0].query == people[1].query
    empty = people[:0].to_supervision()
    assert (len(empty), len(Detections.from_supervision(empty))) == (0, 0)


def test_people_of_another_detector_need_embeddings() -> None:
    import supervision as sv

    picture = scene((RED, 10, 10, 60), (GREEN, 100, 20, 50))
    theirs = sv.Detections(np.array([[100, 20, 120, 70], [10, 10, 30, 70]], float), confidence=np.array([0.4, 0.7]))
    with pytest.raises(ShapeError, match="embeddings=searcher"):
        Detections.from_supervision(theirs)
    rows = PersonSearcher(RectangleModel()).embed(picture, theirs.xyxy)
    people = Detections.from_supervision(theirs, embeddings=rows, image=picture)
    assert (people.people, people[0].box) == ([1, 2], (10, 10, 30, 70))
    assert np.array_equal(people.embeddings, rows[::-1])


def test_without_supervision_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "supervision", None)
    with pytest.raises(MissingExtraError, match=r"personsearch\[supervision\]"):
        PersonSearcher(RectangleModel()).detect(scene()).to_supervision()


def test_results_and_detections_show_themselves_in_a_notebook() -> None:
    picture = scene((RED, 10, 10, 60))
    searcher = PersonSearcher(RectangleModel())
    people = searcher.detect(picture)
    assert "data:image/jpeg" in people._repr_html_()
    assert "<td>10</td>" in Detections(people.boxes, people.scores, people.embeddings)._repr_html_()
    assert repr(people) == "Detections(1 people, scores 0.60 to 0.60)"
    assert repr(people[:0]) == "Detections(0 people)"
    for pictures in ([picture], [scene()]):
        assert "data:image/jpeg" in searcher.search(people[0], pictures)._repr_html_()
    html = result(hit("<script>.jpg"))._repr_html_()
    assert "<script>" not in html
    assert "&lt;script&gt;" in html
    many = result(*(hit(rank=rank) for rank in range(1, 31)))._repr_html_()
    assert "the first 20" in many


def test_galleries_and_searchers_show_themselves_in_a_notebook(tmp_path: Path) -> None:
    searcher = PersonSearcher(RectangleModel())
    assert "not calibrated" in searcher._repr_html_()
    gallery = searcher.index([scene((RED, 10, 10, 60))], gallery=tmp_path / "<b>.lance")
    html = gallery._repr_html_()
    assert "<th>people</th><td>1</td>" in html
    assert "&lt;b&gt;.lance" in html
    gallery.delete()
    assert "cannot be read" in gallery._repr_html_()

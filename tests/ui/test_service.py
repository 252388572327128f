"""The routes as an app uses them: JSON in and out."""

import io
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from personsearch import PersonSearcher
from personsearch.hits import SMALL
from personsearch.ui.routes.export import content_of
from tests.helpers.fakes import GREEN, RED, YELLOW, RectangleModel, scene
from tests.helpers.pictures import encode
from tests.ui.conftest import PINK, THRESHOLD, index

RED_PERSON = "1.0.0.0"  # gallery 1, a.png, the best score


def scenes(client: TestClient) -> list[dict[str, Any]]:
    return client.get("/galleries/1").json()["scenes"]


def test_a_folder_is_indexed_and_listed(client: TestClient, opened: dict[str, Any]) -> None:
    assert (opened["state"], opened["people"], opened["images"]) == ("ready", 8, 4)
    lines = scenes(client)
    assert [(Path(line["image"]).name, line["frame"], line["people"]) for line in lines] == [
        *(("a.png", 0, 2), ("b.png", 0, 2), ("empty.png", 0, 0)),
        *(("z.avi", frame, 1) for frame in range(4)),
    ]
    assert [line["time"] for line in lines] == [None, None, None, 0.0, 0.1, 0.2, 0.3]


def test_scenes_come_in_parts(client: TestClient, opened: dict[str, Any]) -> None:
    part = client.get("/galleries/1", params={"start": 5, "count": 10}).json()
    assert (len(part["scenes"]), part["start"], part["total"]) == (2, 5, 7)


def test_a_scene_has_its_people_and_neighbours(client: TestClient, opened: dict[str, Any]) -> None:
    value = client.get(f"/scenes/{scenes(client)[1]['scene']}").json()
    assert [person["box"] for person in value["people"]] == [[40, 10, 60, 90], [120, 20, 140, 70]]
    assert (value["width"], value["height"], value["error"], value["video"]) == (200, 120, "", False)
    assert (value["previous"], value["next"]) == ("1.0.0", "1.2.0")


def test_a_click_finds_the_person_elsewhere(client: TestClient, opened: dict[str, Any]) -> None:
    value = client.get("/hits", params={"shot": RED_PERSON}).json()
    hits = value["hits"]
    assert [Path(hit["image"]).name for hit in hits[:5]] == ["z.avi"] * 4 + ["b.png"]
    assert [hit["is_match"] for hit in hits] == [True] * 5 + [False] * 2
    assert hits[4]["similarity"] == pytest.approx(100 / np.hypot(100, 20), abs=1e-3)
    assert value["threshold"] == THRESHOLD
    assert RED_PERSON not in [hit["person"] for hit in hits]  # the shot itself


def test_a_hit_is_the_next_shot(client: TestClient, opened: dict[str, Any]) -> None:
    pink = client.get("/hits", params={"shot": RED_PERSON}).json()["hits"][4]["person"]
    hits = client.get("/hits", params={"shot": pink}).json()["hits"]
    assert hits[0]["person"] == RED_PERSON


def test_two_shots_are_one_query(client: TestClient, opened: dict[str, Any]) -> None:
    value = client.get("/hits", params={"shot": [RED_PERSON, "1.0.0.1"]}).json()
    assert [shot["shot"] for shot in value["shots"]] == [RED_PERSON, "1.0.0.1"]
    assert not {RED_PERSON, "1.0.0.1"} & {hit["person"] for hit in value["hits"]}
    assert value["hits"][0]["similarity"] < 0.9  # between red and green


def test_who_is_not_the_person_leaves_the_hits(client: TestClient, opened: dict[str, Any]) -> None:
    before = client.get("/hits", params={"shot": RED_PERSON}).json()["hits"]
    pink = before[4]["person"]
    value = client.get("/hits", params={"shot": RED_PERSON, "not": pink}).json()
    assert [hit["person"] for hit in value["hits"][:4]] == [hit["person"] for hit in before[:4]]  # red, unlike pink
    assert pink not in [hit["person"] for hit in value["hits"]]
    assert [shot["shot"] for shot in value["negatives"]] == [pink]


def test_a_picture_cannot_be_and_not_be_the_person(client: TestClient, opened: dict[str, Any]) -> None:
    answer = client.get("/hits", params={"shot": RED_PERSON, "not": RED_PERSON})
    assert (answer.status_code, "negative" in answer.json()["error"]) == (422, True)


def test_several_galleries_are_searched_at_once(client: TestClient, opened: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    Image.fromarray(scene((RED, 50, 10, 90))).save(tmp_path / "more" / "c.png")
    assert index(client, tmp_path / "more")["gallery"] == 2
    value = client.get("/hits", params={"shot": RED_PERSON, "gallery": [1, 2]}).json()
    assert [gallery["gallery"] for gallery in value["galleries"]] == [1, 2]
    assert {hit["person"] for hit in value["hits"][:5]} == {"2.0.0.0", *(f"1.3.{frame}.0" for frame in range(4))}
    alone = client.get("/hits", params={"shot": RED_PERSON, "gallery": 2}).json()
    assert [hit["person"] for hit in alone["hits"]] == ["2.0.0.0"]


def test_a_search_can_be_limited(client: TestClient, opened: dict[str, Any]) -> None:
    late = client.get("/hits", params={"shot": RED_PERSON, "start": 0.15, "end": 0.25}).json()
    assert [hit["person"] for hit in late["hits"]] == ["1.3.2.0"]
    tall = client.get("/hits", params={"shot": RED_PERSON, "min_height": 70}).json()
    assert [Path(hit["image"]).name for hit in tall["hits"]] == ["b.png"]
    assert client.get("/hits", params={"shot": RED_PERSON, "start": 2, "end": 1}).status_code == 422


@pytest.mark.parametrize("rerank", ["k-reciprocal", "query-expansion"])
def test_other_ways_to_rerank(client: TestClient, opened: dict[str, Any], rerank: str) -> None:
    value = client.get("/hits", params={"shot": RED_PERSON, "rerank": rerank}).json()
    assert value["rerank"] == rerank
    assert Path(value["hits"][0]["image"]).name == "z.avi"


def test_the_page_did_not_say_by_which_rule_it_ranks(client: TestClient, opened: dict[str, Any]) -> None:
    """The rule of the model's paper, unless the parameter of the same name as everywhere chooses the other."""
    value = client.get("/hits", params={"shot": RED_PERSON}).json()
    assert (value["ranked_by"], value["confidence_weighted"]) == ("cosine", False)
    assert all(hit["ranked_by"] == hit["similarity"] for hit in value["hits"])
    value = client.get("/hits", params={"shot": RED_PERSON, "confidence_weighted": True}).json()
    assert (value["ranked_by"], value["confidence_weighted"]) == ("cosine x score", True)
    assert [hit["ranked_by"] for hit in value["hits"]] == pytest.approx(
        [hit["similarity"] * hit["score"] for hit in value["hits"]], abs=1e-3
    )
    page = client.get("/hits", params={"shot": RED_PERSON, "confidence_weighted": True}, headers={"Accept": "text/html"}).text
    assert '<option value="true" selected>similarity times detection score</option>' in page


def test_a_model_that_ranks_by_its_score_does_so_on_the_page(
    client: TestClient, opened: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RectangleModel, "confidence_weighted", True, raising=False)
    value = client.get("/hits", params={"shot": RED_PERSON}).json()
    assert (value["ranked_by"], value["confidence_weighted"]) == ("cosine x score", True)
    page = client.get("/hits", params={"shot": RED_PERSON}, headers={"Accept": "text/html"}).text
    assert '<option value="true" selected>' in page
    value = client.get("/hits", params={"shot": RED_PERSON, "confidence_weighted": False}).json()
    assert (value["ranked_by"], value["confidence_weighted"]) == ("cosine", False)


def test_a_sent_crop_is_searched_for(client: TestClient, opened: dict[str, Any]) -> None:
    sent = client.post("/pictures", content=encode(np.full((60, 20, 3), GREEN, np.uint8), "PNG"))
    assert sent.status_code == 201
    assert sent.json()["doubt"] == ""
    hits = client.get("/hits", params={"shot": sent.json()["picture"], "gallery": 1}).json()["hits"]
    assert hits[0]["person"] == "1.0.0.1"


def test_a_sent_scene_names_its_people(client: TestClient, opened: dict[str, Any]) -> None:
    sent = client.post("/pictures", content=encode(scene((YELLOW, 10, 10, 60), (GREEN, 100, 20, 40)), "PNG")).json()
    assert "of the picture" in sent["doubt"]
    assert [person["number"] for person in sent["people"]] == [1, 2]
    hits = client.get("/hits", params={"shot": sent["people"][1]["person"], "gallery": 1}).json()["hits"]
    assert hits[0]["person"] == "1.0.0.1"


def test_cbgm_takes_the_people_around(client: TestClient, opened: dict[str, Any]) -> None:
    value = client.get("/hits", params={"shot": RED_PERSON, "rerank": "cbgm"}).json()
    assert value["rerank"] == "cbgm"
    assert value["hits"]


def test_cbgm_of_a_crop_is_refused(client: TestClient, opened: dict[str, Any]) -> None:
    sent = client.post("/pictures", content=encode(np.full((60, 20, 3), RED, np.uint8), "PNG")).json()
    answer = client.get("/hits", params={"shot": sent["picture"], "gallery": 1, "rerank": "cbgm"})
    assert answer.status_code == 422
    assert "CBGM" in answer.json()["error"]


def test_matches_only_may_be_none(client: TestClient, opened: dict[str, Any]) -> None:
    value = client.get("/hits", params={"shot": "1.0.0.1", "matches": True}).json()
    assert value["hits"] == []


def test_pictures_are_jpegs_of_the_right_size(client: TestClient, opened: dict[str, Any]) -> None:
    sizes = {
        "/scenes/1.0.0/picture": (200, 120),
        "/scenes/1.0.0/picture?size=small": (200, 120),  # never enlarged
        f"/people/{RED_PERSON}/picture": (240, 320),
        "/scenes/1.3.2/picture": (200, 120),
    }
    for address, size in sizes.items():
        answer = client.get(address)
        assert answer.headers["content-type"] == "image/jpeg"
        assert Image.open(io.BytesIO(answer.content)).size == size


def test_a_person_is_shown_in_their_frame(client: TestClient, opened: dict[str, Any]) -> None:
    """Frame 2 has the person at 30 to 50."""
    pixels = np.array(Image.open(io.BytesIO(client.get("/scenes/1.3.2/picture").content)))
    assert pixels[40, 40, 0] > 200
    assert pixels[40, 15, 0] < 150


def test_a_video_is_sent_in_parts(client: TestClient, opened: dict[str, Any], photos: Path) -> None:
    content = (photos / "z.avi").read_bytes()
    answer = client.get("/scenes/1.3.2/video", headers={"Range": "bytes=10-19"})
    assert (answer.status_code, answer.content) == (206, content[10:20])
    assert client.get("/scenes/1.0.0/video").status_code == 422  # a picture


def test_a_picture_that_is_gone_is_said(client: TestClient, opened: dict[str, Any], photos: Path) -> None:
    (photos / "a.png").unlink()
    value = client.get("/scenes/1.0.0").json()
    assert "a.png" in value["error"]
    assert len(value["people"]) == 2
    assert client.get("/scenes/1.0.0/picture").status_code == 422
    assert client.get("/hits", params={"shot": RED_PERSON}).json()["hits"]  # embeddings are in the gallery


def test_a_changed_picture_is_read_again(client: TestClient, opened: dict[str, Any], photos: Path) -> None:
    before = client.get("/scenes/1.0.0/picture").content
    Image.fromarray(scene((PINK, 90, 10, 90))).save(photos / "a.png")
    assert client.get("/scenes/1.0.0/picture").content != before


def test_indexing_again_keeps_the_numbers(client: TestClient, opened: dict[str, Any], photos: Path) -> None:
    Image.fromarray(scene((RED, 10, 10, 60))).save(photos / "0.png")  # first by name
    assert client.post("/galleries/1/index").status_code == 202
    assert index(client, photos)["people"] == 9
    assert [line["scene"] for line in scenes(client)][:2] == ["1.4.0", "1.0.0"]


def test_damaged_pictures_are_listed(client: TestClient, photos: Path) -> None:
    (photos / "bad.jpg").write_bytes(b"no picture")
    value = index(client, photos)
    assert list(value["not_looked"]) == [str(photos / "bad.jpg")]
    hits = client.get("/hits", params={"shot": RED_PERSON}).json()
    assert list(hits["not_looked"]) == [str(photos / "bad.jpg")]


def test_a_folder_without_pictures_fails(client: TestClient, tmp_path: Path) -> None:
    (tmp_path / "nothing").mkdir()
    value = index(client, tmp_path / "nothing")
    assert value["state"] == "failed"
    assert "nothing" in value["error"]
    assert client.get("/galleries/1").json()["scenes"] == []


def test_folders_and_videos_can_be_chosen(client: TestClient, photos: Path) -> None:
    (photos / ".hidden").mkdir()
    (photos / "more").mkdir()
    value = client.get("/folders", params={"path": str(photos)}).json()
    assert [(entry["name"], entry["is_folder"]) for entry in value["entries"]] == [("more", True), ("z.avi", False)]
    assert (value["pictures"], value["parent"]) == (3, str(photos.parent))


@pytest.mark.parametrize("source", ["", "https://example.org/a.jpg", "s3://bucket/x", "/no/such/folder", "a\0b"])
def test_a_source_that_is_not_here_is_refused(client: TestClient, source: str) -> None:
    assert client.post("/galleries", data={"source": source}).status_code == 422


@pytest.mark.parametrize(
    ("address", "status"),
    [
        *(("/galleries/7", 404), ("/scenes/7.0.0", 404), ("/scenes/1.99.0", 404), ("/people/1.0.0.9/picture", 404)),
        *(("/scenes/..%2f..%2fetc%2fpasswd", 404), ("/scenes/passwd", 422), ("/people/1.0.0/picture", 422), ("/hits?shot=1.0.0", 422)),
        *(("/hits", 422), ("/hits?shot=1.0.0.0&top_k=100000", 422), ("/hits?shot=u" + "0" * 32 + "&gallery=1", 404), ("/nothing", 404)),
        *(("/galleries/x", 422), ("/pictures/1.0.0.0", 422), ("/scenes/1.0.0/picture?size=9", 422), ("/scenes/1.0.9999999999", 422)),
    ],
)
def test_wrong_addresses_are_errors_as_json(client: TestClient, opened: dict[str, Any], address: str, status: int) -> None:
    answer = client.get(address)
    assert answer.status_code == status
    assert answer.json()["error"]


def test_a_closed_gallery_is_forgotten(client: TestClient, opened: dict[str, Any]) -> None:
    assert client.delete("/galleries/1").status_code == 204
    assert client.get("/galleries").json()["galleries"] == []
    assert client.get("/scenes/1.0.0/picture").status_code == 404


def test_the_description_names_every_route(client: TestClient) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    assert {"/hits", "/galleries", "/galleries/{number}", "/scenes/{key}", "/pictures", "/people/{key}/picture"} <= set(paths)
    assert {parameter["name"] for parameter in paths["/hits"]["get"]["parameters"]} >= {"shot", "not", "top_k", "rerank"}


def test_a_stretch_of_a_video_is_one_hit(client: TestClient, opened: dict[str, Any]) -> None:
    hits = client.get("/hits", params={"shot": RED_PERSON, "group": "spell"}).json()["hits"]
    assert [Path(hit["image"]).name for hit in hits] == ["z.avi", "b.png", "a.png", "b.png"]
    assert (hits[0]["start"], hits[0]["end"]) == (0.0, pytest.approx(0.3))
    assert hits[1]["start"] is None


def test_small_people_are_said_to_be_small(client: TestClient, opened: dict[str, Any]) -> None:
    hits = client.get("/hits", params={"shot": RED_PERSON}).json()["hits"]
    small = {hit["box"][3] - hit["box"][1]: hit["is_small"] for hit in hits}
    assert small == {height: height < SMALL for height in (40, 50, 60, 80)}
    assert set(small.values()) == {True, False}


def test_hits_can_be_exported(client: TestClient, opened: dict[str, Any]) -> None:
    search = {"shot": RED_PERSON, "top_k": 5}
    table = client.get("/export/csv", params=search)
    assert table.headers["content-disposition"] == 'attachment; filename="hits.csv"'
    assert len(table.text.splitlines()) == 6
    assert len(client.get("/export/json", params=search).json()["hits"]) == 5
    assert len(client.get("/export/coco", params=search).json()["annotations"]) == 5
    assert "<!doctype html>" in client.get("/export/html", params=search).text
    with zipfile.ZipFile(io.BytesIO(client.get("/export/crops", params=search).content)) as archive:
        assert archive.namelist() == ["hits.csv", *(f"00{i + 1}_z_{i}.png" for i in range(4)), "005_b_0.png"]
        assert Image.open(io.BytesIO(archive.read("005_b_0.png"))).size == (20, 80)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such names")
def test_a_pictures_name_leads_out_of_no_folder_in_the_zip(tmp_path: Path) -> None:
    """A file named "x\\..\\..\\y.png" gave an entry that leads two folders up where the ZIP file is unpacked on Windows."""
    Image.fromarray(scene((RED, 10, 10, 60))).save(tmp_path / "x\\..\\..\\y.png")
    result = PersonSearcher(RectangleModel()).search(np.full((60, 20, 3), RED, np.uint8), tmp_path)
    with zipfile.ZipFile(io.BytesIO(content_of(result, "crops"))) as archive:
        assert archive.namelist() == ["hits.csv", "001_x_.._.._y_0.png"]


def test_an_export_leaves_out_pictures_that_are_gone(client: TestClient, opened: dict[str, Any], photos: Path) -> None:
    (photos / "b.png").unlink()
    content = client.get("/export/crops", params={"shot": RED_PERSON, "top_k": 5}).content
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert "005_b_0.png" not in archive.namelist()
        assert "b.png" in archive.read("hits.csv").decode()


def test_an_unknown_export_is_refused(client: TestClient, opened: dict[str, Any]) -> None:
    assert client.get("/export/exe", params={"shot": RED_PERSON}).status_code == 422

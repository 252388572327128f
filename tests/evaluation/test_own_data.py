"""Own data measured and models compared, on coloured rectangles, so that every number follows from the scenes."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from personsearch.boxes import Array
from personsearch.cli import app as cli
from personsearch.datasets import own
from personsearch.errors import ConfigError, DataError
from personsearch.evaluation import at_boxes_of, compare_models, evaluate_dataset, paired_bootstrap, read
from personsearch.evaluation.compare import _names
from personsearch.evaluation.pictures import embedding_map, plane_of
from personsearch.searcher import PersonSearcher
from personsearch.training.measure import load_test_set, scores_of_test_set
from tests.helpers.fakes import BLUE, RED, RectangleModel, scene

# Red and blue in three pictures each; the last one has red alone
PICTURES = {
    "a.png": scene((RED, 10, 10, 80), (BLUE, 60, 10, 60)),
    "b.png": scene((RED, 30, 20, 70), (BLUE, 100, 10, 60)),
    "c.png": scene((RED, 90, 5, 90)),
}
PEOPLE: dict[str, list[tuple[list[int], int]]] = {
    "a.png": [([10, 10, 20, 80], 7), ([60, 10, 20, 60], 8)],
    "b.png": [([30, 20, 20, 70], 7), ([100, 10, 20, 60], 8)],
    "c.png": [([90, 5, 20, 90], 7)],
}


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERSONSEARCH_HOME", str(tmp_path / "home"))


def write_coco(root: Path, cameras: dict[str, int] | None = None) -> Path:
    root.mkdir()
    images, annotations = [], []
    for number, (name, picture) in enumerate(PICTURES.items()):
        Image.fromarray(picture).save(root / name)
        images.append({"id": number, "file_name": name, "width": 200, "height": 120} | ({"camera": cameras[name]} if cameras else {}))
        annotations += [{"image_id": number, "category_id": 1, "bbox": box, "person_id": person} for box, person in PEOPLE[name]]
    content = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "person"}]}
    (root / "annotations.json").write_text(json.dumps(content))
    return root


def write_yolo(root: Path, *, identities: bool = True) -> Path:
    for folder in ("images", "labels"):
        (root / folder).mkdir(parents=True)
    for name, picture in PICTURES.items():
        Image.fromarray(picture).save(root / "images" / name)
        lines = [
            f"0 {(x + w / 2) / 200} {(y + h / 2) / 120} {w / 200} {h / 120}" + (f" {person}" if identities else "")
            for (x, y, w, h), person in PEOPLE[name]
        ]
        (root / "labels" / name).with_suffix(".txt").write_text("\n".join(lines))
    return root


class ColourBlind(RectangleModel):
    """Embeds everybody the same, so that scores or order decide."""

    name = "colour-blind"
    fingerprint = "c" * 64

    def _rows(self, image: Array, boxes: Array) -> Array:
        return np.tile(np.array([[1, 0, 0]], np.float32), (len(boxes), 1))


class Blind(RectangleModel):
    """Detects no one."""

    name = "blind"
    fingerprint = "b" * 64

    def _detect(self, image: Array) -> Any:
        return super()._detect(image).take(np.zeros(0, np.int64))


@pytest.mark.parametrize("dataset", ["coco", "yolo"])
def test_every_person_of_two_pictures_is_a_query(dataset: Any, tmp_path: Path) -> None:
    root = write_coco(tmp_path / "data") if dataset == "coco" else write_yolo(tmp_path / "data")
    measured = evaluate_dataset(PersonSearcher(RectangleModel()), dataset, root)
    assert [(row["gallery"], row["mAP"], row["top1"], row["queries"]) for row in measured["search"]] == [("regular", 1.0, 1.0, 5)]
    assert measured["detection"]["all"] == {"recall": 1.0, "ap": 1.0}
    # Of equal cosines each right hit of a red query has the wrong ones above it too
    blind = evaluate_dataset(PersonSearcher(ColourBlind()), dataset, root)
    assert 0 < blind["search"][0]["mAP"] < 0.7


@pytest.mark.parametrize(
    ("cameras", "expected"),
    [
        ({"a.png": 1, "b.png": 1, "c.png": 2}, [("regular", 1.0, 5), ("multi-view", 1.0, 3)]),
        ({"a.png": 1, "b.png": 1, "c.png": 1}, [("regular", 1.0, 5)]),
    ],
)
def test_people_of_one_camera_were_counted_as_not_found_in_others(cameras: Any, expected: Any, tmp_path: Path) -> None:
    """Blue is in pictures of the first camera alone: no query of the multi-view gallery, whose mAP it halved."""
    measured = evaluate_dataset(PersonSearcher(RectangleModel()), "coco", write_coco(tmp_path / "data", cameras) / "annotations.json")
    assert [(row["gallery"], row["mAP"], row["queries"]) for row in measured["search"]] == expected


def test_pictures_of_unknown_camera_have_no_multi_view_gallery(tmp_path: Path) -> None:
    """A person of camera 1 and of a picture without a camera may have been seen by one camera alone."""
    data = own.load_test("coco", write_coco(tmp_path / "data", {"a.png": 1, "b.png": 1, "c.png": 2}) / "annotations.json")
    assert len(own.across_cameras(data).queries) == 3
    unknown = tuple(replace(picture, camera=None) if picture.path.name == "c.png" else picture for picture in data.gallery)
    assert own.across_cameras(replace(data, gallery=unknown)).queries == ()


def test_data_in_which_nobody_can_be_searched_for(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"5 people in 3 pictures, 0 with an identity.*sixth number"):
        own.load_test("yolo", write_yolo(tmp_path / "data", identities=False))


def test_a_score_in_the_sixth_place_is_no_identity(tmp_path: Path) -> None:
    root = write_yolo(tmp_path / "data")
    (root / "labels" / "a.txt").write_text("0 0.5 0.5 0.1 0.2 0.93")
    with pytest.raises(DataError, match=r"class x y width height \[identity\]"):
        own.load_test("yolo", root)


def test_no_two_models_have_pictures_of_one_name() -> None:
    """Two of "nae" were numbered, and the second's pictures replaced those of a model called "nae-2"."""
    assert _names(["nae", "nae", "nae-2"]) == ["nae 1", "nae 2", "nae-2 3"]
    assert _names(["a/b", "a b"]) == ["a/b 1", "a b 2"]
    assert _names(["NAE", "nae"]) == ["NAE 1", "nae 2"]  # one file where case does not count
    assert _names(["nae", "nae-2"]) == ["nae", "nae-2"]


def test_a_model_compared_with_itself_and_with_a_worse_one(tmp_path: Path) -> None:
    root = write_coco(tmp_path / "data")
    models = [PersonSearcher(one()) for one in (RectangleModel, RectangleModel, ColourBlind)]
    compared = compare_models(models, "coco", root, timed=2, pictures=tmp_path / "pictures")
    assert [one["model"] for one in compared["models"]] == ["rectangles 1", "rectangles 2", "colour-blind 3"]
    same, worse = compared["differences"]
    assert same["mAP"] == same["top1"] == {"difference": 0.0, "low": 0.0, "high": 0.0}
    assert worse["mAP"]["low"] <= worse["mAP"]["difference"] < 0
    assert worse["mAP"]["high"] <= 0
    assert (worse["model"], worse["minus"]) == ("colour-blind 3", "rectangles 1")
    assert all(one["seconds_per_image"] > 0 for one in compared["models"])
    assert "per_query" not in compared["models"][0]["search"][0]
    names = sorted(path.name for path in (tmp_path / "pictures").iterdir())
    assert names == [
        "colour-blind-3_embeddings.png",
        "colour-blind-3_ranks.png",
        "galleries.png",
        "recall.png",
        *(f"rectangles-{number}_{what}.png" for number in (1, 2) for what in ("embeddings", "ranks")),
    ]
    with pytest.raises(ConfigError, match="at least two models"):
        compare_models(models[:1], "coco", root)


def test_embeddings_at_the_boxes_of_another_model(tmp_path: Path) -> None:
    root = write_coco(tmp_path / "data")
    blind, seeing = PersonSearcher(Blind()), PersonSearcher(RectangleModel())
    assert evaluate_dataset(blind, "coco", root)["search"][0]["mAP"] == 0
    assert evaluate_dataset(at_boxes_of(blind, seeing), "coco", root)["search"][0]["mAP"] == 1
    compared = compare_models([seeing, PersonSearcher(ColourBlind())], "coco", root, boxes_of=blind, timed=0)
    assert [one["detection"]["all"]["recall"] for one in compared["models"]] == [0, 0]


def test_the_bootstrap_is_paired() -> None:
    """Two models that differ by a tenth at every query differ surely, however much queries differ among themselves."""
    first = np.linspace(0, 0.9, 50)
    assert paired_bootstrap(first, first + 0.1) == pytest.approx((0.1, 0.1, 0.1))
    difference, low, high = paired_bootstrap(first, first[::-1])
    assert difference == pytest.approx(0)
    assert low < -0.05 < 0.05 < high
    assert paired_bootstrap(np.zeros(0), np.zeros(0)) == (0, 0, 0)


def test_a_ranked_list_frames_right_and_wrong(tmp_path: Path) -> None:
    root = write_coco(tmp_path / "data")
    evaluate_dataset(PersonSearcher(ColourBlind()), "coco", root, pictures=tmp_path / "pictures")
    colours = {colour for _, colour in Image.open(tmp_path / "pictures" / "colour-blind_ranks.png").getcolors(1 << 20) or []}
    assert {(40, 150, 60), (205, 50, 40), (31, 98, 172)} <= colours


def test_the_map_keeps_distances_in_a_plane() -> None:
    rng = np.random.default_rng(0)
    plane, axes = rng.normal(size=(20, 2)), np.linalg.qr(rng.normal(size=(8, 2)))[0]
    points = plane_of(plane @ axes.T)
    distances = [np.linalg.norm(one[:, None] - one, axis=2) for one in (plane, points)]
    np.testing.assert_allclose(*distances, atol=1e-9)
    assert embedding_map(np.zeros((0, 8), np.float32), np.zeros(0, np.int64)).size == (900, 520)


def test_a_training_is_measured_on_the_test_part_of_a_data_set(tmp_path: Path) -> None:
    data = load_test_set("coco", write_coco(tmp_path / "data"))
    measured = scores_of_test_set(RectangleModel(), data)
    assert (measured["mAP"], measured["top1"], measured["queries"], measured["recall"]) == (1.0, 1.0, 5, 1.0)
    assert scores_of_test_set(ColourBlind(), data, true_boxes=True)["mAP"] < 0.7
    with pytest.raises(ConfigError, match="unknown test data 'market'"):
        load_test_set("market", tmp_path)


def test_comparing_on_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = {"one": RectangleModel, "two": ColourBlind}
    for module in ("compare", "evaluate"):
        monkeypatch.setattr(f"personsearch.cli.{module}.open_searcher", lambda name, *_: PersonSearcher(made[name]()))
    data = ["--dataset", "coco", "--root", str(write_coco(tmp_path / "data"))]
    compared = json.loads(CliRunner().invoke(cli.app, ["compare", "one", "two", *data]).stdout)
    assert [one["model"] for one in compared["models"]] == ["rectangles", "colour-blind"]
    measured = json.loads(CliRunner().invoke(cli.app, ["evaluate", *data, "--model", "two", "--boxes-of", "one"]).stdout)
    assert measured["model"] == "rectangles with colour-blind"


def test_a_coco_file_without_detections_says_how_to_measure(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="measure a model on it with --dataset coco --root"):
        read(write_coco(tmp_path / "data") / "annotations.json")

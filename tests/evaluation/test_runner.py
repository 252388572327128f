"""Whole data sets measured with a model of coloured rectangles, so that every number follows from the scenes."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from personsearch import models
from personsearch.cli import app as cli
from personsearch.datasets import prw
from personsearch.datasets.people import SearchSet
from personsearch.errors import ConfigError, DataError
from personsearch.evaluation import UNLABELLED, curves, evaluate_dataset
from personsearch.evaluation.features import make_features, to_arrays
from personsearch.evaluation.runner import table
from personsearch.ranking import CBGM
from personsearch.searcher import PersonSearcher
from tests.helpers.dataset_folders import write_cuhk_sysu, write_posetrack21, write_prw
from tests.helpers.fakes import GREY, RED, RectangleModel


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERSONSEARCH_HOME", str(tmp_path / "home"))


def search_rows(measured: dict) -> list[tuple]:
    return [(row["gallery"], row["cbgm"], row["mAP"], row["top1"], row["queries"]) for row in measured["search"]]


def test_prw_regular_and_multi_view(tmp_path: Path) -> None:
    measured = evaluate_dataset(PersonSearcher(RectangleModel()), "prw", write_prw(tmp_path / "prw"))
    assert search_rows(measured) == [("regular", None, 1.0, 1.0, 2), ("labelled", None, 1.0, 1.0, 2), ("multi-view", None, 1.0, 1.0, 2)]
    assert measured["detection"]["all"] == {"recall": 1.0, "ap": 1.0}


def test_a_person_painted_over_lowers_the_mean(tmp_path: Path) -> None:
    root = write_prw(tmp_path / "prw")
    Image.fromarray(np.full((120, 200, 3), GREY, np.uint8)).save(root / "frames" / "c1s3_000020.jpg", format="PNG")
    measured = evaluate_dataset(PersonSearcher(RectangleModel()), "prw", root)
    # Red is expected in two frames and found in one; blue as before: (1/2 + 1) / 2. Camera 2's frames are whole.
    assert [row[2] for row in search_rows(measured)] == [0.75, 0.75, 1.0]
    assert measured["detection"]["all"]["recall"] == pytest.approx(5 / 7)


def test_true_boxes_need_no_detector(tmp_path: Path) -> None:
    model = RectangleModel()
    searcher = PersonSearcher(model)
    measured = evaluate_dataset(searcher, "prw", write_prw(tmp_path / "prw"), true_boxes=True)
    assert measured["detection"]["all"] == {"recall": 1.0, "ap": 1.0}
    assert model.detected == 0
    assert measured["true_boxes"]


def test_cuhk_sysu_sizes_and_cbgm(tmp_path: Path) -> None:
    searcher, root = PersonSearcher(RectangleModel()), write_cuhk_sysu(tmp_path)
    sizes = (50, 100, "full")
    measured = evaluate_dataset(searcher, "cuhk-sysu", root, gallery_sizes=sizes, rerank=CBGM(10, 3), confidence_weighted=True)
    assert [row[:2] for row in search_rows(measured)] == [
        ("50", None), ("50", [10, 3]), ("100", None), ("100", [10, 3]), ("full", None), ("full", [10, 3]),
    ]  # fmt: skip
    assert [row[2] for row in search_rows(measured)][:4] == [1.0] * 4
    # In the full gallery s4 counts as one without the person: red there is wrong, but s3 has the better score.
    assert search_rows(measured)[4][2] == 1.0


def test_posetrack21_with_two_queries_in_one_picture(tmp_path: Path) -> None:
    measured = evaluate_dataset(PersonSearcher(RectangleModel()), "posetrack21", write_posetrack21(tmp_path))
    assert search_rows(measured) == [("regular", None, 1.0, 1.0, 2)]


def test_posetrack21_ignores_false_alarms_in_its_regions(tmp_path: Path) -> None:
    # Red in picture 3 is 60 high. Beside it is a taller red that is not annotated: score 0.95 against 0.9, 0.8, 0.7 and 0.6.
    searcher = PersonSearcher(RectangleModel())
    plain = evaluate_dataset(searcher, "posetrack21", write_posetrack21(tmp_path / "plain", stranger=True))
    assert plain["detection"]["all"] == {"recall": 1.0, "ap": pytest.approx((1 / 2 + 2 / 3 + 3 / 4 + 4 / 5) / 4)}
    assert search_rows(plain) == [("regular", None, 0.75, 0.5, 2)]  # the query's red picture: the stranger first, then the person
    root = write_posetrack21(tmp_path / "marked", stranger=True, region=[(120, 15), (145, 15), (145, 118), (120, 118)])
    marked = evaluate_dataset(searcher, "posetrack21", root)
    assert marked["detection"]["all"] == {"recall": 1.0, "ap": 1.0}
    assert search_rows(marked) == [("regular", None, 1.0, 1.0, 2)]
    bounded = evaluate_dataset(searcher, "posetrack21", root, true_boxes=True)
    assert bounded["detection"]["all"] == {"recall": 1.0, "ap": 1.0}


def test_score_weighting_decides_between_equal_cosines(tmp_path: Path) -> None:
    root = write_cuhk_sysu(tmp_path)
    # s4 now has red higher than s3, so that it comes first where scores count. In the full gallery it is not expected.
    picture = np.full((120, 200, 3), GREY, np.uint8)
    picture[20:115, 100:120] = RED
    Image.fromarray(picture).save(root / "Image" / "SSM" / "s4.jpg", format="PNG")
    searcher = PersonSearcher(RectangleModel())
    weighted = evaluate_dataset(searcher, "cuhk-sysu", root, gallery_sizes=["full"], confidence_weighted=True)
    plain = evaluate_dataset(searcher, "cuhk-sysu", root, gallery_sizes=["full"])
    assert (weighted["search"][0]["top1"], plain["search"][0]["top1"]) == (0.0, 1.0)
    assert (weighted["search"][0]["ranked_by"], plain["search"][0]["ranked_by"]) == ("cosine x score", "cosine")
    searcher.model.confidence_weighted = True  # type: ignore[attr-defined]
    assert evaluate_dataset(searcher, "cuhk-sysu", root, gallery_sizes=["full"]) == weighted


def test_a_second_run_reads_features_from_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root, model = write_prw(tmp_path / "prw"), RectangleModel()
    first = [evaluate_dataset(PersonSearcher(model), "prw", root, true_boxes=one) for one in (False, True)]
    again = RectangleModel()
    monkeypatch.setattr(again, "embed", None)
    assert [evaluate_dataset(PersonSearcher(again), "prw", root, true_boxes=one) for one in (False, True)] == first
    assert again.detected == 0


@pytest.mark.parametrize(("dataset", "write"), [("prw", write_prw), ("cuhk-sysu", write_cuhk_sysu), ("posetrack21", write_posetrack21)])
def test_a_model_without_detections_scores_zero(tmp_path: Path, dataset: str, write: Callable) -> None:
    """It was a ValueError of zip, as the stored features have no person."""
    model: Any = RectangleModel()
    model.detect = lambda prepared, min_score=0.0: [model._detect(image).take(np.zeros(0, np.int64)) for image in prepared]
    searcher, root = PersonSearcher(model), write(tmp_path)
    measured = evaluate_dataset(searcher, dataset, root, rerank=[CBGM(10, 3)])
    assert measured["detection"]["all"] == {"recall": 0.0, "ap": 0.0}
    assert {row["mAP"] for row in measured["search"]} == {row["top10"] for row in measured["search"]} == {0.0}
    bound = evaluate_dataset(searcher, dataset, root, true_boxes=True)
    assert bound["detection"]["all"] == {"recall": 1.0, "ap": 1.0}
    assert {row["mAP"] for row in bound["search"]} == {1.0}


def test_boxes_are_embedded_again_where_the_annotation_changed(tmp_path: Path) -> None:
    data = prw.load_test(write_prw(tmp_path / "prw"))
    searcher = PersonSearcher(RectangleModel())
    before = make_features(searcher, data, min_score=0.0, true_boxes=True)
    cut = SearchSet((type(data.gallery[0])(data.gallery[0].path, data.gallery[0].boxes[:1], data.gallery[0].identities[:1]),), ())
    after = make_features(searcher, SearchSet(cut.gallery + data.gallery[1:], ()), min_score=0.0, true_boxes=True)
    path = data.gallery[0].path
    assert (len(before.detections[path]), len(after.detections[path])) == (2, 1)


def test_arrays_have_unlabelled_people_and_context(tmp_path: Path) -> None:
    data = prw.load_test(write_prw(tmp_path / "prw"))
    features = make_features(PersonSearcher(RectangleModel()), data, min_score=0.0)
    arrays = to_arrays(data, features, context_min_score=0.3)
    assert arrays.scenes[1].ids.tolist() == [3, UNLABELLED]
    context = arrays.queries[0].context
    assert context is not None
    assert context.scores.tolist() == pytest.approx([1.0, 0.8])  # the query, and blue beside it


def test_an_empty_data_set() -> None:
    empty = SearchSet((), ())
    features = make_features(PersonSearcher(RectangleModel()), empty, min_score=0.0, true_boxes=True)
    arrays = to_arrays(empty, features, context_min_score=0.0)
    assert (arrays.scenes, arrays.queries) == ((), ())


def test_missing_and_broken_pictures(tmp_path: Path) -> None:
    root, searcher = write_prw(tmp_path / "prw"), PersonSearcher(RectangleModel())
    frame = root / "frames" / "c2s3_000040.jpg"
    frame.write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"c2s3_000040.jpg cannot be read"):
        evaluate_dataset(searcher, "prw", root)
    frame.unlink()
    with pytest.raises(DataError, match=r"names .*c2s3_000040.jpg, which does not exist"):
        evaluate_dataset(searcher, "prw", root)


def test_options_that_do_not_fit(tmp_path: Path) -> None:
    searcher = PersonSearcher(RectangleModel())
    with pytest.raises(ConfigError, match="dataset must be one of prw, cuhk-sysu, posetrack21, coco, yolo, got 'market'"):
        evaluate_dataset(searcher, "market", tmp_path)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="gallery_sizes is empty"):
        evaluate_dataset(searcher, "cuhk-sysu", tmp_path, gallery_sizes=())


ROW = {"ranked_by": "cosine", "gallery": "50", "cbgm": None, "mAP": 0.5, "top1": 0.25, "top5": 1.0, "top10": 1.0, "queries": 4}
MEASURED = {"dataset": "cuhk-sysu", "model": "m", "detection": {"all": {"recall": 0.5, "ap": 0.25}}, "search": [ROW]}


def test_table_in_percent() -> None:
    assert table(MEASURED).splitlines() == [
        "gallery     CBGM        mAP  top-1  top-5  top-10",
        "50          -         50.00  25.00 100.00  100.00",
        "ranked by cosine",
        "detection: recall 50.00, AP 25.00",
    ]


def test_curve_has_its_points_where_the_numbers_are() -> None:
    picture = curves.draw({**MEASURED, "search": [ROW, {**ROW, "gallery": "100", "mAP": 1.0}]})
    assert picture.getpixel((270, 265)) == curves.COLOURS[0]  # 50: half of the width's first half, half of the height
    assert picture.getpixel((670, 70)) == curves.COLOURS[0]
    with pytest.raises(ConfigError, match="--curve must end with"):
        curves.check_name(Path("curve.pdf"))


def test_a_legend_of_many_settings_stays_in_the_picture() -> None:
    """From the fourth setting on it ran out at the right, and the sixth had the colour of the first."""
    pairs = [None, *([k1, k2] for k1 in (10, 20, 30, 40, 50) for k2 in (2, 3, 4, 5, 6))]
    rows = [{**ROW, "cbgm": pair, "mAP": 0.03 * number, "top1": 1.0} for number, pair in enumerate(pairs)]
    picture = curves.draw({**MEASURED, "search": rows})
    lower = picture.height - curves.SIZE[1]
    assert (picture.width, lower % curves.LINE) == (curves.SIZE[0], 0)
    assert lower > 0
    pixels = np.asarray(picture)
    assert (pixels[:, curves.RIGHT + 1 :] == 255).all()
    dots = [picture.getpixel((470, lower + 460 - round(390 * 0.03 * place))) for place in range(len(pairs))]
    assert dots[:2] == list(curves.COLOURS[:2])
    assert len(set(dots)) == len(pairs)
    legend = {tuple(pixel) for pixel in pixels[curves.LEGEND : curves.TOP + lower - 10].reshape(-1, 3).tolist()}
    assert set(dots) <= legend
    assert curves.draw({**MEASURED, "search": []}).size == curves.SIZE


def test_the_command_measures_a_data_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(models.ARCHITECTURES, "rectangles", "tests.helpers.fakes")
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text('{"architecture": "rectangles", "min_score": 0.3}')
    root = write_cuhk_sysu(tmp_path / "cuhk")
    arguments = ["evaluate", "--dataset", "cuhk-sysu", "--root", str(root), "--model", str(tmp_path / "model"), "--gallery-size", "50"]
    arguments += ["--gallery-size", "full", "--cbgm", "10,3", "--cbgm-variant", "authors", "--curve", str(tmp_path / "curve.png")]
    result = CliRunner().invoke(cli.app, arguments)
    assert result.exit_code == 0, result.output
    rows = json.loads(result.stdout)["search"]
    assert [row["gallery"] for row in rows] == ["50", "50", "full", "full"]
    assert [(row["cbgm"], row["cbgm_variant"]) for row in rows[:2]] == [(None, None), ([10, 3], "authors")]
    assert "top-10" in result.stderr
    assert Image.open(tmp_path / "curve.png").size == curves.SIZE


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("file.json",),
        ("--dataset", "prw"),
        ("file.json", "--dataset", "prw", "--root", "."),
        ("file.json", "--protocol", "prw", "--root", "."),
        ("file.json", "--protocol", "prw", "--cbgm", "1,2", "--cbgm", "1,3"),
        ("file.json", "--protocol", "prw", "--cbgm", "0,2"),
        ("file.json", "--protocol", "prw", "--cbgm-variant", "authors"),
        ("--dataset", "prw", "--root", ".", "--cross-camera"),
        ("--dataset", "prw", "--root", ".", "--gallery-size", "50"),
        ("--dataset", "posetrack21", "--root", ".", "--gallery-size", "full"),
        ("--dataset", "cuhk-sysu", "--root", ".", "--gallery-size", "big"),
        ("--dataset", "prw", "--root", ".", "--curve", "x.pdf"),
    ],
)
def test_command_options_that_exclude_each_other(arguments: tuple[str, ...]) -> None:
    result = CliRunner().invoke(cli.app, ["evaluate", *arguments])
    assert isinstance(result.exception, ConfigError)

"""Evaluations of nothing, or next to nothing, by hand."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from personsearch.errors import ConfigError, DataError
from personsearch.evaluation import EvaluationData, EvaluationQuery, Scene, evaluate, evaluate_file
from personsearch.ranking import CBGM, Context
from personsearch.results import Detections

HERE = [10.0, 10.0, 60.0, 110.0]
NOTHING = {"mAP": 0.0, "top1": 0.0, "top5": 0.0, "top10": 0.0, "queries": 0}
NONE_FOUND = {"recall": 0.0, "ap": 0.0}


def image(name: str, *detections: tuple[list[float], list[float]], ids: tuple[int, ...] = ()) -> dict[str, Any]:
    """A picture whose people are all at HERE, with detections (box, embedding) of score 0.9."""
    return {
        "name": name,
        "boxes": [HERE for _ in ids],
        "ids": list(ids),
        "detections": [[*box, 0.9] for box, _ in detections],
        "embeddings": [row for _, row in detections],
    }


def query(**more: Any) -> dict[str, Any]:
    return {"image": "query.jpg", "box": HERE, "id": 7, "embedding": [1, 0], **more}


def measure(folder: Path, images: list[dict[str, Any]], queries: list[dict[str, Any]], **options: Any) -> dict[str, Any]:
    file = folder / "results.json"
    file.write_text(json.dumps({"images": images, "queries": queries}))
    measured: dict[str, Any] = evaluate_file(file, **{"protocol": "prw"} | options)
    return measured


SEEN = image("a.jpg", (HERE, [1, 0]), ids=(7,))
UNSEEN = image("b.jpg", ids=(7,))  # without detections


@pytest.mark.parametrize("rerank", [None, "cbgm", CBGM(variant="authors")])
def test_an_image_without_detections(tmp_path: Path, rerank: Any) -> None:
    """It crashed on `embeddings: []`. Anna is in two pictures and found in one: precision 1 times recall 1/2."""
    context = {"context_detections": [[*HERE, 1.0]], "context_embeddings": [[1, 0]]}
    measured = measure(tmp_path, [SEEN, UNSEEN], [query(**context)], rerank=rerank)
    assert measured["search"] == {"mAP": 0.5, "top1": 1.0, "top5": 1.0, "top10": 1.0, "queries": 1}
    assert measured["detection"]["all"] == {"recall": 0.5, "ap": 0.5}


@pytest.mark.parametrize("rerank", [None, "cbgm", CBGM(variant="authors")])
def test_only_images_without_detections(tmp_path: Path, rerank: Any) -> None:
    context = {"context_detections": [[*HERE, 1.0]], "context_embeddings": [[1, 0]]}
    measured = measure(tmp_path, [UNSEEN], [query(**context)], rerank=rerank)
    assert measured["search"] == NOTHING | {"queries": 1}
    assert measured["detection"]["all"] == NONE_FOUND


@pytest.mark.parametrize("rerank", [None, "cbgm"])
@pytest.mark.parametrize("protocol", ["prw", "cuhk-sysu"])
def test_an_empty_gallery(tmp_path: Path, protocol: str, rerank: Any) -> None:
    context = {"context_detections": [[*HERE, 1.0]], "context_embeddings": [[1, 0]]}
    measured = measure(tmp_path, [], [query(cuhk_gallery=[], **context)], protocol=protocol, rerank=rerank)
    assert measured["search"] == NOTHING | {"queries": 1}
    assert measured["detection"] == {"all": NONE_FOUND, "labelled_only": NONE_FOUND}


def test_nothing_at_all(tmp_path: Path) -> None:
    assert measure(tmp_path, [], [])["search"] == NOTHING


def test_one_image_without_queries(tmp_path: Path) -> None:
    measured = measure(tmp_path, [SEEN], [])
    assert measured["search"] == NOTHING
    assert measured["detection"]["labelled_only"] == {"recall": 1.0, "ap": 1.0}


def test_the_query_in_its_own_picture_only(tmp_path: Path) -> None:
    """Its picture is left out, so no hit is expected, and the gallery is empty."""
    assert measure(tmp_path, [SEEN], [query(image="a.jpg")])["search"] == NOTHING | {"queries": 1}


def test_an_image_without_people(tmp_path: Path) -> None:
    """A false alarm with the query's embedding ranks beside the person: both share rank 1 by row, so the person is second."""
    alarm = image("0.jpg", (HERE, [1, 0]))
    measured = measure(tmp_path, [alarm, SEEN], [query()])
    assert measured["search"] == {"mAP": 0.5, "top1": 0.0, "top5": 1.0, "top10": 1.0, "queries": 1}


def test_embeddings_of_any_length_keep_their_direction(tmp_path: Path) -> None:
    far = image("a.jpg", (HERE, [1e308, 1e308]), ids=(7,))
    other = image("b.jpg", (HERE, [0.0, 0.0]))
    assert measure(tmp_path, [far, other], [query(embedding=[1e-3, 1e-3])])["search"]["mAP"] == 1.0


@pytest.mark.parametrize("field", [{"id": 10**400}, {"box": [0, 0, 10**400, 5]}, {"box": [0, 0, 1e300, 5]}, {"embedding": [10**400, 1]}])
def test_numbers_out_of_range_are_errors(tmp_path: Path, field: dict[str, Any]) -> None:
    with pytest.raises(DataError, match=rf"queries\[0\]\.{next(iter(field))}"):
        measure(tmp_path, [SEEN], [query(**field)])


def test_a_context_of_another_length_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="must begin with the query's own embedding"):
        measure(tmp_path, [SEEN], [query(context_detections=[[*HERE, 1.0]], context_embeddings=[[1, 0, 0]])])


@pytest.mark.parametrize("path", ["a\0b", "a" * 5000, 7])
def test_a_path_that_cannot_be_a_file_is_an_error(path: Any) -> None:
    with pytest.raises(DataError):
        evaluate_file(path, protocol="prw")


def test_arrays_of_a_scene_without_detections_need_no_dimension() -> None:
    empty = Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros((0, 0), np.float32))
    scene = Scene("a.jpg", None, np.array([HERE], np.float32), np.array([7]), empty)
    asked = EvaluationQuery("q.jpg", None, 7, np.array([1, 0], np.float32), Context(np.eye(1, 2, dtype=np.float32), np.ones(1, np.float32)))
    assert evaluate(EvaluationData((scene,), (asked,)), protocol="prw", rerank="cbgm")["search"]["mAP"] == 0.0


def test_a_threshold_of_text_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="min_score must be a number"):
        measure(tmp_path, [SEEN], [], min_score="0.5")

"""GFN's scene scores in an evaluation, worked out by hand."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from personsearch.boxes import Array
from personsearch.errors import ConfigError, DataError
from personsearch.evaluation import EvaluationData, EvaluationQuery, Scene, evaluate, evaluate_dataset
from personsearch.evaluation.search import SceneScores
from personsearch.ranking import GFN, SceneFilter
from personsearch.results import Detections
from personsearch.searcher import PersonSearcher
from tests.helpers.fakes import BLUE, GREY, RED, RectangleModel
from tests.helpers.fakes import scene as drawn

BOX = np.array([[0, 0, 40, 80]], np.float32)
QUERY = np.array([1, 0], np.float32)


class Compare:
    """Scores a scene by the first number of its embedding."""

    def scores(self, person: Array, person_scene: Array, scenes: Array) -> Array:
        scored: Array = scenes[:, 0]
        return scored


def scene(name: str, identity: int, cosine: float, score: float | None) -> Scene:
    row = np.array([[cosine, (1 - cosine**2) ** 0.5]], np.float32)
    embedding = None if score is None else np.array([score, 0], np.float32)
    return Scene(name, None, BOX, np.array([identity]), Detections(BOX, np.ones(1, np.float32), row), None, embedding)


def measured(stranger: float | None, **options: Any) -> dict[str, Any]:
    """The person has cosine 0.8 in a scene of score 0.7, a stranger 0.9 in a scene of score `stranger`."""
    query = EvaluationQuery("q", None, 7, QUERY, scene_embedding=np.array([1, 0], np.float32))
    data = EvaluationData((scene("a", 7, 0.8, 0.7), scene("b", 8, 0.9, stranger)), (query,))
    scenes = SceneScores(Compare(), options.pop("gfn", GFN()))  # type: ignore[arg-type]
    return evaluate(data, protocol="prw", scenes=scenes, **options)


def test_scene_scores_multiply_the_cosine() -> None:
    assert measured(0.6)["search"]["top1"] == 1  # 0.56 against 0.54
    assert measured(0.65)["search"]["top1"] == 0  # against 0.585
    assert measured(0.65)["ranked_by"] == "cosine x scene score"


def test_a_scene_below_the_threshold_is_left_out() -> None:
    assert measured(0.65, gfn=GFN(0.66))["search"]["top1"] == 1
    without = measured(0.65, gfn=GFN(0.71))["search"]
    assert (without["mAP"], without["top1"]) == (0, 0)


def test_scenes_without_embeddings_are_an_error() -> None:
    with pytest.raises(DataError, match="no embedding of the whole scene"):
        measured(None)
    with pytest.raises(ConfigError, match="choose one"):
        measured(0.6, rerank="cbgm")


class WithScenes(RectangleModel):
    """Rectangles, and a scene embedding that is the picture's mean colour."""

    name = "rectangles with scenes"
    fingerprint = "5" * 64
    scene_filter = SceneFilter(np.ones(3, np.float32), np.zeros(3, np.float32), 1.0)

    def embed_scenes(self, prepared: Sequence[Array]) -> Array:
        rows = np.array([image.reshape(-1, 3).mean(axis=0) - GREY for image in prepared], np.float32) + 1e-3
        unit: Array = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        return unit

    def detect(self, prepared: Sequence[Array], *, min_score: float = 0.0) -> list[Detections]:
        scenes = self.embed_scenes(prepared)
        return [replace(one, scene=row) for one, row in zip(super().detect(prepared, min_score=min_score), scenes, strict=True)]


def test_a_data_set_is_measured_with_the_scenes_of_its_gallery(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERSONSEARCH_HOME", str(tmp_path / "home"))
    pictures = {"a.png": drawn((RED, 10, 10, 80)), "b.png": drawn((RED, 30, 20, 70)), "c.png": drawn((BLUE, 30, 20, 70))}
    boxes = {"a.png": (7, [10, 10, 20, 80]), "b.png": (7, [30, 20, 20, 70]), "c.png": (8, [30, 20, 20, 70])}
    for name, picture in pictures.items():
        Image.fromarray(picture).save(tmp_path / name)
    images = [{"id": name, "file_name": name} for name in pictures]
    people = [{"image_id": name, "bbox": box, "person_id": person} for name, (person, box) in boxes.items()]
    (tmp_path / "annotations.json").write_text(json.dumps({"images": images, "annotations": people}))
    (row,) = evaluate_dataset(PersonSearcher(WithScenes()), "coco", tmp_path, scene_filter="gfn")["search"]
    assert (row["ranked_by"], row["mAP"], row["queries"]) == ("cosine x scene score", 1.0, 2)
    # Pictures of one colour have the score of equal scenes, 0.7311; above it every scene is left out
    (nothing,) = evaluate_dataset(PersonSearcher(WithScenes()), "coco", tmp_path, scene_filter=GFN(0.74))["search"]
    assert nothing["mAP"] == 0
    with pytest.raises(ConfigError, match="has no GFN"):
        evaluate_dataset(PersonSearcher(RectangleModel()), "coco", tmp_path, scene_filter="gfn")

"""GFN's scene scores in an evaluation, worked out by hand."""

from typing import Any

import numpy as np
import pytest

from personsearch.boxes import Array
from personsearch.errors import ConfigError, DataError
from personsearch.evaluation import EvaluationData, EvaluationQuery, Scene, evaluate
from personsearch.evaluation.search import SceneScores
from personsearch.ranking import GFN
from personsearch.results import Detections

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

"""Search and detection measured from arrays, by the rules of the data sets' authors."""

from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import numpy as np

from personsearch import checks
from personsearch.datasets.people import UNLABELLED
from personsearch.errors import ConfigError
from personsearch.evaluation.arrays import EvaluationData
from personsearch.evaluation.ignored import without_ignored
from personsearch.evaluation.metrics import DetectionMetrics, detection_metrics
from personsearch.evaluation.protocols import cuhk_sysu, prw
from personsearch.evaluation.schema import read
from personsearch.evaluation.search import SceneScores, mean_of, rankings
from personsearch.ranking import Rerank, rerank_options, rule_name

Protocol: TypeAlias = Literal["prw", "cuhk-sysu"]


def evaluate_file(
    path: str | Path,
    *,
    protocol: Protocol,
    cross_camera: bool = False,
    rerank: Rerank | None = None,
    confidence_weighted: bool = False,
    min_score: float = 0.5,
    detection_min_score: float = 0.01,
) -> dict[str, Any]:
    """`evaluate` for a JSON file; `personsearch.evaluation.schema` describes its fields.

    Raises:
        DataError: the file does not follow the schema, or lacks values that the protocol or CBGM needs.
        ConfigError: an option is out of range, or two options exclude each other.
    """
    return evaluate(
        read(path),
        protocol=protocol,
        cross_camera=cross_camera,
        rerank=rerank,
        confidence_weighted=confidence_weighted,
        min_score=min_score,
        detection_min_score=detection_min_score,
    )


def evaluate(
    data: EvaluationData,
    *,
    protocol: Protocol,
    cross_camera: bool = False,
    rerank: Rerank | None = None,
    confidence_weighted: bool = False,
    min_score: float = 0.5,
    detection_min_score: float = 0.01,
    scenes: SceneScores | None = None,
    per_query: bool = False,
) -> dict[str, Any]:
    """Search and detection metrics, computed as SeqNet's code computes them, the source of most published numbers.

    Arrays do not say which model made them, so the rule of its paper is the caller's to pass: `confidence_weighted=True` for NAE,
    SeqNet, Trident, COAT and SeqNeXt, with CBGM `CBGM(variant="authors")` too; plain cosine, the default, for the others.
    `evaluate_dataset` takes the model's own rule.

    A query whose person is in none of its pictures counts 0 in every mean. A picture without true boxes is searched, but its
    detections do not enter detection recall and AP. A picture listed twice in a CUHK-SYSU list is searched once and expected
    twice. Without queries, or without people to detect, the numbers are 0. Detections in regions to ignore
    (`Scene.ignored`) that match no annotated person enter neither search nor detection.

    Args:
        data: True people, detections and queries.
        protocol: "prw" (every picture but the query's own) or "cuhk-sysu" (each query's own list).
        cross_camera: Whether to search only pictures of other cameras (PRW).
        rerank: `CBGM(k1, k2, variant)` re-ranks by context, "cbgm" is short for `CBGM()`; None: no re-ranking.
        confidence_weighted: Whether to rank by cosine x score, with CBGM too.
        min_score: Score below which detections do not enter the search.
        detection_min_score: Score below which detections do not count for detection.
        scenes: GFN's scene scores, with data that hold the scenes' embeddings; None: no scene filter.
        per_query: Whether to add `per_query`: `AP` and `top1` of each query, in the data's order.

    Returns:
        `ranked_by`: the rule in words; `search`: mAP, top1, top5, top10 (0..1) and queries; `detection`: `all` and `labelled_only`
        (only people with an identity are expected), each with recall and ap (0..1).

    Raises:
        DataError: the data lack values that the protocol or CBGM needs; the message names the field.
        ConfigError: an option is out of range, or two options exclude each other.

    Source: serend1p1ty/SeqNet@edec285 eval_func.py.
    """
    if protocol not in get_args(Protocol):
        raise ConfigError(f'protocol must be "prw" or "cuhk-sysu", got {protocol!r}')
    for name, value in (("min_score", min_score), ("detection_min_score", detection_min_score)):
        checks.number(name, value)
    if scenes is not None and rerank is not None:
        raise ConfigError("CBGM and scene_filter are two ways to use the query's scene; choose one of them")
    if cross_camera and protocol != "prw":
        raise ConfigError("cross_camera belongs to the PRW protocol; the pictures of CUHK-SYSU have no cameras")
    cbgm = rerank_options(rerank)
    gallery_of = prw(data, cross_camera=cross_camera) if protocol == "prw" else cuhk_sysu(data)
    searched = without_ignored(data, detection_min_score)
    options: dict[str, Any] = {"confidence_weighted": confidence_weighted, "cbgm": cbgm, "scenes": scenes}
    scores = [ranking.scores for ranking in rankings(searched, gallery_of, min_score=min_score, **options)]
    gfn = None if scenes is None else scenes.options
    return {
        "ranked_by": rule_name(confidence_weighted=confidence_weighted, rerank=cbgm, gfn=gfn),
        **({"per_query": {"AP": [one[0] for one in scores], "top1": [one[1] for one in scores]}} if per_query else {}),
        "search": asdict(mean_of(scores)),
        "detection": {
            "all": asdict(measure_detection(data, detection_min_score, labelled_only=False)),
            "labelled_only": asdict(measure_detection(data, detection_min_score, labelled_only=True)),
        },
    }


def measure_detection(data: EvaluationData, min_score: float, *, labelled_only: bool) -> DetectionMetrics:
    """Recall and AP of the detections from a score on; regions to ignore count neither way.

    Args:
        data: Scenes.
        min_score: Score below which detections do not count.
        labelled_only: Whether only people with an identity are true boxes.
    """
    scenes = [scene.take(scene.detections.scores >= min_score) for scene in data.scenes]
    truths = (scene.boxes[scene.ids != UNLABELLED] if labelled_only else scene.boxes for scene in scenes)
    return detection_metrics(
        ((truth, scene.detections.boxes, scene.detections.scores) for truth, scene in zip(truths, scenes, strict=True)),
        ignored=[np.zeros(len(scene.detections), bool) if scene.ignored is None else scene.ignored for scene in scenes],
    )

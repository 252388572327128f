"""Search and detection measured from arrays, as the authors of the field's data sets and networks measure them."""

from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import numpy as np

from personsearch.errors import ConfigError
from personsearch.evaluation.arrays import UNLABELLED, EvaluationData, EvaluationQuery, GalleryEntry, Scene
from personsearch.evaluation.ignored import without_ignored
from personsearch.evaluation.metrics import DetectionMetrics, detection_metrics
from personsearch.evaluation.protocols import cuhk_sysu, prw
from personsearch.evaluation.schema import read
from personsearch.evaluation.search import Rerank, measure_search
from personsearch.ranking import Variant
from personsearch.ranking.cbgm import check_options

__all__ = ["UNLABELLED", "EvaluationData", "EvaluationQuery", "GalleryEntry", "Scene", "evaluate", "evaluate_file", "read"]

Protocol = Literal["prw", "cuhk-sysu"]


def evaluate_file(
    path: str | Path,
    *,
    protocol: Protocol,
    cross_camera: bool = False,
    cbgm: tuple[int, int] | None = None,
    cbgm_variant: Variant = "authors",
    min_score: float = 0.5,
    detection_min_score: float = 0.01,
    confidence_weighted: bool = True,
) -> dict[str, Any]:
    """`evaluate` for a JSON file; `personsearch.evaluation.schema` describes its fields.

    Raises:
        DataError: the file does not follow the schema, or lacks what the protocol or CBGM needs.
        ConfigError: options that do not fit.
    """
    return evaluate(
        read(path),
        protocol=protocol,
        cross_camera=cross_camera,
        cbgm=cbgm,
        cbgm_variant=cbgm_variant,
        min_score=min_score,
        detection_min_score=detection_min_score,
        confidence_weighted=confidence_weighted,
    )


def evaluate(
    data: EvaluationData,
    *,
    protocol: Protocol,
    cross_camera: bool = False,
    cbgm: tuple[int, int] | None = None,
    cbgm_variant: Variant = "authors",
    min_score: float = 0.5,
    detection_min_score: float = 0.01,
    confidence_weighted: bool = True,
) -> dict[str, Any]:
    """Search and detection measured as the code of SeqNet measures them, which published numbers rest on.

    A query whose person is in none of its pictures counts 0 in every mean. A picture without true boxes is searched like any other,
    but its detections do not enter detection recall and AP. A picture twice in a CUHK-SYSU list is searched once and
    expected twice. Where there is no query, or nobody to detect, the numbers are 0. People found in regions to ignore
    (`Scene.ignored`) who are no annotated person are left out of search and detection.

    Args:
        data: true people, found people and queries.
        protocol: "prw" (every picture but the query's own) or "cuhk-sysu" (each query's own list).
        cross_camera: PRW with pictures of other cameras only.
        cbgm: (k1, k2) to re-rank by context, or None.
        cbgm_variant: "authors" (their code) or "paper" (Algorithm 1, on cosines without scores); see `personsearch.ranking.cbgm`.
        min_score: found people below it take no part in the search.
        detection_min_score: found people below it do not count for detection.
        confidence_weighted: rank by cosine x score, as published of NAE, SeqNet and Trident; False: by cosine, as of AlignPS.

    Returns:
        `search`: mAP, top1, top5, top10 (0..1) and queries (their number); `detection`: `all` and `labelled_only`
        (only people with an identity are to be found), each with recall and ap (0..1).

    Raises:
        DataError: the data lack what the protocol or CBGM needs; the message names the place.
        ConfigError: options that do not fit.

    Source: serend1p1ty/SeqNet@edec285 eval_func.py.
    """
    if protocol not in ("prw", "cuhk-sysu"):
        raise ConfigError(f'protocol must be "prw" or "cuhk-sysu", got {protocol!r}')
    if cross_camera and protocol != "prw":
        raise ConfigError("cross-camera belongs to the PRW protocol; CUHK-SYSU's pictures have no cameras")
    rerank = None
    if cbgm is not None:
        check_options(*cbgm, cbgm_variant)
        rerank = Rerank(*cbgm, cbgm_variant)
    gallery_of = prw(data, cross_camera=cross_camera) if protocol == "prw" else cuhk_sysu(data)
    searched = without_ignored(data, detection_min_score)
    search = measure_search(searched, gallery_of, min_score=min_score, confidence_weighted=confidence_weighted, rerank=rerank)
    return {
        "search": asdict(search),
        "detection": {
            "all": asdict(_measure_detection(data, detection_min_score, labelled_only=False)),
            "labelled_only": asdict(_measure_detection(data, detection_min_score, labelled_only=True)),
        },
    }


def _measure_detection(data: EvaluationData, min_score: float, *, labelled_only: bool) -> DetectionMetrics:
    scenes = [one.take(one.found.scores >= min_score) for one in data.scenes]
    truths = (one.boxes[one.ids != UNLABELLED] if labelled_only else one.boxes for one in scenes)
    return detection_metrics(
        ((truth, one.found.boxes, one.found.scores) for truth, one in zip(truths, scenes, strict=True)),
        ignored=[np.zeros(len(one.found), bool) if one.ignored is None else one.ignored for one in scenes],
    )

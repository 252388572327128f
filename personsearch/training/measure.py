"""How well a model finds the people of a data set again, while it learns or after."""

from collections.abc import Sequence

import numpy as np

from personsearch.evaluation.arrays import EvaluationData, EvaluationQuery, Scene
from personsearch.evaluation.metrics import detection_metrics
from personsearch.evaluation.protocols import prw
from personsearch.evaluation.search import measure_search
from personsearch.models.base import PersonModel, ranks_by_score
from personsearch.results import Detections
from personsearch.training.data.dataset import PeopleDataset, Sample


def search_scores(
    model: PersonModel,
    dataset: PeopleDataset,
    *,
    pictures: Sequence[int] | None = None,
    max_queries: int | None = None,
    true_boxes: bool = False,
) -> dict[str, float]:
    """Every labelled person as a query in its scene, looked for in all other pictures (PRW's protocol), by the rule of the model's paper.

    Args:
        model: model to measure.
        dataset: data set; each picture is decoded once.
        pictures: numbers of pictures of the data set; None for all.
        max_queries: number of queries, evenly chosen; None for all.
        true_boxes: the gallery is the people annotated, each with score 1, instead of those found (DKD's [GT; R]).

    Returns:
        `mAP`, `top1`, `recall` and `ap` (of detection at the model's `min_score`), 0..1; `queries`; `confidence_weighted`, the rule.
    """
    scenes, queries = [], []
    for number in range(len(dataset)) if pictures is None else pictures:
        sample = dataset[number]
        prepared = model.prepare(sample.image)
        (found,) = [_given(model, prepared, sample)] if true_boxes else model.detect([prepared])
        kept = found.take(found.scores >= model.min_score)
        scenes.append(Scene(str(number), sample.camera, sample.boxes, sample.identities, kept))
        queries += _queries(model, prepared, sample, str(number))
    if max_queries is not None and len(queries) > max_queries:
        queries = [queries[i * len(queries) // max_queries] for i in range(max_queries)]
    data, weighted = EvaluationData(tuple(scenes), tuple(queries)), ranks_by_score(model)
    search = measure_search(data, prw(data), min_score=0.0, confidence_weighted=weighted)
    detection = detection_metrics((scene.boxes, scene.detections.boxes, scene.detections.scores) for scene in scenes)
    return {
        "mAP": search.mAP,
        "top1": search.top1,
        "recall": detection.recall,
        "ap": detection.ap,
        "queries": search.queries,
        "confidence_weighted": weighted,
    }


def _given(model: PersonModel, prepared: object, sample: Sample) -> Detections:
    (rows,) = model.embed([prepared], [sample.boxes])
    return Detections(sample.boxes, np.ones(len(rows), np.float32), rows)


def _queries(model: PersonModel, prepared: object, sample: Sample, scene: str) -> list[EvaluationQuery]:
    named = sample.identities >= 0
    if not named.any():
        return []
    (rows,) = model.embed([prepared], [sample.boxes[named]])
    return [EvaluationQuery(scene, sample.camera, int(identity), row) for identity, row in zip(sample.identities[named], rows, strict=True)]

"""How well a model finds the people of a data set again, while it learns or after."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from personsearch import images
from personsearch.boxes import Array
from personsearch.datasets import cuhk_sysu as cuhk_sysu_set
from personsearch.datasets import own, posetrack21
from personsearch.datasets import prw as prw_set
from personsearch.datasets.coco import DEFAULTS as OWN_FIELDS
from personsearch.datasets.coco import Fields
from personsearch.datasets.people import QueryPerson, SearchSet
from personsearch.errors import ConfigError
from personsearch.evaluation.arrays import EvaluationData, EvaluationQuery, GalleryEntry, Scene
from personsearch.evaluation.evaluator import measure_detection
from personsearch.evaluation.ignored import in_regions, without_ignored
from personsearch.evaluation.protocols import cuhk_sysu, prw
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
    confidence_weighted: bool | None = None,
) -> dict[str, float]:
    """Every labelled person as a query in its scene, looked for in all other pictures (PRW's protocol).

    Args:
        model: Model to measure.
        dataset: Data set; each picture is decoded once.
        pictures: Numbers of pictures of the data set; None for all.
        max_queries: Number of queries, evenly chosen; None for all.
        true_boxes: Whether the gallery is the annotated people, each with score 1, instead of the detections (DKD's [GT; R]).
        confidence_weighted: Whether to rank by cosine x score; None: as the model's paper does.

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
    return _scores(EvaluationData(tuple(scenes), tuple(queries)), _rule(model, confidence_weighted))


def load_test_set(name: str, root: Path, fields: Fields = OWN_FIELDS) -> SearchSet:
    """The test part of a data set: gallery and queries.

    Args:
        name: "prw", "cuhk-sysu" (galleries of 100), "posetrack21", "coco" or "yolo".
        root: Folder of the data set.
        fields: Names in a COCO-style file.

    Raises:
        ConfigError: the name is unknown.
        DataError: a file is missing or broken.
    """
    readers: dict[str, Callable[[], SearchSet]] = {
        "prw": lambda: prw_set.load_test(root),
        "cuhk-sysu": lambda: cuhk_sysu_set.load_test(root, 100),
        "posetrack21": lambda: posetrack21.load_test(root),
        "coco": lambda: own.load_test("coco", root, fields),
        "yolo": lambda: own.load_test("yolo", root, fields),
    }
    if name not in readers:
        raise ConfigError(f"unknown test data {name!r}; pass one of {', '.join(readers)}, or a COCO-style file")
    return readers[name]()


def scores_of_test_set(
    model: PersonModel, data: SearchSet, *, true_boxes: bool = False, confidence_weighted: bool | None = None
) -> dict[str, float]:
    """The numbers of `search_scores` on a test set, by its own queries and galleries; each picture is decoded once.

    Args:
        model: Model to measure.
        data: Gallery and queries.
        true_boxes: Whether the gallery is the annotated people, each with score 1.
        confidence_weighted: Whether to rank by cosine x score; None: as the model's paper does.
    """
    asked: dict[Path, list[int]] = {}
    for number, query in enumerate(data.queries):
        asked.setdefault(query.path, []).append(number)
    gallery = {picture.path: picture for picture in data.gallery}
    scenes: list[Scene] = []
    rows: dict[int, Array] = {}
    for path in dict.fromkeys([*gallery, *asked]):
        image = images.load(path)
        prepared, picture = model.prepare(image), gallery.get(path)
        if picture is not None:
            if true_boxes:
                (embedded,) = model.embed([prepared], [picture.boxes])
                people = Detections(picture.boxes, np.ones(len(embedded), np.float32), embedded)
            else:
                (people,) = model.detect([prepared], min_score=model.min_score)
            ignored = in_regions(people.boxes, picture.ignore_polygons) if picture.ignore_polygons else None
            scenes.append(Scene(str(path), picture.camera, picture.boxes, picture.identities, people, ignored))
        if path in asked:
            (embedded,) = model.embed([prepared], [np.stack([data.queries[number].box for number in asked[path]])])
            rows.update(zip(asked[path], embedded, strict=True))
    queries = [_listed(query, rows[number]) for number, query in enumerate(data.queries)]
    return _scores(EvaluationData(tuple(scenes), tuple(queries)), _rule(model, confidence_weighted))


def _listed(query: QueryPerson, row: Array) -> EvaluationQuery:
    listed = None if query.candidates is None else tuple(GalleryEntry(str(one.path), one.box_xywh) for one in query.candidates)
    return EvaluationQuery(str(query.path), query.camera, query.identity, row, gallery=listed)


def _rule(model: PersonModel, confidence_weighted: bool | None) -> bool:
    return ranks_by_score(model) if confidence_weighted is None else confidence_weighted


def _scores(data: EvaluationData, weighted: bool) -> dict[str, float]:
    listed = bool(data.queries) and data.queries[0].gallery is not None
    gallery_of = cuhk_sysu(data) if listed else prw(data)
    search = measure_search(without_ignored(data, min_score=0.0), gallery_of, min_score=0.0, confidence_weighted=weighted)
    detection = measure_detection(data, 0.0, labelled_only=False)
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

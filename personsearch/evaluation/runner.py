"""A model measured on a whole data set: every gallery of its protocol, with and without CBGM, as one table."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

from personsearch.datasets import cuhk_sysu, own, posetrack21, prw
from personsearch.datasets.coco import DEFAULTS as OWN_FIELDS
from personsearch.datasets.coco import Fields
from personsearch.datasets.people import SearchSet
from personsearch.errors import ConfigError
from personsearch.evaluation.arrays import EvaluationData
from personsearch.evaluation.evaluator import Protocol, evaluate
from personsearch.evaluation.features import make_features, query_scenes, to_arrays
from personsearch.evaluation.pictures import recall_over_iou, save_pictures
from personsearch.evaluation.protocols import cuhk_sysu as cuhk_sysu_protocol
from personsearch.evaluation.protocols import prw as prw_protocol
from personsearch.evaluation.search import SceneScores, rankings
from personsearch.evaluation.unlabelled import without_unlabelled
from personsearch.models.base import ranks_by_score, scene_filter_of
from personsearch.ranking import CBGM, GFN, Rerank, SceneFiltering, rerank_options, scene_filter_options
from personsearch.searcher import PersonSearcher

Dataset: TypeAlias = Literal["prw", "cuhk-sysu", "posetrack21", "coco", "yolo"]


@dataclass(frozen=True)
class _Gallery:
    """One gallery of a data set."""

    name: str  # "regular", for PRW also "labelled" and "multi-view"; for CUHK-SYSU the number of pictures
    data: SearchSet
    cross_camera: bool = False
    ignore_unlabelled: bool = False


def evaluate_dataset(
    searcher: PersonSearcher,
    dataset: Dataset,
    root: str | Path,
    *,
    gallery_sizes: Sequence[cuhk_sysu.GallerySize] = (100,),
    true_boxes: bool = False,
    rerank: Rerank | Sequence[Rerank] | None = None,
    confidence_weighted: bool | None = None,
    min_score: float | None = None,
    detection_min_score: float = 0.01,
    scene_filter: SceneFiltering | None = None,
    fields: Fields = OWN_FIELDS,
    per_query: bool = False,
    pictures: str | Path | None = None,
    name: str | None = None,
) -> dict[str, Any]:
    """Measure a model on a data set. Features are kept in galleries, so another protocol or size needs no second pass.

    PRW has three galleries: "regular" (every frame but the query's own), "labelled" (the same without detections of unlabelled
    people: AGWF's regular gallery) and "multi-view" (frames of other cameras only). PoseTrack21 has the regular one, without
    unannotated people detected in its regions to ignore. Own data ("coco", "yolo") have the regular one, in which every person with an
    identity that another picture shows too is a query; and, if every picture has a camera, the multi-view one of the people that another
    camera shows too.

    `rerank` and `confidence_weighted` have the names and defaults of `PersonSearcher.search`: the model's paper decides the rule.

    Args:
        searcher: Model.
        dataset: "prw", "cuhk-sysu", "posetrack21", or people's own data as "coco" (what `personsearch train` takes) or "yolo".
        root: Folder of the data set; of "coco" also the JSON file.
        gallery_sizes: Gallery sizes of CUHK-SYSU: 50, 100, 500, 1000, 2000, 4000 and "full"; one row each.
        true_boxes: Whether to embed the annotated boxes instead of detections: the upper bound of a perfect detector.
        rerank: One or several settings of CBGM; each gallery is measured without CBGM first, then with each setting.
        confidence_weighted: Whether to rank by cosine x score; None: as the model's paper does.
        min_score: Score below which detections are not searched; None: the model's own threshold.
        detection_min_score: Score below which detections do not count for detection.
        scene_filter: `GFN(min_scene_score)`, or "gfn", multiplies by GFN's scene scores in the rows without CBGM.
        fields: Names of the category of people and of the identity in a COCO-style file.
        per_query: Whether each row has `per_query`: `AP` and `top1` of each query; the result then names the `pictures`, and has
            `recall_over_iou` for the IoUs of `personsearch.evaluation.pictures`.
        pictures: Folder to write pictures of the first gallery to: ranked lists with right and wrong framed, a map of the embeddings
            by identity, and the taps of deformable convolutions; None: no pictures.
        name: Name of the model in the result and in the names of its pictures; None: the model's own.

    Returns:
        `dataset`, `model`, `true_boxes`, `detection` as from `evaluate`, and `search`: rows of gallery, cbgm ([k1, k2] or
        None), cbgm_variant (or None), confidence_weighted, ranked_by (the rule in words), mAP, top1, top5, top10 (0..1) and queries.

    Raises:
        DataError: a file of the data set is missing or broken; the message says what to download and where to put it.
        ConfigError: an option is out of range or has the wrong type.
    """
    if dataset not in get_args(Dataset):
        raise ConfigError(f"dataset must be one of {', '.join(get_args(Dataset))}, got {dataset!r}")
    if not gallery_sizes:
        raise ConfigError("gallery_sizes is empty; pass at least one size")
    settings, gfn = [None, *_settings(rerank)], scene_filter_options(scene_filter)
    if gfn is not None and true_boxes:
        raise ConfigError("scene_filter needs the scenes of detections; leave true_boxes out")
    threshold = searcher.model.min_score if min_score is None else min_score
    weighted = ranks_by_score(searcher.model) if confidence_weighted is None else confidence_weighted
    protocol: Protocol = "cuhk-sysu" if dataset == "cuhk-sysu" else "prw"
    name = searcher.model.name if name is None else name
    features = None
    rows: list[dict[str, Any]] = []
    scenes = None
    for gallery in _galleries(dataset, Path(root), gallery_sizes, fields):
        if features is None:  # pictures and query boxes are the same in all galleries
            lowest = min(threshold, detection_min_score)
            features = make_features(searcher, gallery.data, min_score=lowest, true_boxes=true_boxes)
            if gfn is not None:
                scenes = query_scenes(searcher, gallery.data, features)
        arrays = to_arrays(gallery.data, features, context_min_score=threshold, scenes=scenes)
        if pictures is not None and not rows:
            _save_pictures(Path(pictures), searcher, arrays, gallery, threshold, weighted=weighted, name=name)
        if gallery.ignore_unlabelled:
            arrays = without_unlabelled(arrays)
        for cbgm in settings:
            measured = evaluate(
                arrays,
                protocol=protocol,
                cross_camera=gallery.cross_camera,
                rerank=cbgm,
                confidence_weighted=weighted,
                min_score=threshold,
                detection_min_score=detection_min_score,
                scenes=_scene_scores(searcher, gfn if cbgm is None else None),
                per_query=per_query,
            )
            label = {"cbgm": cbgm and [cbgm.k1, cbgm.k2], "cbgm_variant": cbgm and cbgm.variant, "confidence_weighted": weighted}
            label |= {"ranked_by": measured["ranked_by"]}
            details = {"per_query": measured["per_query"]} if per_query else {}
            rows.append({"gallery": gallery.name, **label, **measured["search"], **details})
    return {
        "dataset": dataset,
        "model": name,
        "true_boxes": true_boxes,
        **(_details(arrays, gallery, detection_min_score) if per_query else {}),
        "detection": measured["detection"],
        "search": rows,
    }


def table(measured: dict[str, Any]) -> str:
    """The result of `evaluate_dataset` as text, in percent."""
    lines = [f"{'gallery':<12}{'CBGM':<8}{'mAP':>7}{'top-1':>7}{'top-5':>7}{'top-10':>8}"]
    for row in measured["search"]:
        pair = "-" if row["cbgm"] is None else ",".join(map(str, row["cbgm"]))
        numbers = "".join(f"{100 * row[name]:>{width}.2f}" for name, width in (("mAP", 7), ("top1", 7), ("top5", 7), ("top10", 8)))
        lines.append(f"{row['gallery']:<12}{pair:<8}{numbers}")
    detection = measured["detection"]["all"]
    lines.append(f"ranked by {measured['search'][0]['ranked_by'].partition(',')[0]}")
    lines.append(f"detection: recall {100 * detection['recall']:.2f}, AP {100 * detection['ap']:.2f}")
    return "\n".join(lines)


def _settings(rerank: Rerank | Sequence[Rerank] | None) -> list[CBGM]:
    values = rerank if isinstance(rerank, list | tuple) else [rerank]
    return [cbgm for cbgm in map(rerank_options, values) if cbgm is not None]


def _details(arrays: EvaluationData, gallery: _Gallery, min_score: float) -> dict[str, Any]:
    return {
        "pictures": [str(picture.path) for picture in gallery.data.gallery],
        "recall_over_iou": recall_over_iou(arrays, min_score=min_score),
    }


def _save_pictures(
    folder: Path, searcher: PersonSearcher, arrays: EvaluationData, gallery: _Gallery, min_score: float, *, weighted: bool, name: str
) -> None:
    gallery_of = cuhk_sysu_protocol(arrays) if arrays.queries and arrays.queries[0].gallery is not None else prw_protocol(arrays)
    ranked = list(rankings(arrays, gallery_of, min_score=min_score, confidence_weighted=weighted))
    save_pictures(folder, searcher.model, arrays, ranked, [query.box for query in gallery.data.queries], min_score, name=name)


def _scene_scores(searcher: PersonSearcher, gfn: GFN | None) -> SceneScores | None:
    compare = None if gfn is None else scene_filter_of(searcher.model)
    return None if gfn is None or compare is None else SceneScores(compare, gfn)


def _galleries(dataset: Dataset, root: Path, sizes: Sequence[cuhk_sysu.GallerySize], fields: Fields) -> Iterator[_Gallery]:
    """The galleries, one at a time: lists of 4,000 pictures for each query are large."""
    if dataset == "cuhk-sysu":
        for size in sizes:
            yield _Gallery(str(size), cuhk_sysu.load_test(root, size))
    elif dataset == "posetrack21":
        yield _Gallery("regular", posetrack21.load_test(root))
    elif dataset in ("coco", "yolo"):
        data = own.load_test(dataset, root, fields)
        yield _Gallery("regular", data)
        if (views := own.across_cameras(data)).queries:
            yield _Gallery("multi-view", views, cross_camera=True)
    else:
        data = prw.load_test(root)
        yield _Gallery("regular", data)
        yield _Gallery("labelled", data, ignore_unlabelled=True)
        yield _Gallery("multi-view", data, cross_camera=True)  # last: its detection metrics count all people

"""A model measured on a whole data set: every gallery of its protocol, with and without CBGM, as one table."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

from personsearch.datasets import cuhk_sysu, posetrack21, prw
from personsearch.datasets.people import SearchSet
from personsearch.errors import ConfigError
from personsearch.evaluation.evaluator import Protocol, evaluate
from personsearch.evaluation.features import make_features, to_arrays
from personsearch.evaluation.unlabelled import without_unlabelled
from personsearch.models.base import ranks_by_score
from personsearch.ranking import CBGM, Rerank, rerank_options
from personsearch.searcher import PersonSearcher

Dataset: TypeAlias = Literal["prw", "cuhk-sysu", "posetrack21"]


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
) -> dict[str, Any]:
    """Measure a model on a data set. Features are kept in galleries, so another protocol or size needs no second pass.

    PRW has three galleries: "regular" (every frame but the query's own), "labelled" (the same without detections of unlabelled
    people: AGWF's regular gallery) and "multi-view" (frames of other cameras only). PoseTrack21 has the regular one, without
    unannotated people detected in its regions to ignore.

    `rerank` and `confidence_weighted` have the names and defaults of `PersonSearcher.search`: the model's paper decides the rule.

    Args:
        searcher: Model.
        dataset: "prw", "cuhk-sysu" or "posetrack21".
        root: Folder of the data set.
        gallery_sizes: Gallery sizes of CUHK-SYSU: 50, 100, 500, 1000, 2000, 4000 and "full"; one row each.
        true_boxes: Whether to embed the annotated boxes instead of detections: the upper bound of a perfect detector.
        rerank: One or several settings of CBGM; each gallery is measured without CBGM first, then with each setting.
        confidence_weighted: Whether to rank by cosine x score; None: as the model's paper does.
        min_score: Score below which detections are not searched; None: the model's own threshold.
        detection_min_score: Score below which detections do not count for detection.

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
    settings = [None, *_settings(rerank)]
    threshold = searcher.model.min_score if min_score is None else min_score
    weighted = ranks_by_score(searcher.model) if confidence_weighted is None else confidence_weighted
    protocol: Protocol = "cuhk-sysu" if dataset == "cuhk-sysu" else "prw"
    features = None
    rows: list[dict[str, Any]] = []
    for gallery in _galleries(dataset, Path(root), gallery_sizes):
        if features is None:  # pictures and query boxes are the same in all galleries
            lowest = min(threshold, detection_min_score)
            features = make_features(searcher, gallery.data, min_score=lowest, true_boxes=true_boxes)
        arrays = to_arrays(gallery.data, features, context_min_score=threshold)
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
            )
            label = {"cbgm": cbgm and [cbgm.k1, cbgm.k2], "cbgm_variant": cbgm and cbgm.variant, "confidence_weighted": weighted}
            label |= {"ranked_by": measured["ranked_by"]}
            rows.append({"gallery": gallery.name, **label, **measured["search"]})
    return {
        "dataset": dataset,
        "model": searcher.model.name,
        "true_boxes": true_boxes,
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


def _galleries(dataset: Dataset, root: Path, sizes: Sequence[cuhk_sysu.GallerySize]) -> Iterator[_Gallery]:
    """The galleries, one at a time: lists of 4,000 pictures for each query are large."""
    if dataset == "cuhk-sysu":
        for size in sizes:
            yield _Gallery(str(size), cuhk_sysu.load_test(root, size))
    elif dataset == "posetrack21":
        yield _Gallery("regular", posetrack21.load_test(root))
    else:
        data = prw.load_test(root)
        yield _Gallery("regular", data)
        yield _Gallery("labelled", data, ignore_unlabelled=True)
        yield _Gallery("multi-view", data, cross_camera=True)  # last: its detection metrics count all people

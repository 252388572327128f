"""A whole data set by its protocol: every gallery, with and without CBGM, as one table."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from personsearch.datasets import cuhk_sysu, posetrack21, prw
from personsearch.datasets.people import SearchSet
from personsearch.errors import ConfigError
from personsearch.evaluation import Protocol, evaluate
from personsearch.evaluation.features import make_features, to_arrays
from personsearch.evaluation.unlabelled import without_unlabelled
from personsearch.ranking import Variant
from personsearch.searcher import PersonSearcher

Dataset = Literal["prw", "cuhk-sysu", "posetrack21"]
CBGM = Sequence[tuple[int, int]]


@dataclass(frozen=True)
class _Gallery:
    """One way to search a data set."""

    name: str  # "regular" (and "labelled" and "multi-view" of PRW), the number of pictures of CUHK-SYSU
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
    cbgm: CBGM = (),
    cbgm_variant: Variant = "authors",
    confidence_weighted: bool = True,
    min_score: float | None = None,
    detection_min_score: float = 0.01,
) -> dict[str, Any]:
    """Measure a model on a data set. Features are kept in galleries, so another protocol or size costs no second pass.

    PRW is searched in three ways: "regular" (every frame but the query's own), "labelled" (the same, less the people found who
    have no label: AGWF's regular gallery) and "multi-view" (frames of other cameras only);
    PoseTrack21 in the regular way, less the people found in its regions to ignore whom nobody annotated.

    Args:
        searcher: the model.
        dataset: "prw", "cuhk-sysu" or "posetrack21".
        root: folder of the data set.
        gallery_sizes: of CUHK-SYSU: 50, 100, 500, 1000, 2000, 4000 and "full"; one row each.
        true_boxes: embed the annotated boxes instead of the people found: the upper bound for a perfect detector.
        cbgm: (k1, k2) pairs; each gallery is measured without CBGM first and then with each of them.
        cbgm_variant: see `personsearch.ranking.cbgm`.
        confidence_weighted: rank by cosine x score; False: by cosine.
        min_score: found people below it take no part in the search; None: the model's own threshold.
        detection_min_score: found people below it do not count for detection.

    Returns:
        `dataset`, `model`, `true_boxes`, `detection` as of `evaluate`, and `search`: rows of gallery, cbgm ([k1, k2] or
        None), mAP, top1, top5, top10 (0..1) and queries.

    Raises:
        DataError: a file of the data set is missing or broken; the message says what to download and where to put it.
        ConfigError: options that do not fit.
    """
    if dataset not in get_args(Dataset):
        raise ConfigError(f"dataset must be one of {', '.join(get_args(Dataset))}, got {dataset!r}")
    if not gallery_sizes:
        raise ConfigError("gallery_sizes is empty; name at least one size")
    threshold = searcher.model.min_score if min_score is None else min_score
    protocol: Protocol = "cuhk-sysu" if dataset == "cuhk-sysu" else "prw"
    features = None
    rows: list[dict[str, Any]] = []
    for gallery in _galleries(dataset, Path(root), gallery_sizes):
        if features is None:  # pictures and query boxes are the same in all galleries
            kept = min(threshold, detection_min_score)
            features = make_features(searcher, gallery.data, min_score=kept, true_boxes=true_boxes)
        arrays = to_arrays(gallery.data, features, context_min_score=threshold)
        for pair in (None, *cbgm):
            measured = evaluate(
                without_unlabelled(arrays) if gallery.ignore_unlabelled else arrays,
                protocol=protocol,
                cross_camera=gallery.cross_camera,
                cbgm=pair,
                cbgm_variant=cbgm_variant,
                min_score=threshold,
                detection_min_score=detection_min_score,
                confidence_weighted=confidence_weighted,
            )
            rows.append({"gallery": gallery.name, "cbgm": None if pair is None else list(pair), **measured["search"]})
    return {
        "dataset": dataset,
        "model": searcher.model.name,
        "true_boxes": true_boxes,
        "detection": measured["detection"],
        "search": rows,
    }


def table(measured: dict[str, Any]) -> str:
    """The rows of `evaluate_dataset` as lines to read, numbers in percent."""
    lines = [f"{'gallery':<12}{'CBGM':<8}{'mAP':>7}{'top-1':>7}{'top-5':>7}{'top-10':>8}"]
    for row in measured["search"]:
        pair = "-" if row["cbgm"] is None else ",".join(map(str, row["cbgm"]))
        numbers = "".join(f"{100 * row[name]:>{width}.2f}" for name, width in (("mAP", 7), ("top1", 7), ("top5", 7), ("top10", 8)))
        lines.append(f"{row['gallery']:<12}{pair:<8}{numbers}")
    found = measured["detection"]["all"]
    lines.append(f"detection: recall {100 * found['recall']:.2f}, AP {100 * found['ap']:.2f}")
    return "\n".join(lines)


def _galleries(dataset: Dataset, root: Path, sizes: Sequence[cuhk_sysu.GallerySize]) -> Iterator[_Gallery]:
    """One by one: the lists of 4,000 pictures for each query are large."""
    if dataset == "cuhk-sysu":
        for size in sizes:
            yield _Gallery(str(size), cuhk_sysu.load_test(root, size))
    elif dataset == "posetrack21":
        yield _Gallery("regular", posetrack21.load_test(root))
    else:
        data = prw.load_test(root)
        yield _Gallery("regular", data)
        yield _Gallery("labelled", data, ignore_unlabelled=True)
        yield _Gallery("multi-view", data, cross_camera=True)  # the last: its detection is of all people

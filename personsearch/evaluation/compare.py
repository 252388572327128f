"""Several models on one data set, side by side, with intervals of their differences."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from personsearch import images
from personsearch.boxes import Array
from personsearch.datasets.coco import DEFAULTS as OWN_FIELDS
from personsearch.datasets.coco import Fields
from personsearch.datasets.cuhk_sysu import GallerySize
from personsearch.errors import ConfigError
from personsearch.evaluation.pictures import file_beginning, gallery_curves, recall_curves
from personsearch.evaluation.runner import Dataset, evaluate_dataset
from personsearch.models.two_step.combined import CombinedModel
from personsearch.ranking import Rerank, SceneFiltering
from personsearch.searcher import PersonSearcher

ROUNDS = 2000  # of the bootstrap
INTERVAL = (2.5, 97.5)  # percentiles
TIMED = 8  # pictures


def at_boxes_of(searcher: PersonSearcher, boxes: PersonSearcher) -> PersonSearcher:
    """A searcher with the people that `boxes` detects and the embeddings of `searcher` at them."""
    return PersonSearcher(CombinedModel(boxes.model, searcher.model))


def compare_models(
    searchers: Sequence[PersonSearcher],
    dataset: Dataset,
    root: str | Path,
    *,
    boxes_of: PersonSearcher | None = None,
    seed: int = 0,
    timed: int = TIMED,
    gallery_sizes: Sequence[GallerySize] = (100,),
    rerank: Rerank | Sequence[Rerank] | None = None,
    confidence_weighted: bool | None = None,
    scene_filter: SceneFiltering | None = None,
    fields: Fields = OWN_FIELDS,
    pictures: str | Path | None = None,
) -> dict[str, Any]:
    """Measure models as `evaluate_dataset` does, and compare each with the first.

    A difference has a 95 % interval from a paired bootstrap: queries are drawn with replacement, the same for both models. Queries of
    one person are not independent, so it is rather too narrow.

    Args:
        searchers: At least two models; each ranks as its paper does. All are numbered if two have one name, as two trainings of a recipe.
        dataset: Data set, as of `evaluate_dataset`.
        root: Folder of the data set.
        boxes_of: Model whose detections all models embed, so that only their embeddings differ; None: each detects itself.
        seed: Seed of the bootstrap.
        timed: Number of pictures to time detection and embedding on, of each model in turn; 0: no times.
        gallery_sizes: As of `evaluate_dataset`, like all that follow.
        rerank: Settings of CBGM.
        confidence_weighted: Whether to rank by cosine x score; None: each model as its paper does.
        scene_filter: GFN.
        fields: Names in a COCO-style file.
        pictures: Folder to write pictures of each model to, `recall.png`, the recall of all over IoU (SeqNet, Fig. 4), and
            `galleries.png`, the mAP of all over the galleries (Fig. 5).

    Returns:
        `dataset`; `models`: what `evaluate_dataset` gives for each, with `seconds_per_image`; `differences`: for each other model and
        gallery `model`, `minus`, `gallery`, and `mAP` and `top1` with `difference`, `low` and `high` (-1..1).

    Raises:
        ConfigError: fewer than two models; or as of `evaluate_dataset`.
        DataError: as of `evaluate_dataset`.
    """
    if len(searchers) < 2:
        raise ConfigError(f"a comparison needs at least two models, got {len(searchers)}")
    if boxes_of is not None:
        searchers = [at_boxes_of(one, boxes_of) for one in searchers]
    measured = [
        evaluate_dataset(
            one,
            dataset,
            root,
            gallery_sizes=gallery_sizes,
            rerank=rerank,
            confidence_weighted=confidence_weighted,
            scene_filter=scene_filter,
            fields=fields,
            per_query=True,
            pictures=pictures,
            name=name,
        )
        for one, name in zip(searchers, _names([one.model.name for one in searchers]), strict=True)
    ]
    seconds = _seconds_per_image(searchers, [Path(path) for path in measured[0]["pictures"][:timed]])
    if pictures is not None:
        recall_curves({one["model"]: one["recall_over_iou"] for one in measured}).save(Path(pictures) / "recall.png")
        gallery_curves(measured).save(Path(pictures) / "galleries.png")
    differences = [difference for other in measured[1:] for difference in _differences(measured[0], other, seed)]
    models = [_without_details(one) | {"seconds_per_image": speed} for one, speed in zip(measured, seconds, strict=True)]
    return {"dataset": dataset, "boxes_of": None if boxes_of is None else boxes_of.model.name, "models": models, "differences": differences}


def paired_bootstrap(first: Array, second: Array, *, rounds: int = ROUNDS, seed: int = 0) -> tuple[float, float, float]:
    """The mean of `second - first`, and its 95 % interval over queries drawn with replacement.

    Args:
        first: (Q,) scores of the queries by one model.
        second: (Q,) scores of the same queries by another.
        rounds: Number of draws.
        seed: Seed of the draws.
    """
    difference = np.asarray(second, np.float64) - np.asarray(first, np.float64)
    if not len(difference):
        return 0.0, 0.0, 0.0
    rng = np.random.default_rng(seed)
    means = [difference[rng.integers(0, len(difference), len(difference))].mean() for _ in range(rounds)]
    low, high = np.percentile(means, INTERVAL)
    return float(difference.mean()), float(low), float(high)


def table(compared: dict[str, Any]) -> str:
    """The result of `compare_models` as text, in percent."""
    names = max(len(one["model"]) for one in compared["models"])
    lines = [
        f"{'model':<{names}}  {'gallery':<12}{'mAP':>7}{'top-1':>7}{'top-5':>7}{'top-10':>8}{'recall':>8}{'AP':>7}{'s/image':>9}  ranked by"
    ]
    for one in compared["models"]:
        detection, speed = one["detection"]["all"], one["seconds_per_image"]
        for row in one["search"]:
            numbers = "".join(f"{100 * row[name]:>{width}.2f}" for name, width in (("mAP", 7), ("top1", 7), ("top5", 7), ("top10", 8)))
            found = f"{100 * detection['recall']:>8.2f}{100 * detection['ap']:>7.2f}" + ("        -" if speed is None else f"{speed:>9.3f}")
            lines.append(f"{one['model']:<{names}}  {row['gallery']:<12}{numbers}{found}  {row['ranked_by']}")
    for one in compared["differences"]:
        mean_ap, top1 = (
            f"{name} {100 * one[key]['difference']:+.2f} ({100 * one[key]['low']:+.2f} to {100 * one[key]['high']:+.2f})"
            for name, key in (("mAP", "mAP"), ("top-1", "top1"))
        )
        lines.append(f"{one['model']} minus {one['minus']}, {one['gallery']}: {mean_ap}, {top1}")
    return "\n".join(lines)


def _names(names: Sequence[str]) -> list[str]:
    """The names; if two are alike, or the names of their pictures, all with a number behind: "nae 1", "nae 2", "oim 3"."""
    alike = len({file_beginning(name).casefold() for name in names}) < len(names)
    return [f"{name} {number}" for number, name in enumerate(names, start=1)] if alike else list(names)


def _differences(first: dict[str, Any], other: dict[str, Any], seed: int) -> list[dict[str, Any]]:
    compared = []
    for one, two in zip(first["search"], other["search"], strict=True):
        entry: dict[str, Any] = {"model": other["model"], "minus": first["model"], "gallery": one["gallery"], "cbgm": one["cbgm"]}
        for name, key in (("mAP", "AP"), ("top1", "top1")):
            values = (np.array(row["per_query"][key]) for row in (one, two))
            difference, low, high = paired_bootstrap(*values, seed=seed)
            entry[name] = {"difference": difference, "low": low, "high": high}
        compared.append(entry)
    return compared


def _without_details(measured: dict[str, Any]) -> dict[str, Any]:
    rows = [{name: value for name, value in row.items() if name != "per_query"} for row in measured["search"]]
    return {name: value for name, value in measured.items() if name != "pictures"} | {"search": rows}


def _seconds_per_image(searchers: Sequence[PersonSearcher], pictures: Sequence[Path]) -> list[float | None]:
    """Seconds of preparing, detecting and embedding a decoded picture, the median over the pictures; models take turns."""
    if not pictures:
        return [None] * len(searchers)
    times: list[list[float]] = [[] for _ in searchers]
    for image in [images.load(path) for path in [pictures[0], *pictures]]:  # the first twice: it warms up
        for searcher, seconds in zip(searchers, times, strict=True):
            started = time.perf_counter()
            searcher.model.detect([searcher.model.prepare(image)])
            seconds.append(time.perf_counter() - started)
    return [float(np.median(seconds[1:])) for seconds in times]

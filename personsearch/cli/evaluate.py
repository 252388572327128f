"""The `evaluate` command: of a file with detections, or of a model on a data set."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from personsearch.cli.asking import scene_filter_of
from personsearch.cli.options import (
    CBGMVariant,
    Device,
    Model,
    PrecisionOption,
    RerankOption,
    cbgm_settings,
    check_output,
    open_searcher,
    say,
)
from personsearch.errors import ConfigError

if TYPE_CHECKING:
    from personsearch.ranking import CBGM


@dataclass(frozen=True)
class _Ranking:
    """Options of both forms of the command."""

    settings: list["CBGM"]
    confidence_weighted: bool | None
    min_score: float | None
    detection_min_score: float


def evaluate(
    file: Annotated[Path | None, typer.Argument(help="Detections, embeddings and queries as JSON; see the documentation.")] = None,
    protocol: Annotated[
        Literal["prw", "cuhk-sysu"] | None, typer.Option(help="With FILE: protocol, which sets the gallery of a query.")
    ] = None,
    dataset: Annotated[
        Literal["prw", "cuhk-sysu", "posetrack21", "coco", "yolo"] | None,
        typer.Option(help="Instead of FILE: data set on which to measure a model; coco (as `train` takes it) and yolo are your own."),
    ] = None,
    root: Annotated[Path | None, typer.Option(help="With --dataset: its folder; of coco also the JSON file.")] = None,
    model: Model = None,
    device: Device = "auto",
    precision: PrecisionOption = "float32",
    gallery_size: Annotated[list[str] | None, typer.Option(help="Gallery size of CUHK-SYSU: 50 to 4000, or full; repeatable.")] = None,
    true_boxes: Annotated[bool, typer.Option(help="With --dataset: use the true boxes as detections, for the upper bound.")] = False,
    cross_camera: Annotated[bool, typer.Option(help="With FILE, PRW: search other cameras only. --dataset prw measures both.")] = False,
    rerank: RerankOption = None,
    cbgm: Annotated[
        list[str] | None, typer.Option(help="K1,K2: re-rank K1 scenes by K2 people of the query's scene; with --dataset repeatable.")
    ] = None,
    cbgm_variant: CBGMVariant = None,
    confidence_weighted: Annotated[
        bool | None, typer.Option(help="Rank by cosine x score, or not; by default as the model's paper does, and FILE by cosine.")
    ] = None,
    min_score: Annotated[
        float | None,
        typer.Option(help="Score below which detections are not searched; by default 0.5 with FILE, else the model's own."),
    ] = None,
    detection_min_score: Annotated[float, typer.Option(help="Score below which detections do not count for recall and AP.")] = 0.01,
    curve: Annotated[Path | None, typer.Option(help="With --dataset: draw mAP and top-1 over the galleries, .png or .jpg.")] = None,
    scene_filter: Annotated[
        Literal["gfn"] | None, typer.Option(help="With --dataset and a model with GFN: multiply by GFN's score of each scene.")
    ] = None,
    min_scene_score: Annotated[float | None, typer.Option(help="With --scene-filter: leave out scenes below this score.")] = None,
    boxes_of: Annotated[str | None, typer.Option(help="With --dataset: another model, whose detections the model embeds.")] = None,
    category: Annotated[str | None, typer.Option(help='With coco: name of the category of people, if it is not "person".')] = None,
    identity: Annotated[str | None, typer.Option(help="With coco: field with the identity, if it is not person_id.")] = None,
    pictures: Annotated[
        Path | None, typer.Option(help="With --dataset: folder for pictures: ranked lists, a map of embeddings, taps.")
    ] = None,
) -> None:
    """Measure search (mAP, top-1, 5, 10) and detection (recall, AP): of FILE, or of a model on a data set; prints JSON.

    A model is measured by the rule of its paper, and the result names it. Published numbers of CBGM need --cbgm-variant authors.
    """
    ranking = _Ranking(cbgm_settings(rerank, cbgm or [], cbgm_variant), confidence_weighted, min_score, detection_min_score)
    if file is not None and protocol is not None and dataset is None:
        of_dataset = (root, model, gallery_size, true_boxes, curve, scene_filter, min_scene_score, boxes_of, category, identity, pictures)
        if any(of_dataset) or precision != "float32":
            raise ConfigError(
                "--root, --model, --precision, --gallery-size, --true-boxes, --curve, --scene-filter, --min-scene-score, --boxes-of, "
                "--category, --identity and --pictures go with --dataset, not with FILE"
            )
        measured = _evaluate_file(file, protocol, cross_camera, ranking)
    elif file is None and dataset is not None and root is not None and protocol is None and not cross_camera:
        if gallery_size and dataset != "cuhk-sysu":
            raise ConfigError(f"--gallery-size belongs to cuhk-sysu; {dataset} has its own galleries")
        sizes = [gallery_size_of(text) for text in gallery_size or ["100"]]
        measured = _evaluate_dataset(
            (dataset, root),
            (model, device, precision),
            ranking,
            gallery_sizes=sizes,
            true_boxes=true_boxes,
            curve=curve,
            boxes_of=boxes_of,
            scene_filter=scene_filter_of(scene_filter, min_scene_score),
            fields=(category, identity),
            pictures=pictures,
        )
    else:
        raise ConfigError("pass either FILE with --protocol (and --cross-camera), or --dataset with --root")
    typer.echo(json.dumps(measured, indent=2))


def _evaluate_file(file: Path, protocol: Literal["prw", "cuhk-sysu"], cross_camera: bool, ranking: _Ranking) -> dict[str, Any]:
    from personsearch.evaluation import evaluate_file

    if len(ranking.settings) > 1:
        raise ConfigError("FILE takes one --cbgm; only --dataset takes several")
    return evaluate_file(
        file,
        protocol=protocol,
        cross_camera=cross_camera,
        rerank=ranking.settings[0] if ranking.settings else None,
        confidence_weighted=bool(ranking.confidence_weighted),
        min_score=0.5 if ranking.min_score is None else ranking.min_score,
        detection_min_score=ranking.detection_min_score,
    )


def _evaluate_dataset(
    dataset: tuple[Any, Path],
    model: tuple[str | None, str, Any],
    ranking: _Ranking,
    *,
    curve: Path | None,
    boxes_of: str | None,
    fields: tuple[str | None, str | None],
    **options: Any,
) -> dict[str, Any]:
    from personsearch.datasets.coco import Fields
    from personsearch.evaluation import at_boxes_of, curves, evaluate_dataset
    from personsearch.evaluation.runner import table

    if curve is not None:
        curves.check_name(curve)
        check_output("--curve", curve)
    searcher = open_searcher(*model)
    if boxes_of is not None:
        searcher = at_boxes_of(searcher, open_searcher(boxes_of, model[1]))
    measured = evaluate_dataset(
        searcher,
        *dataset,
        fields=Fields(*fields),
        rerank=ranking.settings,
        confidence_weighted=ranking.confidence_weighted,
        min_score=ranking.min_score,
        detection_min_score=ranking.detection_min_score,
        **options,
    )
    say(table(measured))
    if curve is not None:
        curves.draw(measured).save(curve)
        say(f"wrote {curve}")
    return measured


def gallery_size_of(text: str) -> int | Literal["full"]:
    """A gallery size of CUHK-SYSU as the command line has it.

    Raises:
        ConfigError: It is neither a whole number nor "full".
    """
    if text == "full":
        return "full"
    try:
        return int(text)
    except ValueError as error:
        raise ConfigError(f"--gallery-size must be a whole number or full, got {text!r}") from error

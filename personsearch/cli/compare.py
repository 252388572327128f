"""The `compare` command: several models on one data set, side by side."""

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from personsearch.cli.evaluate import gallery_size_of
from personsearch.cli.options import CBGMVariant, ConfidenceWeighted, Device, RerankOption, cbgm_settings, open_searcher, say


def compare(
    models: Annotated[list[str], typer.Argument(help="Two or more models; the others are compared with the first.")],
    dataset: Annotated[
        Literal["prw", "cuhk-sysu", "posetrack21", "coco", "yolo"], typer.Option(help="Data set; coco and yolo are your own.")
    ],
    root: Annotated[Path, typer.Option(help="Folder of the data set; of coco also the JSON file.")],
    boxes_of: Annotated[
        str | None, typer.Option(help="Model whose detections all models embed, so that only their embeddings differ.")
    ] = None,
    device: Device = "auto",
    gallery_size: Annotated[list[str] | None, typer.Option(help="Gallery size of CUHK-SYSU: 50 to 4000, or full; repeatable.")] = None,
    rerank: RerankOption = None,
    cbgm: Annotated[list[str] | None, typer.Option(help="K1,K2: re-rank K1 scenes by K2 people of the query's scene.")] = None,
    cbgm_variant: CBGMVariant = None,
    confidence_weighted: ConfidenceWeighted = None,
    category: Annotated[str | None, typer.Option(help='With coco: name of the category of people, if it is not "person".')] = None,
    identity: Annotated[str | None, typer.Option(help="With coco: field with the identity, if it is not person_id.")] = None,
    pictures: Annotated[
        Path | None, typer.Option(help="Folder for pictures: ranked lists, recall over IoU, maps of embeddings, taps.")
    ] = None,
) -> None:
    """Measure models on one data set: mAP, top-k, detection and time, with 95 % intervals of the differences; prints JSON."""
    from personsearch.datasets.coco import Fields
    from personsearch.evaluation import compare_models
    from personsearch.evaluation.compare import table

    settings = cbgm_settings(rerank, cbgm or [], cbgm_variant)
    compared = compare_models(
        [open_searcher(model, device) for model in models],
        dataset,
        root,
        gallery_sizes=[gallery_size_of(text) for text in gallery_size or ["100"]],
        boxes_of=None if boxes_of is None else open_searcher(boxes_of, device),
        rerank=settings,
        confidence_weighted=confidence_weighted,
        fields=Fields(category, identity),
        pictures=pictures,
    )
    say(table(compared))
    typer.echo(json.dumps(compared, indent=2))

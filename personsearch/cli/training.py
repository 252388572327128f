"""The `train` command."""

import json
from pathlib import Path
from typing import Annotated

import typer

from personsearch.cli.options import Device
from personsearch.errors import ConfigError

TEST_SETS = ("prw", "cuhk-sysu", "posetrack21", "coco", "yolo")  # whose test part can be named


def train(
    recipe: Annotated[str, typer.Argument(help="Name of a recipe, or a JSON file; an unknown name prints the list.")],
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="[DATA] OUT",
            help="DATA: COCO-style annotations.json, or its folder; not with --dataset. OUT: folder for state, log and model.",
        ),
    ],
    dataset: Annotated[
        list[str] | None, typer.Option(help="Instead of DATA: a data set; repeatable; an unknown name prints the list.")
    ] = None,
    root: Annotated[list[Path] | None, typer.Option(help="With --dataset: its folder; once per --dataset, in the same order.")] = None,
    device: Device = "auto",
    resume: Annotated[bool, typer.Option(help="Continue the training in OUT; the result is the same as without the break.")] = False,
    teacher: Annotated[Path | None, typer.Option(help="Folder of the crop network that a DKD recipe learns from.")] = None,
    initial: Annotated[
        Path | None, typer.Option(help="Start from the backbone of this model folder; OUT/initial.json lists the loaded tensors.")
    ] = None,
    backbone_weights: Annotated[
        Path | None,
        typer.Option(
            help="Start the backbone from a classifier's weights: torchvision's .pth of ImageNet, or .safetensors with its names."
        ),
    ] = None,
    whole: Annotated[bool, typer.Option(help="With --initial: start from the whole model, which must be the same network.")] = False,
    test_data: Annotated[
        str | None,
        typer.Option(help="Data to measure the model on during training: COCO-style, as DATA, or NAME:DIR, the test part of a data set."),
    ] = None,
    confidence_weighted: Annotated[
        bool | None, typer.Option(help="With --test-data: rank by cosine x score, or not; by default as the model's paper does.")
    ] = None,
    tensorboard: Annotated[bool, typer.Option("--tensorboard", help="Also write OUT/tensorboard, for TensorBoard.")] = False,
    category: Annotated[
        str | None, typer.Option(help='Name of the category of people in DATA, if it is not "person"; for example pedestrian.')
    ] = None,
    identity: Annotated[
        str | None,
        typer.Option(
            help='Field with the identity in DATA, if it is not person_id; for example attributes.track_id. "none": no identities.'
        ),
    ] = None,
    workers: Annotated[int, typer.Option(help="Number of processes that decode pictures.")] = 0,
) -> None:
    """Train a model; prints its folder, which --model opens."""
    names, roots = dataset or [], root or []
    if len(names) != len(roots) or len(paths) != (1 if names else 2):
        raise ConfigError("pass RECIPE DATA OUT, or RECIPE OUT with one --root DIR for each --dataset NAME")
    if whole and initial is None:
        raise ConfigError("--whole needs --initial FOLDER")
    from personsearch.datasets.coco import Fields
    from personsearch.training.initialise import InitialRecipe
    from personsearch.training.run import TrainOptions
    from personsearch.training.run import train as run

    start = None if initial is None else InitialRecipe(folder=initial, take="whole" if whole else "backbone")
    data = list(zip(names, roots, strict=True)) or paths[0]
    options = TrainOptions(
        device=device,
        resume=resume,
        teacher=teacher,
        backbone_weights=backbone_weights,
        initial=start,
        test_data=None if test_data is None else _test_data(test_data),
        confidence_weighted=confidence_weighted,
        tensorboard=tensorboard,
        workers=workers,
        fields=Fields(category, identity),
    )
    folder = run(recipe, data, paths[-1], options)
    typer.echo(json.dumps({"folder": str(folder)}))


def _test_data(text: str) -> "Path | tuple[str, Path]":
    """A path, or the name and the folder of a data set."""
    name, colon, folder = text.partition(":")
    return (name, Path(folder)) if colon and name in TEST_SETS else Path(text)

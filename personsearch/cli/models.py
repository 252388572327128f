"""The commands about models: list, convert, export, train. Their functions stand apart to keep `cli` short."""

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from personsearch.errors import ConfigError

Device = Annotated[str, typer.Option(help='"auto", "cpu", "cuda" or "cuda:1".')]


class Source(StrEnum):
    """Whose checkpoint is converted."""

    SEQNET = "seqnet"
    NAE = "nae"
    ALIGNPS = "alignps"
    ROI_ALIGNPS = "roi-alignps"


def models() -> None:
    """List the architectures, the models on this machine, and the names of the manifest, as JSON."""
    from personsearch.models import ARCHITECTURES
    from personsearch.weights import manifest, read_config
    from personsearch.weights.find import find_here
    from personsearch.weights.local import local_models

    here = [{"name": name, "folder": str(folder), **_summary(read_config(folder))} for name, folder in local_models().items()]
    named = [
        {"name": name, "architecture": entry.architecture, "source": entry.source.kind, "folder": folder and str(folder)}
        for name, entry in manifest.models().items()
        for folder in [find_here(name, entry)]
    ]
    typer.echo(json.dumps({"architectures": list(ARCHITECTURES), "models": here, "manifest": named}, indent=2))


def convert(
    file: Annotated[Path, typer.Argument(help="A checkpoint as its authors released it.")],
    out_dir: Annotated[Path | None, typer.Argument(help="The model folder to make, with --from; open it with --model.")] = None,
    source: Annotated[Source | None, typer.Option("--from", help="Whose code wrote the checkpoint.")] = None,
    name: Annotated[
        str | None, typer.Option(help="A name of the manifest instead of a folder: checked, and kept in the local store.")
    ] = None,
) -> None:
    """Turn an authors' checkpoint into a model (safetensors and config.json): `FILE --name NAME`, or `FILE OUT_DIR --from SOURCE`."""
    from personsearch.convert import convert_checkpoint, convert_named

    if name is not None and out_dir is None and source is None:
        folder = convert_named(file, name)
    elif name is None and out_dir is not None and source is not None:
        folder = convert_checkpoint(file, out_dir, source=source.value)
    else:
        raise ConfigError("give either --name, which says the rest, or OUT_DIR and --from")
    typer.echo(json.dumps({"folder": str(folder)}))


def export(
    model: Annotated[str, typer.Argument(help="A model folder, a name that `personsearch models` lists, or hf:org/name@revision.")],
    out: Annotated[Path, typer.Argument(help="The .onnx file to write; of the small model, which is two networks, a folder.")],
) -> None:
    """Write a model for ONNX Runtime; Python opens it with from_pretrained(OUT)."""
    from personsearch.export import export_folder, export_nano
    from personsearch.weights import read_config
    from personsearch.weights.find import find_model

    folder = find_model(model)
    write = export_nano if read_config(folder)["architecture"] == "nano" else export_folder
    typer.echo(json.dumps({"file": str(write(folder, out))}))


def train(
    recipe: Annotated[str, typer.Argument(help="A recipe's name, or a JSON file; a wrong name lists them.")],
    places: Annotated[
        list[Path],
        typer.Argument(
            metavar="[DATA] OUT",
            help="DATA: COCO-style annotations.json, or its folder; not with --dataset. OUT: folder of the training: state, log and model.",
        ),
    ],
    dataset: Annotated[
        list[str] | None, typer.Option(help="Instead of DATA: a data set; a wrong name lists them. May be given again.")
    ] = None,
    root: Annotated[list[Path] | None, typer.Option(help="With --dataset: its folder; as often, in the same order.")] = None,
    device: Device = "auto",
    resume: Annotated[bool, typer.Option(help="Go on with the training in OUT, to the same numbers.")] = False,
    teacher: Annotated[Path | None, typer.Option(help="Folder of the crop network that a DKD recipe learns from.")] = None,
    initial: Annotated[
        Path | None, typer.Option(help="Start from the backbone of this model folder; OUT/initial.json lists what was taken.")
    ] = None,
    whole: Annotated[bool, typer.Option(help="With --initial: start from all of it; it must be the same network.")] = False,
    test_data: Annotated[Path | None, typer.Option(help="Measure the model on these during training.")] = None,
    workers: Annotated[int, typer.Option(help="Processes that decode pictures.")] = 0,
) -> None:
    """Train a model; prints its folder, which --model opens."""
    names, roots = dataset or [], root or []
    if len(names) != len(roots) or len(places) != (1 if names else 2):
        raise ConfigError("give RECIPE DATA OUT, or RECIPE OUT with --dataset NAME --root DIR, as many of one as of the other")
    if whole and initial is None:
        raise ConfigError("--whole says how much of --initial FOLDER to take; give both")
    from personsearch.training.initialise import InitialRecipe
    from personsearch.training.run import TrainOptions
    from personsearch.training.run import train as run

    start = None if initial is None else InitialRecipe(folder=initial, take="whole" if whole else "backbone")
    data = list(zip(names, roots, strict=True)) or places[0]
    options = TrainOptions(device=device, resume=resume, teacher=teacher, initial=start, test_data=test_data, workers=workers)
    folder = run(recipe, data, places[-1], options)
    typer.echo(json.dumps({"folder": str(folder)}))


def _summary(config: dict[str, Any]) -> dict[str, Any]:
    return {name: config[name] for name in ("architecture", "min_score") if name in config}

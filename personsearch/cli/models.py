"""The commands for model files: list, convert, export."""

import json
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from personsearch.cli.options import say
from personsearch.cli.tables import print_table
from personsearch.errors import ConfigError


def models(as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False) -> None:
    """List the models: those on this machine, and those of the manifest with licence and numbers (mAP / top-1 in percent)."""
    from personsearch.models import ARCHITECTURES
    from personsearch.weights import manifest, read_config
    from personsearch.weights.find import find_here
    from personsearch.weights.local import local_models

    here = [{"name": name, "folder": str(folder), **_summary(read_config(folder))} for name, folder in local_models().items()]
    named = [
        {
            "name": name,
            "architecture": entry.architecture,
            "source": entry.source.kind,
            "folder": folder and str(folder),
            "licences": entry.licences.model_dump(),
            "measured": [one.model_dump(include={"dataset", "setting", "map", "top1"}) for one in entry.metrics.measured],
            "published": [one.model_dump(include={"dataset", "setting", "map", "top1"}) for one in entry.metrics.published],
        }
        for name, entry in manifest.models().items()
        for folder in [find_here(name, entry)]
    ]
    if as_json:
        typer.echo(json.dumps({"architectures": list(ARCHITECTURES), "models": here, "manifest": named}, indent=2))
        return
    names = {one["name"] for one in named}
    rows = [_named_row(one) for one in named]
    rows += [(one["name"], one.get("architecture", ""), "yes", "", "your own") for one in here if one["name"] not in names]
    print_table(("model", "architecture", "here", "mAP / top-1", "licence of the weights"), rows)
    say("a model that is not here: personsearch search --model NAME says how to get it; --json has all numbers")


def convert(
    file: Annotated[Path, typer.Argument(help="Checkpoint file of a paper's authors.")],
    out_dir: Annotated[Path | None, typer.Argument(help="Model folder to write, with --from; --model opens it.")] = None,
    source: Annotated[
        Literal["seqnet", "nae", "gfn", "coat", "alignps", "roi-alignps"] | None,
        typer.Option("--from", help="Code that wrote the checkpoint."),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="Name in the manifest, instead of a folder: the checkpoint is checked and stored under this name.")
    ] = None,
) -> None:
    """Convert an authors' checkpoint to a model (safetensors and config.json): `FILE --name NAME`, or `FILE OUT_DIR --from SOURCE`."""
    from personsearch.convert import convert_checkpoint, convert_named

    if name is not None and out_dir is None and source is None:
        folder = convert_named(file, name)
    elif name is None and out_dir is not None and source is not None:
        folder = convert_checkpoint(file, out_dir, source=source)
    else:
        raise ConfigError("pass either --name, or OUT_DIR with --from")
    typer.echo(json.dumps({"folder": str(folder)}))


def export(
    model: Annotated[str, typer.Argument(help="Model folder, a name that `personsearch models` lists, or hf:org/name@revision.")],
    out: Annotated[Path, typer.Argument(help="The .onnx file to write; for the small model, which has two networks, a folder.")],
) -> None:
    """Export a model for ONNX Runtime; from_pretrained(OUT) opens it in Python."""
    from personsearch.export import export_folder, export_nano
    from personsearch.weights import read_config
    from personsearch.weights.find import find_model

    folder = find_model(model)
    write = export_nano if read_config(folder)["architecture"] == "nano" else export_folder
    typer.echo(json.dumps({"file": str(write(folder, out))}))


def _summary(config: dict[str, Any]) -> dict[str, Any]:
    return {name: config[name] for name in ("architecture", "min_score") if name in config}


def _named_row(one: dict[str, Any]) -> tuple[str, ...]:
    """The table's row of a model of the manifest; published numbers are marked as such."""
    kind, numbers = ("", one["measured"]) if one["measured"] else ("published: ", one["published"])
    first = f"{kind}{numbers[0]['dataset'].rsplit(',', 1)[0]} {numbers[0]['map']:.1f} / {numbers[0]['top1']:.1f}" if numbers else ""
    return one["name"], one["architecture"], "yes" if one["folder"] else "no", first, one["licences"]["weights"].split(";")[0]

"""The `personsearch` command: data on stdout as JSON, messages on stderr, exit code 1 for an error, 2 for wrong usage."""

import sys
from typing import Annotated

import typer

from personsearch import __version__
from personsearch.cli import compare, demo, detect, evaluate, galleries, models, recipes, search, training, ui
from personsearch.cli.options import set_up_messages
from personsearch.errors import PersonSearchError, shown

TORCH = ("torch", "torchvision")  # what an installation for models on ONNX Runtime may leave out

app = typer.Typer(
    name="personsearch",
    help="Find a person in whole scene photos: detect everyone, embed everyone, rank. All data stays on this machine.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

COMMANDS = (
    detect.detect,
    search.index,
    search.search,
    evaluate.evaluate,
    compare.compare,
    demo.demo,
    models.models,
    models.convert,
    models.export,
    recipes.recipes,
    training.train,
    ui.ui,
)
for _command in COMMANDS:
    app.command()(_command)
app.add_typer(galleries.app, name="galleries")


@app.callback(invoke_without_command=True)
def _options(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", help="Say on stderr what is done: which gallery, why, with which backend.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print no messages and no progress on stderr, but errors.")] = False,
) -> None:
    if verbose and quiet:
        raise typer.BadParameter("--verbose and --quiet exclude each other")
    set_up_messages(context, verbose=verbose, quiet=quiet)
    if version:
        typer.echo(__version__)
        raise typer.Exit


def main() -> None:
    """Run the command; an expected error is one line on stderr and exit code 1."""
    try:
        app()
    except (PersonSearchError, OSError) as error:  # OSError: for example a file that cannot be written
        typer.echo(f"error: {shown(error, lines=True)}", err=True)
        sys.exit(1)
    except ModuleNotFoundError as error:
        if error.name not in TORCH:
            raise
        typer.echo(f"error: {error.name} is not installed, and this command needs it; run: pip install torch torchvision", err=True)
        sys.exit(1)

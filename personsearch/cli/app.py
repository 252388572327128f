"""The `personsearch` command: data on stdout as JSON, messages on stderr, exit code 1 for an error, 2 for wrong usage."""

import logging
import sys
from typing import Annotated

import typer

from personsearch import __version__
from personsearch.cli import compare, demo, detect, evaluate, models, recipes, search, training, ui
from personsearch.cli.options import say
from personsearch.errors import PersonSearchError

TORCH = ("torch", "torchvision")  # what an installation for models on ONNX Runtime may leave out

app = typer.Typer(
    name="personsearch",
    help="Find a person in whole scene photos: detect everyone, embed everyone, rank. All data stays on this machine.",
    no_args_is_help=True,
    add_completion=False,
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


@app.callback(invoke_without_command=True)
def _options(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", help="Print more messages on stderr.")] = False,
) -> None:
    logging.basicConfig(stream=sys.stderr, level=logging.INFO if verbose else logging.WARNING, format="%(levelname)s %(message)s")
    if version:
        typer.echo(__version__)
        raise typer.Exit


def main() -> None:
    """Run the command; an expected error is one line on stderr and exit code 1."""
    try:
        app()
    except (PersonSearchError, OSError) as error:  # OSError: for example a file that cannot be written
        say(f"error: {error}")
        sys.exit(1)
    except ModuleNotFoundError as error:
        if error.name not in TORCH:
            raise
        say(f"error: {error.name} is not installed, and this command needs it; run: pip install torch torchvision")
        sys.exit(1)

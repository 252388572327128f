"""The `recipes` command: what can be trained."""

from pathlib import Path
from typing import Annotated

import typer

# The text of `training.recipes.listing.table`, which builds every recipe and needs PyTorch; `python -m docs.tables` writes it
LIST_FILE = Path(__file__).parent.parent / "data/recipes.txt"


def recipes(
    name: Annotated[str | None, typer.Argument(help="Recipe to print as JSON, to edit and to pass to train.")] = None,
) -> None:
    """List the recipes of `train` by paper: what each is, its start, its schedule, and what differs; or print one as JSON."""
    if name is None:
        typer.echo(LIST_FILE.read_text(encoding="utf-8"), nl=False)
        return
    from personsearch.training.recipes import load_recipe

    typer.echo(load_recipe(name).model_dump_json(indent=2))

"""The `recipes` command: what can be trained."""

from typing import Annotated

import typer


def recipes(
    name: Annotated[str | None, typer.Argument(help="Recipe to print as JSON, to edit and to pass to train.")] = None,
) -> None:
    """List the recipes of `train` by paper: what each is, its start, its schedule, and what differs; or print one as JSON."""
    from personsearch.training.recipes import load_recipe
    from personsearch.training.recipes.listing import table

    typer.echo(table() if name is None else load_recipe(name).model_dump_json(indent=2))

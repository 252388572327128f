"""How the command lines of this folder run."""

from collections.abc import Callable

import typer

from personsearch.errors import PersonSearchError


def run(main: Callable[..., None] | typer.Typer) -> None:
    """Run a command; an error of ours is one line and exit code 1."""
    try:
        if isinstance(main, typer.Typer):
            main()
        else:
            typer.run(main)
    except PersonSearchError as error:
        typer.echo(f"error: {error}", err=True)
        raise SystemExit(1) from error

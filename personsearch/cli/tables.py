"""Tables on stdout for people to read."""

from collections.abc import Sequence

import typer

from personsearch.errors import shown


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows under their columns, two spaces apart; the last column is as wide as it is."""
    lines = [[shown(cell) for cell in row] for row in (columns, *rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(columns))]
    for line in lines:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())

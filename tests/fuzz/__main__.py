"""Damaged inputs by the thousand: `python -m tests.fuzz --cases 10000`; prints a table of counts, and every fault."""

import itertools
import sys
import time
from collections import Counter
from typing import Annotated

import typer

from tests.fuzz.kinds import KINDS
from tests.fuzz.worker import Outcome, run_cases


def main(
    cases: Annotated[int, typer.Option(help="Cases of all kinds together.")] = 10_000,
    only: Annotated[list[str] | None, typer.Option(help=f"Kinds; repeat for several: {', '.join(KINDS)}.")] = None,
    first: Annotated[int, typer.Option(help="The first seed.")] = 0,
    minutes: Annotated[float, typer.Option(help="Start no case after so many minutes.")] = 600.0,
) -> None:
    """Run the cases and print one row per kind."""
    kinds = only or list(KINDS)
    seeds = range(first, first + -(-cases // len(kinds)))
    outcomes: list[Outcome] = []
    end = time.monotonic() + 60 * minutes
    in_time = itertools.takewhile(lambda _: time.monotonic() < end, ((kind, seed) for seed in seeds for kind in kinds))
    for outcome in run_cases(in_time):
        outcomes.append(outcome)
        if outcome.verdict == "fault":
            sys.stderr.write(f"{outcome.kind} {outcome.seed}: {outcome.detail}\n")
    typer.echo("| kind | cases | right | refused | faults |\n|---|---|---|---|---|")
    for kind in kinds:
        counts = Counter(outcome.verdict for outcome in outcomes if outcome.kind == kind)
        typer.echo(f"| {kind} | {counts.total()} | {counts['right']} | {counts['refused']} | {counts['fault']} |")
    if any(outcome.verdict == "fault" for outcome in outcomes):
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)

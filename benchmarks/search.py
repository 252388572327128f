"""Time of a search in memory, beside one pass over the same embeddings in the same run.

    python benchmarks/search.py [--boxes 10000 --boxes 100000 --boxes 1000000] [--dim 256] [--rounds 15]

One pass is a sum over all embeddings: nothing exact can be much faster than reading the memory once. The bare product is
the matrix product with the queries, without choosing the best. What is compared takes turns within a round, because machines
are noisy; medians are printed. CBGM alone is its part of a query beyond the cosines: choosing scenes and matching.
"""

import os
import platform
import statistics
import subprocess
import time
from collections.abc import Callable
from typing import Annotated

import numpy as np
import scipy
import typer

from personsearch import __version__
from personsearch.boxes import Array
from personsearch.cbgm import Context, choose_scenes, rescore
from personsearch.ranking import rank, rank_cbgm

PEOPLE_A_SCENE = 6
TOP_K, K1, K2 = 10, 30, 4
COLUMNS = ("boxes", "queries", "pass ms", "bare product ms", "search ms", "ms / query", "of a pass", "of the product")


def unit(rng: np.random.Generator, rows: int, dim: int) -> Array:
    """(rows, dim) float32 random unit rows."""
    embeddings = rng.standard_normal((rows, dim), np.float32)
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    return embeddings


def take_turns(rounds: int, *calls: Callable[[], object]) -> list[float]:
    """Median milliseconds of each call; the first round warms up."""
    times: list[list[float]] = [[] for _ in calls]
    for _ in range(rounds + 1):
        for call, taken in zip(calls, times, strict=True):
            start = time.perf_counter()
            call()
            taken.append(1000 * (time.perf_counter() - start))
    return [statistics.median(taken[1:]) for taken in times]


def search_row(gallery: Array, queries: Array, rounds: int) -> list[str]:
    """One line of the table."""
    one_pass, product, search = take_turns(rounds, gallery.sum, lambda: queries @ gallery.T, lambda: rank(queries, gallery, TOP_K))
    numbers = [one_pass, product, search, search / len(queries)]
    return [f"{len(gallery):,}", str(len(queries)), *(f"{x:.3f}" for x in numbers), f"{search / one_pass:.2f}", f"{search / product:.2f}"]


def cbgm_row(gallery: Array, rng: np.random.Generator, rounds: int) -> list[str]:
    """Milliseconds of CBGM alone, and of a whole search with it."""
    scenes = np.arange(len(gallery)) // PEOPLE_A_SCENE
    context = Context(unit(rng, PEOPLE_A_SCENE, gallery.shape[1]), rng.random(PEOPLE_A_SCENE, np.float32))
    scores = rng.random(len(gallery), np.float32)
    (best,) = rank(context.embeddings[:1], gallery, 4 * K1)
    best = best.take(np.argsort(best.rows))

    def cbgm() -> None:
        chosen = choose_scenes(best.keys, scenes[best.rows], K1, "paper")
        rescore(context.keep(K2), gallery, scenes, chosen)

    times = take_turns(rounds, cbgm, lambda: rank_cbgm(context, gallery, scores, scenes, TOP_K, k1=K1, k2=K2))
    return [f"{len(gallery):,}", *(f"{x:.3f}" for x in times)]


def print_table(columns: tuple[str, ...], rows: list[list[str]]) -> None:
    """A Markdown table on stdout."""
    for cells in (columns, ["---"] * len(columns), *rows):
        typer.echo(f"| {' | '.join(cells)} |")
    typer.echo()


def machine() -> str:
    """What the numbers belong to."""
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False).stdout.strip()
    processor = platform.processor() or platform.machine()
    return (
        f"{processor}, {os.cpu_count()} cores, {platform.system()}; Python {platform.python_version()}, numpy {np.__version__}, "
        f"scipy {scipy.__version__}; personsearch {__version__} at {commit}"
    )


def main(
    boxes: Annotated[list[int] | None, typer.Option(help="Gallery sizes; 10 k, 100 k and 1 M by default.")] = None,
    dim: int = 256,
    rounds: int = 15,
) -> None:
    """Print two tables."""
    rng = np.random.default_rng(0)
    searches, matchings = [], []
    for size in boxes or [10_000, 100_000, 1_000_000]:
        gallery = unit(rng, size, dim)
        searches += [search_row(gallery, unit(rng, count, dim), rounds) for count in (1, 64)]
        matchings.append(cbgm_row(gallery, rng, rounds))
    typer.echo(f"{machine()}; {dim} numbers a box, median of {rounds} rounds\n")
    print_table(COLUMNS, searches)
    print_table(("boxes", f"CBGM alone ms (k1 = {K1}, k2 = {K2})", "search with CBGM ms"), matchings)


if __name__ == "__main__":
    typer.run(main)

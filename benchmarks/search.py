"""Time of a search in memory, beside one pass over the same embeddings; or the recall of float16 storage and of the vector index.

    python -m benchmarks.search [--boxes 10000 --boxes 100000 --boxes 1000000] [--dim 256] [--rounds 15]
    python -m benchmarks.search --recall 100000 [--recall 1000000] [--dim 256]

One pass is a sum over all embeddings: an exact search cannot be much faster than reading the memory once. The bare product is the matrix
product with the queries, without choosing the best. The calls take turns within a round, because machines are noisy; medians are
printed. "CBGM alone" is its time beyond the cosines: choosing scenes and matching.

--recall makes galleries on disk, with embeddings in float32 and in float16, and searches each in memory and by its vector index.
Recall@10 is the share of the ten best by exact float32 cosine that are among the ten hits. The people are random directions with thirty
rows around each; two rows of a person have a mean cosine of .7, and queries are new rows of the same people.
"""

import os
import platform
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import numpy as np
import scipy
import typer

from personsearch import __version__
from personsearch.boxes import Array
from personsearch.gallery import FramePeople, Gallery, ModelKey, Storage
from personsearch.ranking import CBGM, Context, rank, rank_cbgm
from personsearch.ranking.cbgm import choose_scenes, rescore
from personsearch.results import Detections
from personsearch.searching import RankedPeople, SearchOptions, context_rows, search

PEOPLE_A_SCENE = 6
TOP_K, K1, K2 = 10, 30, 4
ROWS_A_PERSON, QUERIES, FRAMES_A_COMMIT = 30, 200, 4096
SPREAD = (1 / 0.7 - 1) ** 0.5  # spread of a person's rows around their direction: mean cosine 1 / (1 + SPREAD^2)
RECALL_COLUMNS = ("boxes", "storage", "engine", "recall@10", "ms / query", "index made, s", "on the disk, MiB")
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
        for call, durations in zip(calls, times, strict=True):
            start = time.perf_counter()
            call()
            durations.append(1000 * (time.perf_counter() - start))
    return [statistics.median(durations[1:]) for durations in times]


def search_row(gallery: Array, queries: Array, rounds: int) -> list[str]:
    """One row of the table."""
    one_pass, product, search = take_turns(rounds, gallery.sum, lambda: queries @ gallery.T, lambda: rank(queries, gallery, TOP_K))
    numbers = [one_pass, product, search, search / len(queries)]
    return [f"{len(gallery):,}", str(len(queries)), *(f"{x:.3f}" for x in numbers), f"{search / one_pass:.2f}", f"{search / product:.2f}"]


def cbgm_row(gallery: Array, rng: np.random.Generator, rounds: int) -> list[str]:
    """Milliseconds of CBGM alone, and of a whole search with it."""
    scenes = np.arange(len(gallery)) // PEOPLE_A_SCENE
    context = Context(unit(rng, PEOPLE_A_SCENE, gallery.shape[1]), rng.random(PEOPLE_A_SCENE, np.float32))
    (best,) = rank(context.embeddings[:1], gallery, 4 * K1)
    best = best.take(np.argsort(best.rows))

    def cbgm() -> None:
        chosen = choose_scenes(best.keys, scenes[best.rows], K1, "paper")
        rescore(context.keep(K2), gallery, scenes, chosen)

    times = take_turns(rounds, cbgm, lambda: rank_cbgm(context, gallery, scenes, TOP_K, CBGM(K1, K2)))
    return [f"{len(gallery):,}", *(f"{x:.3f}" for x in times)]


def recall_rows(size: int, dim: int) -> list[list[str]]:
    """Rows of the table of --recall for one gallery size."""
    rng = np.random.default_rng(0)
    people = rng.standard_normal((-(-size // ROWS_A_PERSON), dim), np.float32)
    gallery = around(rng, people, np.arange(size) // ROWS_A_PERSON)
    rng.shuffle(gallery)
    queries = around(rng, people, rng.integers(0, len(people), QUERIES))
    exact = [set(ranking.rows.tolist()) for ranking in rank(queries, gallery, TOP_K)]
    lines = []
    storages: tuple[Storage, ...] = ("float32", "float16")
    for storage in storages:
        with tempfile.TemporaryDirectory() as home:
            made = write_gallery(Path(home) / "gallery.lance", gallery, storage)
            for engine, limit in (("exact", 2**62), ("index", 0)):
                made.memory_limit = limit
                start = time.perf_counter()
                search([made], context_rows(queries[:1]), SearchOptions(TOP_K))  # reads all embeddings, or builds the index
                first = time.perf_counter() - start
                start = time.perf_counter()
                rankings = search([made], context_rows(queries), SearchOptions(TOP_K))
                seconds = time.perf_counter() - start
                recall = np.mean([len(rows_of(ranking) & best) / TOP_K for ranking, best in zip(rankings, exact, strict=True)])
                disk = sum(path.stat().st_size for path in Path(home).rglob("*") if path.is_file()) / 2**20
                made_in = f"{first:.0f}" if engine == "index" else ""
                numbers = (f"{recall:.4f}", f"{1000 * seconds / QUERIES:.2f}", made_in, f"{disk:.0f}")
                lines.append([f"{size:,}", storage, rankings[0].engine, *numbers])
    return lines


def around(rng: np.random.Generator, people: Array, which: Array) -> Array:
    """(N, D) float32 random unit rows: row i lies around `people[which[i]]`."""
    rows: Array = people[which] + np.float32(SPREAD) * rng.standard_normal((len(which), people.shape[1]), np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows


def write_gallery(folder: Path, embeddings: Array, storage: Storage) -> Gallery:
    """A gallery of scenes with six people each, in the order of the rows."""
    made = Gallery.create_or_open(folder, ModelKey("made up", "made up", embeddings.shape[1]), storage=storage)
    frames = frames_of(embeddings)
    for start in range(0, len(frames), FRAMES_A_COMMIT):
        made.add(frames[start : start + FRAMES_A_COMMIT])
    return made


def frames_of(embeddings: Array, first: int = 0) -> list[FramePeople]:
    """Scenes with six people each, whose names are the numbers of their first rows, counted from `first`."""
    frames = []
    for start in range(0, len(embeddings), PEOPLE_A_SCENE):
        rows = embeddings[start : start + PEOPLE_A_SCENE]
        detections = Detections(np.zeros((len(rows), 4), np.float32), np.ones(len(rows), np.float32), rows)
        frames.append(FramePeople(f"{first + start:09d}", 0, None, 900, 1500, "", None, None, None, True, detections))
    return frames


def rows_of(ranking: RankedPeople) -> set[int]:
    """Rows of `write_gallery`'s embeddings in a ranking."""
    images, rows = ranking.people.images, ranking.people.rows
    return {int(image) + int(row) for image, row in zip(images, rows, strict=True)}


def print_table(columns: tuple[str, ...], rows: list[list[str]]) -> None:
    """A Markdown table on stdout."""
    for cells in (columns, ["---"] * len(columns), *rows):
        typer.echo(f"| {' | '.join(cells)} |")
    typer.echo()


def machine() -> str:
    """The machine, versions and commit of the numbers."""
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False).stdout.strip()
    processor = platform.processor() or platform.machine()
    return (
        f"{processor}, {os.cpu_count()} cores, {platform.system()}; Python {platform.python_version()}, numpy {np.__version__}, "
        f"scipy {scipy.__version__}; personsearch {__version__} at {commit}"
    )


def main(
    boxes: Annotated[list[int] | None, typer.Option(help="Gallery size; repeat it for several. 10 k, 100 k and 1 M by default.")] = None,
    recall: Annotated[
        list[int] | None,
        typer.Option(help="Gallery size at which to measure the recall of float16 and of the vector index instead; repeat it for several."),
    ] = None,
    dim: int = 256,
    rounds: int = 15,
) -> None:
    """Print the tables of search and CBGM, or that of --recall."""
    if recall:
        typer.echo(f"{machine()}; {dim} numbers a box, {QUERIES} queries\n")
        print_table(RECALL_COLUMNS, [line for size in recall for line in recall_rows(size, dim)])
        return
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

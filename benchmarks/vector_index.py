"""The vector index beside the exact search, on embeddings of people: recall, CPU time of a query, and cost of building and adding.

    python -m benchmarks.vector_index ROWS.npy [--crops 4] [--size 100000 --size 1000000] [--queries 100]

ROWS.npy holds a model's embeddings of crops, as many of each person in sequence as --crops says. In random directions no index can find
neighbours, so the gallery is made of these: a person is a random mixture of two of the real people, and a row is the person plus the
difference of two crops of one real person, so that rows of a person differ as those of real people do. Queries are further rows of
people of the gallery. Recall@10 is the share of the ten best by exact cosine that are among the ten hits.

CPU time is that of the whole process, user and system, on all its threads. A tenth of the people is added after the index is built.
"""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from benchmarks.search import frames_of, machine, print_table, rows_of, write_gallery
from personsearch.boxes import Array
from personsearch.gallery import Gallery, vector_index
from personsearch.ranking import rank
from personsearch.searching import RankedPeople, SearchOptions, context_rows, search

TOP_K, ROWS_A_PERSON = 10, 30
COLUMNS = ("people", "engine", "recall@10", "CPU ms a query", "CPU s to build or read", "CPU s to add a tenth", "partitions", "read")


class People:
    """Makes rows of people like real ones.

    Args:
        rows: (P, crops, D) embeddings of real people.
        count: Number of people.
    """

    def __init__(self, rows: Array, count: int) -> None:
        self.rng = np.random.default_rng(0)
        self.real = rows
        share = self.rng.uniform(0.2, 0.8, (count, 1)).astype(np.float32)
        one, other = (rows.mean(axis=1)[self.rng.integers(0, len(rows), count)] for _ in range(2))
        self.means = share * one + (1 - share) * other

    def rows(self, which: Array) -> Array:
        """(N, D) float32 unit rows of people (N,)."""
        differing = self.rng.integers(0, len(self.real), len(which))
        first = self.rng.integers(0, self.real.shape[1], len(which))
        second = (first + self.rng.integers(1, self.real.shape[1], len(which))) % self.real.shape[1]
        made: Array = self.means[which] + self.real[differing, first] - self.real[differing, second]
        made /= np.linalg.norm(made, axis=1, keepdims=True)
        return made


def cpu(call: Callable[[], object]) -> float:
    """CPU seconds of a call."""
    start = time.process_time()
    call()
    return time.process_time() - start


def measure(made: Gallery, queries: Array, best: list[set[int]]) -> tuple[float, float]:
    """Recall, and CPU milliseconds a query, one query after the other."""
    answers: list[RankedPeople] = []

    def ask() -> None:
        answers.extend(search([made], context_rows(query[None]), SearchOptions(TOP_K))[0] for query in queries)

    seconds = cpu(ask)
    recall = np.mean([len(rows_of(one) & expected) / TOP_K for one, expected in zip(answers, best, strict=True)])
    return float(recall), 1000 * seconds / len(queries)


def table(real: Array, size: int, count: int) -> list[list[str]]:
    """Rows of the table for one size."""
    people = People(real, max(1, size // ROWS_A_PERSON))
    gallery = people.rows(people.rng.integers(0, len(people.means), size))
    queries = people.rows(people.rng.integers(0, len(people.means), count))
    before = size * 10 // 11 // 6 * 6  # whole scenes
    lines = []
    with tempfile.TemporaryDirectory() as home:
        made = write_gallery(Path(home) / "gallery.lance", gallery[:before], "float32")
        made.memory_limit = 0
        build = cpu(made.build_index)
        add = cpu(lambda: _append(made, gallery[before:], before))
        best = [set(ranking.rows.tolist()) for ranking in rank(queries, gallery, TOP_K)]
        recall, milliseconds = measure(made, queries, best)
        choices = vector_index._choices(made._refresh().table)
        numbers = [f"{recall:.4f}", f"{milliseconds:.1f}", f"{build:.0f}", f"{add:.1f}", str(choices["partitions"]), str(choices["probes"])]
        lines.append([f"{size:,}", "index", *numbers])
        made.memory_limit = 2**62
        read = cpu(made.people)
        recall, milliseconds = measure(made, queries, best)
        lines.append([f"{size:,}", "exact", f"{recall:.4f}", f"{milliseconds:.1f}", f"{read:.0f}", "", "", ""])
    return lines


def _append(made: Gallery, rows: Array, start: int) -> None:
    """Add people whose names go on from those of `write_gallery`, and take them into the index."""
    made.add(frames_of(rows, start))
    made.tidy()


def main(
    rows: Path,
    crops: int = 4,
    size: Annotated[list[int] | None, typer.Option(help="Number of people; repeat it. 100 k and 1 M by default.")] = None,
    queries: int = 100,
) -> None:
    """Print the table of the index and the exact search on embeddings like those of ROWS."""
    real = np.load(rows).astype(np.float32)
    real = real[: len(real) // crops * crops].reshape(-1, crops, real.shape[1])
    print(f"{machine()}; {len(real)} real people with {crops} crops each, {real.shape[2]} numbers a row, {queries} queries\n")
    print_table(COLUMNS, [line for count in size or [100_000, 1_000_000] for line in table(real, count, queries)])


if __name__ == "__main__":
    typer.run(main)

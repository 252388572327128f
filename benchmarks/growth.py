"""What galleries cost as they grow: CPU seconds and bytes written of indexing, updating, adding, removing and searching.

    python -m benchmarks.growth [--pictures 1000 --pictures 10000 --pictures 100000] [--adds 1000] [--queries 64]

The model takes the place of a network, and takes no time: it finds ten people of 256 numbers in each picture, which is a BMP file of 8 x 8
pixels. So what is measured is the work of this package and of Lance. Each step runs in a process of its own; CPU seconds are user and
system time of the step without its imports, bytes are those that the process wrote to the disk (Linux counts them). Wall times are
printed too, and mean little on a busy machine.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from benchmarks.search import machine, print_table
from personsearch import Gallery, PersonSearcher
from personsearch.boxes import Array
from personsearch.ranking import CBGM, Context
from personsearch.results import Detections
from personsearch.searching import SearchOptions, context_rows, search

DIM, PEOPLE, SIDE = 256, 10, 8
HEADER = bytes.fromhex("424df6000000000000003600000028000000") + bytes([SIDE, 0, 0, 0, SIDE, 0, 0, 0, 1, 0, 24, 0]) + bytes(24)
COLUMNS = ("step", "CPU s", "wall s", "written, MiB", "peak memory, MiB")


class NoNetwork:
    """Finds ten people, whose embeddings depend on the pixels."""

    name, fingerprint, embedding_dim, min_score = "no network", "0" * 64, DIM, 0.5

    def prepare(self, image: Array) -> Array:
        """The pixels, as they are."""
        return image

    def detect(self, prepared: Sequence[Array], *, min_score: float = 0.0) -> list[Detections]:
        """Ten people in each picture."""
        return [self._people(image) for image in prepared]

    def _people(self, image: Array) -> Detections:
        rows = np.random.default_rng(list(image.tobytes()[:8])).standard_normal((PEOPLE, DIM), np.float32)
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        boxes = np.tile(np.array([0, 0, SIDE, SIDE], np.float32), (PEOPLE, 1))
        return Detections(boxes, np.linspace(1, 0.6, PEOPLE, dtype=np.float32), rows)

    def embed(self, prepared: Sequence[Array], boxes: Sequence[Array]) -> list[Array]:
        """Not measured."""
        raise NotImplementedError

    def embed_crops(self, crops: Sequence[Array]) -> Array:
        """Not measured."""
        raise NotImplementedError


def write_picture(folder: Path, number: int, *, version: int = 0) -> None:
    """A picture whose pixels depend on both numbers, in a folder of a thousand."""
    path = folder / f"{number // 1000:04}" / f"{number:07}.bmp"
    path.parent.mkdir(exist_ok=True, parents=True)
    pixels = np.random.default_rng([number, version]).integers(0, 256, 3 * SIDE * SIDE, np.uint8)
    path.write_bytes(HEADER + pixels.tobytes())
    before = time.time() - 3600  # a picture that changed just now would be read again by every run
    os.utime(path, (before + version, before + version))


def index(home: Path) -> dict[str, int]:
    """Bring the gallery up to date."""
    report = PersonSearcher(NoNetwork()).index(home / "photos", gallery=home / "g.lance", progress=False).report
    counts = {name: len(getattr(report, name)) for name in ("added", "changed", "removed", "unchanged", "unreadable")}
    return {name: count for name, count in counts.items() if count}


def count(home: Path) -> int:
    """Number of people, in a process that has read nothing else."""
    return len(Gallery.open(home / "g.lance"))


def search_twice(home: Path, queries: int, *, cbgm: bool) -> dict[str, float]:
    """CPU seconds of one query, which reads the gallery, and of many."""
    gallery = Gallery.open(home / "g.lance")
    rows = np.random.default_rng(0).standard_normal((queries, DIM), np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    contexts = [Context(np.roll(rows, -i, axis=0)[:6], np.ones(6, np.float32)) for i in range(queries)] if cbgm else None
    options = SearchOptions(10, CBGM() if cbgm else None)
    times = []
    for part in (slice(0, 1), slice(0, queries)):
        start = time.process_time()
        search([gallery], context_rows(rows[part], contexts and contexts[part]), options)
        times.append(time.process_time() - start)
    return {"first": round(times[0], 2), "all": round(times[1], 2)}


def add_one_by_one(home: Path, adds: int) -> list[float]:
    """CPU milliseconds of each hundred runs of indexing with one new picture each, per run."""
    searcher, hundreds = PersonSearcher(NoNetwork()), []
    for number in range(adds):
        if number % 100 == 0:
            start = time.process_time()
        write_picture(home / "photos", number)
        searcher.index([home / "photos" / f"{number // 1000:04}" / f"{number:07}.bmp"], gallery=home / "g.lance", progress=False)
        if number % 100 == 99:
            hundreds.append(round(1000 * (time.process_time() - start) / 100, 1))
    return hundreds


STEPS: dict[str, Callable[..., Any]] = {
    "index": index,
    "count": count,
    "plain": lambda home, queries: search_twice(home, queries, cbgm=False),
    "cbgm": lambda home, queries: search_twice(home, queries, cbgm=True),
    "adds": add_one_by_one,
}


def run_step(name: str, home: Path, *arguments: int) -> tuple[list[str], Any]:
    """Cells of a row, and what the step returned, from a process of its own."""
    command = [sys.executable, "-m", "benchmarks.growth", "--step", name, "--home", str(home), *(f"--argument={n}" for n in arguments)]
    done = subprocess.run(
        command, stdout=subprocess.PIPE, text=True, check=True, env={**os.environ, "PERSONSEARCH_HOME": str(home / "home")}
    )
    facts = json.loads(done.stdout)
    return [f"{facts['cpu']:.2f}", f"{facts['wall']:.1f}", f"{facts['written'] / 2**20:.1f}", f"{facts['memory']:.0f}"], facts["result"]


def measure(name: str, home: Path, arguments: list[int]) -> None:
    """Run one step in this process; print its costs as JSON."""
    import lance  # noqa: F401, a step does not count its loading
    import pyarrow.compute  # noqa: F401

    before, start, cpu = written(), time.perf_counter(), time.process_time()
    result = STEPS[name](home, *arguments)
    facts = {"cpu": time.process_time() - cpu, "wall": time.perf_counter() - start, "written": written() - before, "result": result}
    print(json.dumps({**facts, "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))


def written() -> int:
    """Bytes that this process has written; 0 where the system does not count them."""
    try:
        lines = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    except OSError:
        return 0
    return int(lines["write_bytes"])


def grow(pictures: int, queries: int) -> list[list[str]]:
    """Rows of the table for one size."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        for number in range(pictures):
            write_picture(home / "photos", number)

        def step(text: str, name: str, *arguments: int) -> None:
            cells, result = run_step(name, home, *arguments)
            shown = json.dumps(result).translate(str.maketrans("", "", '{}"'))
            rows.append([f"{pictures:,} pictures: {text} ({shown})", *cells])

        step("index all", "index")
        time.sleep(3)  # so that no date is too near to the indexing to be trusted
        step("nothing changed", "index")
        write_picture(home / "photos", pictures)
        step("one added", "index")
        write_picture(home / "photos", pictures // 2, version=1)
        step("one changed", "index")
        (home / "photos" / f"{pictures // 2000:04}" / f"{pictures // 2:07}.bmp").unlink()
        step("one removed", "index")
        step("count the people", "count")
        step(f"search for 1, then for {queries}; CPU s", "plain", queries)
        step(f"with CBGM, for 1, then for {queries}; CPU s", "cbgm", queries)
    return rows


def main(
    pictures: Annotated[list[int] | None, typer.Option(help="Number of pictures; repeat it. 1 k, 10 k and 100 k by default.")] = None,
    adds: Annotated[int, typer.Option(help="Number of runs of indexing with one new picture each; 0 leaves them out.")] = 1000,
    queries: int = 64,
    step: Annotated[str | None, typer.Option(hidden=True)] = None,
    home: Annotated[Path, typer.Option(hidden=True)] = Path(),
    argument: Annotated[list[int] | None, typer.Option(hidden=True)] = None,
) -> None:
    """Print the table of growth, and the cost of single additions."""
    if step is not None:
        measure(step, home, argument or [])
        return
    print(f"{machine()}; {DIM} numbers a person, {PEOPLE} people a picture\n")
    print_table(COLUMNS, [row for size in pictures or [1000, 10_000, 100_000] for row in grow(size, queries)])
    if adds:
        with tempfile.TemporaryDirectory() as folder:
            cells, hundreds = run_step("adds", Path(folder), adds)
        print(f"{adds} single additions: {cells[0]} CPU s, {cells[2]} MiB written; CPU ms each, by hundreds: {hundreds}")


if __name__ == "__main__":
    typer.run(main)

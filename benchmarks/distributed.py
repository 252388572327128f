"""How much faster several workers index than one: pictures per second of 1 and 2 workers in turns, after their start.

    python -m benchmarks.distributed [--pictures 1200] [--wait 20] [--rounds 2]
    python -m benchmarks.distributed --model nano --pictures 200

Without --model, the model waits a number of milliseconds for each picture, as a process waits for a GPU; so the numbers show what the
division of the work costs. --model nano takes the model inside the package, whose workers share this machine's cores.

A worker's speed counts from the first chunk that any worker has finished to the last: starting Ray and opening the model take seconds
once, whatever the number of pictures. Efficiency is the speed of N workers over N times that of one.
"""

import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.growth import NoNetwork, write_picture
from benchmarks.search import machine, print_table
from personsearch.boxes import Array
from personsearch.distributed import chunks, cluster, index, pool
from personsearch.distributed.chunks import Chunk
from personsearch.distributed.worker import Written
from personsearch.results import Detections

CHUNK = 16  # pictures, so that a short run has chunks enough


class Waiting(NoNetwork):
    """Waits for each picture, as for a GPU."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def detect(self, prepared: Sequence[Array], *, min_score: float = 0.0) -> list[Detections]:
        """Ten people in each picture."""
        time.sleep(self.seconds * len(prepared))
        return super().detect(prepared, min_score=min_score)


def speed(source: Path, model: Any, workers: int) -> float:
    """Pictures per second from the first finished chunk to the last."""
    times: list[tuple[float, int]] = []
    take = pool._Sink.take

    def timed(sink: pool._Sink, chunk: Chunk, written: Written, left: dict[str, int]) -> None:
        times.append((time.monotonic(), len(chunk.items)))
        take(sink, chunk, written, left)

    pool._Sink.take = timed  # type: ignore[method-assign, assignment]
    try:
        with tempfile.TemporaryDirectory() as folder:
            index(source, gallery=Path(folder) / "g.lance", model=model, workers=workers, progress=False)
    finally:
        pool._Sink.take = take  # type: ignore[method-assign]
    return sum(count for _, count in times[workers:]) / (times[-1][0] - times[workers - 1][0])  # each worker's first chunk is its start


def main(
    model: Annotated[str | None, typer.Option(help='"nano": the model inside the package; by default one that waits.')] = None,
    pictures: int = 1200,
    source: Annotated[Path | None, typer.Option(help="Folder of pictures; by default made-up ones.")] = None,
    wait: Annotated[float, typer.Option(help="Milliseconds that the waiting model takes for a picture.")] = 20,
    workers: int = 2,
    rounds: int = 2,
) -> None:
    """Print the table of 1 and several workers in turns."""
    chunks.MOST = CHUNK
    os.environ.setdefault("RAY_worker_niceness", "0")  # else workers yield to everything else on the machine
    opened: Any = None if model == "nano" else lambda: Waiting(wait / 1000)
    with tempfile.TemporaryDirectory() as made, cluster.joined(workers):
        folder = source or Path(made)
        for number in range(0 if source else pictures):
            write_picture(folder, number)
        speeds: dict[int, list[float]] = {1: [], workers: []}
        for _ in range(rounds):
            for count, rates in speeds.items():
                rates.append(speed(folder, opened, count))
    one, several = (statistics.median(rates) for rates in speeds.values())
    print(f"{machine()}; {pictures} pictures, {model or f'a model that waits {wait:g} ms a picture'}\n")
    rows = [[str(count), ", ".join(f"{rate:.1f}" for rate in rates), f"{statistics.median(rates):.1f}"] for count, rates in speeds.items()]
    print_table(("workers", "pictures/s of each round", "median"), rows)
    print(f"efficiency of {workers} workers: {several / (workers * one):.2f}")


if __name__ == "__main__":
    typer.run(main)

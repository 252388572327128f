"""Images per second and CPU time of indexing, beside those of the bare model on pictures in memory.

    python -m benchmarks indexing MODEL PICTURES [--rounds 5] [--limit 200] [--keep-memory]

The bare model reads decoded and prepared pictures, in the same batches. Rounds alternate, because machines are noisy; the medians and
their ratios are printed as JSON. CPU time is that of all threads of the process and hardly depends on other programs; where the networks
fill all cores, its ratio is the best that the ratio of the rates can be. With --keep-memory the process keeps freed memory, for both, as
`personsearch index` does.
"""

import json
import platform
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import typer

from personsearch import PersonSearcher, __version__, keep_freed_memory
from personsearch.images import BATCH
from personsearch.sources import open_source


@dataclass(frozen=True)
class Speed:
    """How fast a run was."""

    rate: float  # images per second
    cpu_ms: float  # CPU milliseconds of an image, of all threads


def timed(run: Callable[[], object], count: int) -> Speed:
    """The speed of a run over `count` images."""
    start, cpu = time.perf_counter(), time.process_time()
    run()
    return Speed(count / (time.perf_counter() - start), 1000 * (time.process_time() - cpu) / count)


def bare(searcher: PersonSearcher, prepared: list[object]) -> Speed:
    """The networks alone."""

    def run() -> None:
        for i in range(0, len(prepared), BATCH):
            searcher.model.detect(prepared[i : i + BATCH], min_score=searcher.model.min_score)

    return timed(run, len(prepared))


def indexed(searcher: PersonSearcher, source: object, count: int, every: int) -> Speed:
    """`PersonSearcher.index` into a new gallery."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "gallery.lance"
        return timed(lambda: searcher.index(source, gallery=place, every=every, progress=False), count)


def main(
    model: Path, pictures: str, rounds: int = 5, limit: int = 200, every: int = 1, device: str = "auto", keep_memory: bool = False
) -> None:
    """Index PICTURES (a folder, glob or video) with MODEL; print medians and ratio as JSON."""
    if keep_memory:
        keep_freed_memory()
    searcher = PersonSearcher.from_pretrained(model, device=device)
    items = tuple(open_source(pictures).items)
    frames = [frame for item in items[:limit] for frame in item.frames(every)]
    source = pictures if items[0].is_video else [item.image for item in items[:limit]]
    prepared = [searcher.model.prepare(frame.pixels) for frame in frames]
    bare(searcher, prepared[:BATCH])
    pairs = [(bare(searcher, prepared), indexed(searcher, source, len(frames), every)) for _ in range(rounds)]
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False).stdout.strip()
    report = {
        "images": len(frames),
        "memory_kept": keep_memory,
        "size": list(frames[0].pixels.shape[:2]),
        "bare_images_per_second": round(statistics.median(alone.rate for alone, _ in pairs), 2),
        "indexing_images_per_second": round(statistics.median(whole.rate for _, whole in pairs), 2),
        "median_ratio": round(statistics.median(whole.rate / alone.rate for alone, whole in pairs), 3),
        "bare_cpu_ms": round(statistics.median(alone.cpu_ms for alone, _ in pairs), 2),
        "indexing_cpu_ms": round(statistics.median(whole.cpu_ms for _, whole in pairs), 2),
        "median_cpu_ratio": round(statistics.median(alone.cpu_ms / whole.cpu_ms for alone, whole in pairs), 3),
        "personsearch": __version__,
        "commit": commit,
        "machine": f"{platform.processor() or platform.machine()}, {platform.python_version()}",
    }
    typer.echo(json.dumps(report, indent=2))


if __name__ == "__main__":
    typer.run(main)

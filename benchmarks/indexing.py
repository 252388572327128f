"""Images per second of indexing, beside those of the bare model on pictures in memory.

    python -m benchmarks.indexing MODEL PICTURES [--rounds 5] [--limit 200]

The bare model reads decoded and prepared pictures, in the same batches. Rounds alternate, because machines are noisy; the medians and
their ratio are printed as JSON.
"""

import json
import platform
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import typer

from personsearch import PersonSearcher, __version__
from personsearch.images import BATCH
from personsearch.sources import open_source


def bare(searcher: PersonSearcher, prepared: list[object]) -> float:
    """Images per second of the networks alone."""
    start = time.perf_counter()
    for i in range(0, len(prepared), BATCH):
        searcher.model.detect(prepared[i : i + BATCH], min_score=searcher.model.min_score)
    return len(prepared) / (time.perf_counter() - start)


def indexed(searcher: PersonSearcher, source: object, count: int, every: int) -> float:
    """Images per second of `PersonSearcher.index` into a new gallery."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        searcher.index(source, gallery=Path(folder) / "gallery.lance", every=every, progress=False)
        return count / (time.perf_counter() - start)


def main(model: Path, pictures: str, rounds: int = 5, limit: int = 200, every: int = 1, device: str = "auto") -> None:
    """Index PICTURES (a folder, glob or video) with MODEL; print medians and ratio as JSON."""
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
        "size": list(frames[0].pixels.shape[:2]),
        "bare_images_per_second": round(statistics.median(alone for alone, _ in pairs), 2),
        "indexing_images_per_second": round(statistics.median(rate for _, rate in pairs), 2),
        "median_ratio": round(statistics.median(rate / alone for alone, rate in pairs), 3),
        "personsearch": __version__,
        "commit": commit,
        "machine": f"{platform.processor() or platform.machine()}, {platform.python_version()}",
    }
    typer.echo(json.dumps(report, indent=2))


if __name__ == "__main__":
    typer.run(main)

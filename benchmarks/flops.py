"""FLOPs of one image in each network, and the share of a core's float32 peak at which it runs.

    python -m benchmarks flops [NETWORK ...] [--rounds 2] [--short-side 900] [--long-side 1500]

FLOPs are those of the plain form's convolutions (deformable ones too) and matrix products; a multiplication and an addition are two. The
seconds are CPU seconds of one thread with memory kept, in turns with a large product of matrices, whose best rate is the peak; the fastest
run counts, as other programs on the same core take its caches and units. A fast form that leaves out multiplications (Winograd's) can have
a larger share than its own arithmetic. The output is a table for RESULTS.md.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.latency_networks import BUNDLED, NETWORKS, SMALL, picture, write

SIDE = 2048  # of the square matrices whose product is the peak
PRODUCTS = 4  # before and after each run
HEAD = "| network | GFLOP | people | CPU s | GFLOP/CPU s | peak | share |\n|---|---|---|---|---|---|---|"


def main(
    networks: Annotated[list[str] | None, typer.Argument()] = None, rounds: int = 2, short_side: int = 900, long_side: int = 1500
) -> None:
    """Print a row for each network."""
    typer.echo(HEAD)
    for name in networks or (*NETWORKS, SMALL):
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-m", "benchmarks.flops", "--work", name, str(rounds), str(short_side), str(long_side)]
        subprocess.run(command, check=True, env=environment)


def work(name: str, rounds: int, short_side: int, long_side: int) -> None:
    """Measure one network in this process, which has one thread."""
    import torch

    from benchmarks.flop_count import flops_of
    from benchmarks.latency import _open

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as home:
        write(name, Path(home), short_side, long_side)
        image = picture(name, short_side, long_side)
        opened = _open("kept", Path(home), "cpu")  # before the plain form, which takes the fast forms out of the modules
        plain = _open("plain", Path(home), "cpu")
        flops = flops_of(partial(plain.detect, [plain.prepare(image)]))
        del plain
        prepared = [opened.prepare(image)]
        people = len(opened.detect(prepared)[0])
        matrix = torch.randn(SIDE, SIDE)
        products, runs = [], []
        for _ in range(rounds):
            products += [cpu_seconds(lambda: matrix @ matrix) for _ in range(PRODUCTS)]
            runs.append(cpu_seconds(lambda: opened.detect(prepared)))
        products += [cpu_seconds(lambda: matrix @ matrix) for _ in range(PRODUCTS)]
    peak, seconds = 2 * SIDE**3 / min(products), min(runs)
    digits = 3 if name in BUNDLED else 1
    numbers = f"{flops / 1e9:.{digits}f} | {people} | {seconds:.{digits}f} | {flops / seconds / 1e9:.1f} | {peak / 1e9:.1f}"
    print(f"| {name} | {numbers} | {flops / seconds / peak:.2f} |", flush=True)


def cpu_seconds(run: Callable[[], Any]) -> float:
    """CPU seconds of this process for one run."""
    start = time.process_time()
    run()
    return time.process_time() - start


if __name__ == "__main__":
    if sys.argv[1:2] == ["--work"]:
        work(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5]))
    else:
        typer.run(main)

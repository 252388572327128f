"""CPU seconds of scene networks in turns, and what bfloat16 changes in their people.

    python -m benchmarks precision [NETWORK ...] [--rounds 1] [--short-side 900] [--long-side 1500]

Each network has a process of its own with one thread, opened as a user opens it, with the weights of `latency`; a round goes through all
of them. The networks take turns in each of three forms, one form after the other, because memory that is kept stays kept: float32 as
opened, float32 with freed memory kept (`personsearch.memory`), and bfloat16 with memory kept. CPU seconds hardly depend on what else the
machine does; ratios to the first network are of the same run. The output is a table for RESULTS.md: the last columns compare bfloat16
with float32, see `agreement.differences`. The first run of a form also prepares its layers; with `--rounds 1` it is the only run.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks import agreement
from benchmarks.latency_networks import ONE_NETWORK, picture, write

DEFAULT = ("seqnet", "coat", "gfn")
FORMS = ("opened", "kept", "bfloat16")
COLUMNS = ("network", "people", "opened, CPU s", "memory kept", "bfloat16", "kept / first", "bfloat16 / kept")
COMPARED = ("found again", "px", "score", "cosine, least, mean")
RUN = (sys.executable, "-m", "benchmarks.precision")


def main(
    networks: Annotated[list[str] | None, typer.Argument()] = None, rounds: int = 1, short_side: int = 900, long_side: int = 1500
) -> None:
    """Print a row for each network."""
    names = networks or list(DEFAULT)
    unknown = [name for name in names if name not in ONE_NETWORK]
    if unknown:
        raise typer.BadParameter(f"unknown: {', '.join(unknown)}; the networks are {', '.join(ONE_NETWORK)}")
    if rounds < 1:
        raise typer.BadParameter(f"--rounds takes 1 or more, got {rounds}")
    sizes = [str(short_side), str(long_side)]
    with tempfile.TemporaryDirectory() as home:
        workers = {name: _start(name, Path(home) / name, sizes) for name in names}
        answers: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
        for form in (form for form in FORMS for _ in range(rounds)):  # memory that is kept stays kept
            for name, worker in workers.items():
                answers[name].append(_answer(name, worker, form) | {"form": form})
        for worker in workers.values():
            worker.communicate()
        rows = {name: _row(answers[name], Path(home) / name) for name in names}
    typer.echo(f"| {' | '.join(COLUMNS + COMPARED)} |\n{'|---' * len(COLUMNS + COMPARED)}|")
    for name, row in rows.items():
        typer.echo(_line(name, row, rows[names[0]]))


def _start(name: str, folder: Path, sizes: list[str]) -> "subprocess.Popen[str]":
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [*RUN, "--work", name, str(folder), *sizes], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    )


def _answer(name: str, worker: "subprocess.Popen[str]", form: str) -> dict[str, Any]:
    """CPU seconds of a form in a worker, under `seconds`.

    Raises:
        typer.BadParameter: The worker has ended, such as for lack of memory.
    """
    ended = f"{name} ended without an answer; see its error above, and free memory (each network has its own process)"
    if worker.stdin is None or worker.stdout is None:
        raise ValueError(f"the worker of {name} has no pipes; start it with stdin and stdout as pipes")
    try:
        worker.stdin.write(f"{form}\n")
        worker.stdin.flush()
    except BrokenPipeError as error:
        raise typer.BadParameter(ended) from error
    line = worker.stdout.readline()
    if not line:
        raise typer.BadParameter(ended)
    answer: dict[str, Any] = json.loads(line)
    return answer


def _row(answers: list[dict[str, Any]], folder: Path) -> dict[str, Any]:
    """Medians of the CPU seconds by form, the people, and what bfloat16 changes."""
    seconds = {form: statistics.median(answer["seconds"] for answer in answers if answer["form"] == form) for form in FORMS}
    reference, bfloat16 = (agreement.load(folder / f"{form}.npz") for form in ("kept", "bfloat16"))
    return {"people": len(reference), **seconds, **agreement.differences(bfloat16, reference)}


def _line(name: str, row: dict[str, Any], first: dict[str, Any]) -> str:
    cells = [name, row["people"], *(f"{row[form]:.1f}" for form in FORMS), f"{row['kept'] / first['kept']:.2f}"]
    cells += [f"{row['bfloat16'] / row['kept']:.2f}", f"{row['share']:.0%}"]
    if "box" in row:
        cells += [f"{row['box']:.1f}", f"{row['score']:.4f}", f"{row['least_cosine']:.5f}, {row['mean_cosine']:.5f}"]
    else:
        cells += ["-", "-", "-"]
    return f"| {' | '.join(map(str, cells))} |"


def work(name: str, folder: Path, short_side: int, long_side: int) -> None:
    """For each form read from stdin: detect once, then print the CPU seconds."""
    import torch

    from personsearch import backends
    from personsearch.memory import keep_freed_memory
    from personsearch.models.scene import SceneModel, set_precision

    torch.set_num_threads(1)
    folder.mkdir()
    write(name, folder, short_side, long_side)
    model = backends.open_model(folder, "cpu", "torch")
    assert isinstance(model, SceneModel)
    prepared = [model.prepare(picture(name, short_side, long_side))]
    for line in sys.stdin:
        form = line.strip()
        if form != "opened":
            keep_freed_memory()
        set_precision(model, "bfloat16" if form == "bfloat16" else "float32")
        start = time.process_time()
        (people,) = model.detect(prepared)
        seconds = time.process_time() - start
        agreement.save(people, folder / f"{form}.npz")
        print(json.dumps({"seconds": seconds}), flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--work"]:
        work(sys.argv[2], Path(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5]))
    else:
        typer.run(main)

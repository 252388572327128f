"""All measurements of a machine with a GPU in one command of at most `--minutes`; what is measured already is not measured again.

    python -m benchmarks.gpu --out results            # on a GPU, 8 minutes
    python -m benchmarks.gpu --out results --quick    # small and on the CPU, to see that it runs
    python -m benchmarks.gpu --out results --table    # the table of RESULTS.md from results/*.json

Each step runs in its own process and leaves one JSON file in the folder; a step that fails leaves its error there, and a step that no time
is left for is left out, so that the command run once more does the rest. The order is that of what is worth knowing first.
"""

import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.gpu_steps import STEPS
from benchmarks.gpu_table import write_table

RUN = (sys.executable, "-m", "benchmarks.gpu")
LATE = "not done after"  # beginning of the error of a step that takes too long
RESULTS = Path(__file__).parent / "RESULTS.md"
NETWORKS = ("seqnet", "roi-alignps", "nano", "alignps", "dkd", "trident", "two-step", "oim", "nae", "nae-plus", "alignps-plus")


@dataclass(frozen=True)
class Plan:
    """What is run, in order, as (step, argument), and the seconds that one of them may take."""

    jobs: tuple[tuple[str, str], ...]
    seconds: int


WHOLE = Plan(
    (
        ("machine", ""),
        ("tests", ""),
        *(("network", name) for name in NETWORKS[:2]),
        ("search", "10000000"),
        ("indexing", "nano"),
        ("indexing", "seqnet"),
        ("network", NETWORKS[2]),
        *(("onnx", name) for name in ("nano", "seqnet", "roi-alignps")),
        *(("compiled", name) for name in ("seqnet", "roi-alignps")),
        *(("network", name) for name in NETWORKS[3:]),
    ),
    seconds=90,
)
QUICK = Plan((("machine", ""), ("search", "20000"), ("onnx", "nano"), ("indexing", "nano"), ("network", "nano")), seconds=900)


def main(
    out: Annotated[Path, typer.Option(help="Folder of the results; those that are there are kept.")],
    minutes: Annotated[float, typer.Option(help="Time of the whole command.")] = 8,
    device: Annotated[str | None, typer.Option(help='"cuda", or "cpu" to try it; by default cuda, with --quick cpu.')] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Few small jobs.")] = False,
    table: Annotated[bool, typer.Option("--table", help="Write the table of what is there, and measure nothing.")] = False,
) -> None:
    """Measure what is not measured yet, then write the table."""
    end = time.monotonic() + 60 * minutes
    plan, device = (QUICK if quick else WHOLE), device or ("cpu" if quick else "cuda")
    out.mkdir(parents=True, exist_ok=True)
    for step, argument in () if table else plan.jobs:
        file = out / f"{'-'.join(part for part in (step, argument) if part)}.json"
        left = min(end - time.monotonic(), plan.seconds)
        if file.exists() or left < 10:
            continue
        result = job(step, argument, device, left, quick=quick)
        if left == plan.seconds or not result.get("error", "").startswith(LATE):  # a step with less than its own time runs once more
            file.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
        print(json.dumps({"step": step, "argument": argument, **({"error": result["error"]} if "error" in result else {})}), flush=True)
    write_table(out, out / "table.md" if quick else RESULTS)


def job(step: str, argument: str, device: str, seconds: float, *, quick: bool) -> dict[str, Any]:
    """The result of one step in a process of its own, or its error."""
    command = [*RUN, "--work", step, argument, device, "quick" if quick else "whole"]
    try:
        process = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired:
        return {"error": f"{LATE} {seconds:.0f} seconds"}
    if process.returncode:
        return {"error": process.stderr.strip().splitlines()[-1][:300] if process.stderr.strip() else f"exit code {process.returncode}"}
    result: dict[str, Any] = json.loads(process.stdout.splitlines()[-1])
    return result


if __name__ == "__main__":
    if sys.argv[1:2] == ["--work"]:
        print(json.dumps(STEPS[sys.argv[2]](sys.argv[3], sys.argv[4], quick=sys.argv[5] == "quick")))
    else:
        typer.run(main)

"""CPU seconds and peak memory of whole commands from start to end, here and in the checkout of an older commit, in turns.

git worktree add ../before COMMIT
python -m benchmarks start --before ../before
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

ROOT = Path(__file__).parent.parent
COMMANDS = {"demo": ["demo"], "models": ["models"], "help": ["--help"]}


def measure(checkout: Path, arguments: list[str]) -> tuple[float, float]:
    """CPU seconds (user and system) and peak MiB of a `personsearch` command in a new process.

    Args:
        checkout: Folder that holds the package.
        arguments: Command with its options.

    Raises:
        CalledProcessError: The command fails.
    """
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {"PERSONSEARCH_HOME": folder, "PYTHONPATH": str(checkout.resolve())}
        command = [sys.executable, "-m", "personsearch", *arguments]
        # wait4, not resource.getrusage: that one gives the sum and the peak of all children
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise subprocess.CalledProcessError(process.returncode, command)
        scale = 2**20 if sys.platform == "darwin" else 2**10  # ru_maxrss is in bytes there, in KiB elsewhere
        return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / scale


def medians(rows: list[tuple[float, float]]) -> tuple[float, float]:
    """Median of each column."""
    seconds, memory = zip(*rows, strict=True)
    return statistics.median(seconds), statistics.median(memory)


def main(
    before: Annotated[Path | None, typer.Option(help="Checkout of an older commit to compare with.")] = None,
    rounds: Annotated[int, typer.Option(help="Number of runs of each command.")] = 3,
    only: Annotated[list[str] | None, typer.Option(help=f"{', '.join(COMMANDS)}; repeat it for several.")] = None,
) -> None:
    """Print one JSON object per command: CPU seconds and peak MiB, and their ratios to the older commit."""
    checkouts = {"now": ROOT} | ({} if before is None else {"before": before})
    for name in only or COMMANDS:
        rows: dict[str, list[tuple[float, float]]] = {label: [] for label in checkouts}
        for number in range(rounds + 1):
            for label, checkout in checkouts.items():
                row = measure(checkout, COMMANDS[name])
                if number:  # the first round fills the file cache and writes byte code
                    rows[label].append(row)
        both = {label: medians(values) for label, values in rows.items()}
        line = {label: {"cpu_seconds": round(seconds, 2), "peak_mib": round(memory)} for label, (seconds, memory) in both.items()}
        ratios = {} if before is None else {"ratios": [round(now / then, 2) for now, then in zip(both["now"], both["before"], strict=True)]}
        print(json.dumps({"command": name, **line, **ratios}), flush=True)


if __name__ == "__main__":
    typer.run(main)

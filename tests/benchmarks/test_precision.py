"""The table of the precision benchmark, from detections that a run has saved."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import typer

from benchmarks import agreement, precision
from personsearch.results import Detections

ANSWERS = [
    {"form": form, "seconds": seconds}
    for form, times in (("opened", (5.0, 7.0, 6.0)), ("kept", (4.0, 4.0, 9.0)), ("bfloat16", (2.0,)))
    for seconds in times
]


def people(*boxes: tuple[float, float, float, float], score: float) -> Detections:
    rows = np.array(boxes, np.float32)
    return Detections(rows, np.full(len(rows), score, np.float32), np.eye(4, dtype=np.float32)[: len(rows)])


def test_a_row_has_medians_and_the_differences_of_bfloat16(tmp_path: Path) -> None:
    agreement.save(people((0, 0, 10, 20), (50, 0, 60, 20), score=0.75), tmp_path / "kept.npz")
    agreement.save(people((0, 0, 11, 20), score=0.5), tmp_path / "bfloat16.npz")
    row = precision._row(ANSWERS, tmp_path)
    assert (row["people"], row["opened"], row["kept"], row["bfloat16"]) == (2, 6.0, 4.0, 2.0)
    assert (row["share"], row["box"]) == (0.5, 1.0)
    line = precision._line("gfn", row, row | {"kept": 2.0})
    assert line == "| gfn | 2 | 6.0 | 4.0 | 2.0 | 2.00 | 0.50 | 50% | 1.0 | 0.2500 | 1.00000, 1.00000 |"
    assert line.count("|") == len(precision.COLUMNS + precision.COMPARED) + 1


def test_unknown_networks_and_rounds_are_refused() -> None:
    with pytest.raises(typer.BadParameter, match="unknown: nano"):
        precision.main(["nano"])
    with pytest.raises(typer.BadParameter, match="takes 1 or more, got 0"):
        precision.main(rounds=0)


def test_a_row_is_whole_without_people_found_again(tmp_path: Path) -> None:
    agreement.save(people((0, 0, 10, 20), score=0.75), tmp_path / "kept.npz")
    agreement.save(people((50, 0, 60, 20), score=0.75), tmp_path / "bfloat16.npz")
    row = precision._row(ANSWERS, tmp_path)
    assert precision._line("gfn", row, row) == "| gfn | 1 | 6.0 | 4.0 | 2.0 | 1.00 | 0.50 | 0% | - | - | - |"


def worker(code: str) -> "subprocess.Popen[str]":
    return subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def test_a_worker_that_ends_is_named() -> None:
    with worker("input()") as ends, pytest.raises(typer.BadParameter, match="gfn ended without an answer; see its error above"):
        precision._answer("gfn", ends, "kept")
    with worker("import json; print(json.dumps({'form': input()}))") as answers:
        assert precision._answer("gfn", answers, "kept") == {"form": "kept"}


def test_a_worker_that_had_ended_before_is_named() -> None:
    with worker("") as ended:
        ended.wait()
        with pytest.raises(typer.BadParameter, match="gfn ended without an answer"):
            precision._answer("gfn", ended, "kept")
        ended.stdin = None  # what is left in it cannot be written

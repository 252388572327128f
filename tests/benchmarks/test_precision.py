"""The table of the precision benchmark, from detections that a run has saved."""

from pathlib import Path

import numpy as np
import pytest

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
    for options in ({"networks": ["nano"]}, {"rounds": 0}):
        with pytest.raises(Exception, match=r"unknown: nano|takes 1 or more"):
            precision.main(**options)

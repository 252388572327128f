"""The GPU benchmark resumes, keeps errors, and writes its table; no step is run here."""

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import gpu
from benchmarks.gpu_steps import STEPS
from benchmarks.gpu_table import table, write_table


def test_every_job_has_a_step() -> None:
    assert {step for plan in (gpu.WHOLE, gpu.QUICK) for step, _ in plan.jobs} <= set(STEPS)


def test_a_second_run_does_the_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []

    def job(step: str, argument: str, device: str, seconds: float, *, quick: bool) -> dict[str, Any]:
        calls.append(step)
        return {"error": "no memory"} if step == "search" else {"network": "nano", "indexing": 2, "ratio": 1}

    monkeypatch.setattr(gpu, "job", job)
    gpu.main(tmp_path, minutes=0.1, device=None, quick=True, table=False)
    assert calls == []  # no time for a step
    gpu.main(tmp_path, minutes=8, device=None, quick=True, table=False)
    assert len(calls) == len(gpu.QUICK.jobs)
    (tmp_path / "search-20000.json").unlink()
    gpu.main(tmp_path, minutes=8, device=None, quick=True, table=False)
    assert calls[len(gpu.QUICK.jobs) :] == ["search"]
    assert "search-20000 failed: no memory" in (tmp_path / "table.md").read_text()


@pytest.mark.parametrize(("quick", "runs_again"), [(True, True), (False, False)])
def test_a_step_that_ran_out_of_time_runs_once_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quick: bool, runs_again: bool) -> None:
    """A step cut off at the end of the whole command's time left its error for good; one that had all of its own time keeps it."""
    calls: list[str] = []

    def job(step: str, argument: str, device: str, seconds: float, *, quick: bool) -> dict[str, Any]:
        calls.append(step)
        return {"error": "not done after 80 seconds"}

    monkeypatch.setattr(gpu, "job", job)
    monkeypatch.setattr(gpu, "write_table", lambda folder, page: None)
    for _ in range(2):
        gpu.main(tmp_path, minutes=8, device=None, quick=quick, table=False)
    jobs = (gpu.QUICK if quick else gpu.WHOLE).jobs
    assert len(calls) == len(jobs) * (1 + runs_again)


def test_a_step_that_fails_or_hangs_leaves_its_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "RUN", ("python3", "-c", "import sys; sys.exit('the reason')"))
    assert gpu.job("search", "1", "cpu", 20, quick=True) == {"error": "the reason"}
    monkeypatch.setattr(gpu, "RUN", ("python3", "-c", "import time; time.sleep(60)"))
    assert gpu.job("search", "1", "cpu", 0.2, quick=True) == {"error": "not done after 0 seconds"}


def test_the_table_has_a_row_for_each_batch_and_the_share_of_the_peak(tmp_path: Path) -> None:
    results: dict[str, Any] = {
        "machine": {"commit": "abc", "device": "a GPU", "torch": "2", "tflops": {"float32": 50, "bfloat16": 800}},
        "network-seqnet": {
            "network": "seqnet",
            "gflops": 800.0,
            "plain": {"1": {"images_per_second": 5}},
            "bfloat16": {"1": {"images_per_second": 100}, "8": {"error": "memory"}},
        },
        "onnx-seqnet": {"network": "seqnet", "onnx": {"1": {"images_per_second": 8}}},
        "search-10": {"people": 10, "seconds": {"1": 0.5}},
    }
    for name, row in results.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(row))
    lines = table(tmp_path).splitlines()
    assert "| seqnet | 1 | 800.0 | 5 |  | 100 |  |  | 8 | 13% |" in lines  # 8 x 800 of 50 TFLOPS is more than 100 x 800 of 800
    assert "| seqnet | 8 | 800.0 |  |  |  |  |  |  |  |" in lines
    assert "* Exact top-100 over 10 x 256 in float16: 0.5 s for 1 queries." in lines
    file = tmp_path / "RESULTS.md"
    file.write_text("before\n<!-- gpu -->\nold\n<!-- end of gpu -->\nafter\n")
    write_table(tmp_path, file)
    text = file.read_text()
    assert text.startswith("before\n<!-- gpu -->\n`python")
    assert text.endswith("<!-- end of gpu -->\nafter\n")
    assert "old" not in text

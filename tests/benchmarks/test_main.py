"""`python -m benchmarks`: the list, the choice of a benchmark, and each benchmark's own command."""

import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.__main__ import BENCHMARKS, main

ROOT = Path(__file__).parents[2]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", *arguments], cwd=ROOT, capture_output=True, text=True)


@pytest.mark.parametrize("arguments", [[], ["--help"]])
def test_the_list_has_a_line_for_each_benchmark(arguments, capsys) -> None:
    assert main(arguments) == 0
    usage, *lines = capsys.readouterr().out.splitlines()
    assert usage.startswith("usage: python -m benchmarks NAME")
    assert [line.split(maxsplit=1) for line in lines] == [[name, measures] for name, measures in BENCHMARKS.items()]


def test_an_unknown_name_prints_the_list_and_fails(capsys) -> None:
    assert main(["speed"]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("error: unknown benchmark 'speed'\nusage: ")


def test_every_script_with_a_command_is_in_the_list() -> None:
    scripts = {path.stem for path in (ROOT / "benchmarks").glob("[!_]*.py") if '__name__ == "__main__"' in path.read_text(encoding="utf-8")}
    packages = {path.parent.name for path in (ROOT / "benchmarks").glob("*/__main__.py")}
    assert scripts | packages == set(BENCHMARKS)


def test_the_readme_has_the_lines_of_the_list() -> None:
    readme = (ROOT / "benchmarks/README.md").read_text(encoding="utf-8")
    for name, measures in BENCHMARKS.items():
        assert f"| `{name}` | {measures} |" in readme


@pytest.mark.slow
@pytest.mark.parametrize("name", BENCHMARKS)
@pytest.mark.filterwarnings("ignore:.*found in sys.modules")  # the benchmark's own tests have imported it
def test_each_benchmark_runs_by_its_name_and_as_a_module(name, monkeypatch, capsys) -> None:
    monkeypatch.setattr(sys, "argv", ["", "--help"])  # `run_module` and `main` replace it
    with pytest.raises(SystemExit, match=r"^0$"):  # in this process, which has imported PyTorch already
        runpy.run_module(f"benchmarks.{name}", run_name="__main__", alter_sys=True)
    as_module = capsys.readouterr().out
    assert f"python -m benchmarks.{name}" in as_module
    with pytest.raises(SystemExit, match=r"^0$"):
        main([name, "--help"])
    by_name = capsys.readouterr().out
    options = [word for word in as_module.split() if word.startswith("--")]
    assert len(options) > 0
    assert [word for word in by_name.split() if word.startswith("--")] == options


@pytest.mark.slow
def test_the_ablation_prints_the_table_of_a_folder() -> None:
    done = run("benchmarks.ablation", "table", "benchmarks/ablation/results")
    assert done.returncode == 0, done.stderr
    page = (ROOT / "benchmarks/ablation/ABLATION.md").read_text(encoding="utf-8")
    tables = [line for line in done.stdout.splitlines() if line.startswith("|")]
    assert len(tables) > 100
    assert [line for line in tables if line not in page] == []
    assert done.stdout.startswith("Of ")  # how many claims are confirmed
    assert "\n**SeqNet**" in done.stdout


@pytest.mark.slow
def test_search_measures_a_small_gallery_in_one_round() -> None:
    done = run("benchmarks", "search", "--boxes", "2000", "--rounds", "1", "--dim", "16")
    assert done.returncode == 0, done.stderr
    assert "| 2,000 | 64 |" in done.stdout

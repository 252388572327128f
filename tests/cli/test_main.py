"""The command line as a user meets it: data on stdout, messages on stderr, exit codes."""

import inspect
import json
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from personsearch import Gallery, distributed, images, options, ranking
from personsearch.cli import app as cli
from personsearch.cli import models as commands
from personsearch.cli import options as cli_options
from personsearch.convert import CONVERTERS
from personsearch.errors import PersonSearchError
from tests.helpers.gallery_frames import KEY

runner = CliRunner()


def run(*arguments: object) -> Result:
    result = runner.invoke(cli.app, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result


def test_detect_prints_a_line_for_each_picture(folder: Path) -> None:
    result = run("detect", folder / "photos" / "a.png", folder / "photos" / "b.png", "--model", folder / "model")
    first, second = (json.loads(line) for line in result.stdout.splitlines())
    assert first == {"image": str(folder / "photos" / "a.png"), "person": [1], "boxes": [[10, 10, 30, 70]], "scores": [0.6]}
    assert second["boxes"] == []


def test_detect_draws(folder: Path) -> None:
    result = run("detect", folder / "photos" / "a.png", "--model", folder / "model", "--draw", folder / "out.png")
    assert Image.open(folder / "out.png").size == (200, 120)
    assert "out.png" in result.stderr
    assert "out.png" not in result.stdout


def test_index_with_workers_asks_a_cluster(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, object]] = []

    def index(source: object, **keywords: object) -> Gallery:
        asked.append({"source": source, **keywords})
        return Gallery.create_or_open(folder / "many", KEY)

    monkeypatch.setattr(distributed, "index", index)
    printed = json.loads(run("index", str(folder), "--gallery", "g", "--workers", "3", "--gpus-per-worker", "0.5", "--every", "2").stdout)
    assert printed["people"] == 0
    expected = {"source": str(folder), "gallery": "g", "workers": 3, "gpus_per_worker": 0.5, "every": 2, "model": None, "device": "auto"}
    assert expected.items() <= asked[0].items()


def test_index_reports(folder: Path) -> None:
    (folder / "photos" / "c.jpg").write_text("no picture")
    report = json.loads(run("index", folder / "photos", "--model", folder / "model", "--gallery", folder / "g.lance").stdout)
    assert (report["people"], report["images"], report["added"], list(report["unreadable"])) == (
        1,
        2,
        2,
        [str(folder / "photos" / "c.jpg")],
    )


def test_search_prints_hits_and_writes_pictures(folder: Path) -> None:
    arguments = ("search", folder / "red.png", folder / "photos", "--model", folder / "model")
    hits = json.loads(run(*arguments, "--out", folder / "hits.html").stdout)["hits"]
    assert [(Path(hit["image"]).name, hit["rank"]) for hit in hits] == [("a.png", 1)]
    assert "<html" in (folder / "hits.html").read_text()
    run(*arguments, "--out", folder / "hits.png")
    assert Image.open(folder / "hits.png").width > 100
    assert json.loads(run(*arguments, "--min-similarity", "1.0001").stdout)["hits"] == []


def test_search_by_scene_box_with_cbgm(folder: Path) -> None:
    query = ("search", folder / "photos" / "a.png", folder / "photos", "--model", folder / "model", "--box", "10,10,30,70")
    result = json.loads(run(*query, "--rerank", "cbgm").stdout)
    assert result["query"]["box"] == [10, 10, 30, 70]
    assert result["hits"][0]["similarity"] == pytest.approx(1)
    weighted = json.loads(run(*query, "--cbgm", "10,3", "--cbgm-variant", "authors", "--confidence-weighted").stdout)
    assert weighted["hits"][0]["ranked_by"] == pytest.approx(0.6)  # the cosine times the score
    assert weighted["ranked_by"] == "cosine x score, CBGM 10,3 (authors)"
    assert json.loads(run(*query, "--cbgm", "30,4").stdout) == result  # --cbgm alone re-ranks too, as in `evaluate`


def test_search_ranks_by_cosine_times_score(folder: Path) -> None:
    query = ("search", folder / "red.png", folder / "photos", "--model", folder / "model")
    assert json.loads(run(*query, "--confidence-weighted").stdout)["hits"][0]["ranked_by"] == pytest.approx(0.6)


def test_models_lists_what_is_here(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERSONSEARCH_HOME", str(folder))
    (folder / "models").mkdir()
    (folder / "model").rename(folder / "models" / "mine")
    listed = json.loads(run("models", "--json").stdout)
    assert listed["models"] == [{"name": "mine", "folder": str(folder / "models" / "mine"), "architecture": "rectangles", "min_score": 0.3}]
    assert "mine" in run("models").stdout
    assert json.loads(run("search", folder / "red.png", folder / "photos", "--model", "mine").stdout)["hits"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("search", "red.png", "photos", "--model", "model", "--rerank", "cbgm"),
        ("search", "red.png", "photos", "--model", "model", "--cbgm", "30,4"),
        ("search", "red.png", "photos", "--model", "model", "--cbgm-variant", "authors"),
        ("search", "red.png", "photos", "--model", "model", "--min-similarity", "auto"),
        ("search", "red.png", "photos", "--model", "model", "--box", "1,2,3"),
        ("search", "red.png", "photos", "--model", "model", "--out", "hits.docx"),
        ("detect", "red.png", "--model", "model", "--draw", "people.docx"),
        ("search", "red.png", "nothing", "--model", "model"),
        ("search", "nothing.png", "photos", "--model", "model"),
        ("search", "red.png", "photos", "--model", "no-such-model"),
        ("evaluate", "nothing.json", "--protocol", "prw"),
        ("evaluate", "nothing.json", "--protocol", "prw", "--cbgm", "30"),
    ],
)
def test_clear_errors(folder: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]) -> None:
    monkeypatch.chdir(folder)
    result = runner.invoke(cli.app, list(arguments))
    assert isinstance(result.exception, PersonSearchError)
    assert result.stdout == ""


@pytest.mark.parametrize("query", [("nothing.png",), ("red.png", "--box", "300,1,320,9"), ("red.png", "--rerank", "cbgm")])
def test_a_wrong_query_is_an_error_before_indexing(folder: Path, query: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    result = runner.invoke(cli.app, ["search", query[0], "photos", "--model", "model", "--gallery", "g.lance", *query[1:]])
    assert isinstance(result.exception, PersonSearchError)
    assert not (folder / "g.lance").exists()


@pytest.mark.parametrize("extra", [(), ("--rerank", "cbgm")])
def test_search_reads_the_query_once(folder: Path, extra: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """It read the picture up to three times: for the check, for the embedding and for the people around."""
    scene_file, loaded, load = folder / "photos" / "a.png", [], images.load
    run("index", folder / "photos", "--model", folder / "model", "--gallery", folder / "g.lance")
    monkeypatch.setattr(images, "load", lambda image: loaded.append(image) or load(image))
    run("search", scene_file, folder / "g.lance", "--model", folder / "model", "--box", "10,10,30,70", *extra)
    assert loaded == [str(scene_file)]


@pytest.mark.slow
def test_exit_codes_of_the_real_command(tmp_path: Path) -> None:
    def command(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, "-m", "personsearch", *arguments], capture_output=True, text=True, check=False)

    failed = command("search", str(tmp_path / "me.jpg"), str(tmp_path), "--model", "no-such-model")
    assert failed.returncode == 1
    assert failed.stderr.startswith("error: unknown model 'no-such-model'")
    assert "Traceback" not in failed.stderr
    assert failed.stdout == ""
    assert command("search").returncode == 2
    assert command("--version").stdout.strip()


def test_the_types_of_options_are_those_of_the_package() -> None:
    """They are written out a second time, because the package's own load NumPy and pydantic."""
    assert (cli_options.Precision, cli_options.Variant) == (options.Precision, ranking.Variant)


def test_convert_takes_every_layout() -> None:
    source = inspect.signature(commands.convert).parameters["source"].annotation.__origin__
    assert set(get_args(get_args(source)[0])) == set(CONVERTERS)

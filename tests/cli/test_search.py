"""`personsearch search` and `index`: which person is meant, several sources, what was not looked at, files to write."""

import json
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from personsearch.cli import app as cli
from personsearch.errors import BoxError, ConfigError, ImageError, PersonSearchError, QueryError, SourceError
from tests.helpers.fakes import BLUE, GREEN, RED, scene
from tests.helpers.pictures import write_video

runner = CliRunner()


@pytest.fixture
def party(folder: Path) -> Path:
    """A scene with three people."""
    Image.fromarray(scene((RED, 10, 10, 60), (GREEN, 100, 20, 50), (BLUE, 150, 20, 40))).save(folder / "party.png")
    return folder / "party.png"


def search(folder: Path, *arguments: object) -> Result:
    return runner.invoke(cli.app, ["search", *(str(argument) for argument in arguments), "--model", str(folder / "model")])


def test_a_whole_scene_stops_with_a_numbered_list(folder: Path, party: Path) -> None:
    """The whole picture was searched as one person, with exit code 0 and hits that were wrong."""
    result = search(folder, party, folder / "photos", "--gallery", folder / "g.lance")
    assert isinstance(result.exception, QueryError)
    message = str(result.exception).splitlines()
    assert message[0].endswith("does not look like a crop of one person:")
    assert message[1:4] == [
        "1 at (10, 10, 30, 70), score 0.60",
        "2 at (100, 20, 120, 70), score 0.50",
        "3 at (150, 20, 170, 60), score 0.40",
    ]
    assert "--person N" in message[4]
    assert "--crop" in message[4]
    assert result.stdout == ""
    assert not (folder / "g.lance").exists()


def test_the_list_is_answered_by_person_or_crop(folder: Path, party: Path) -> None:
    second = json.loads(search(folder, party, party, "--person", 2).stdout)
    assert second["query"]["box"] == second["hits"][0]["box"] == [100, 20, 120, 70]
    assert json.loads(search(folder, party, party, "--person", 2, "--rerank", "cbgm").stdout)["hits"][0]["box"] == [100, 20, 120, 70]
    whole = json.loads(search(folder, party, party, "--crop").stdout)
    assert whole["query"]["box"] is None
    assert len(whole["hits"]) == 3
    assert isinstance(search(folder, party, party, "--person", 4).exception, QueryError)
    assert isinstance(search(folder, party, party, "--person", 1, "--crop").exception, QueryError)


def test_a_frame_of_a_video_is_a_query(folder: Path) -> None:
    write_video(folder / "street.avi", [scene((RED, 10, 10, 60))] * 5 + [scene((GREEN, 100, 20, 50), (BLUE, 150, 20, 40))] * 5)
    found = json.loads(search(folder, folder / "street.avi", folder / "street.avi", "--time", "0.7", "--person", 2).stdout)
    assert {hit["box"][0] for hit in found["hits"][:5]} == {150}
    assert found["query"]["time"] == 0.7
    refused = search(folder, folder / "street.avi", folder / "photos")
    assert isinstance(refused.exception, ImageError)
    assert "--time" in str(refused.exception)


def test_a_search_keeps_the_step_that_the_video_was_indexed_with(folder: Path) -> None:
    """Without --every the search indexed every frame again, and the next `index --every` did so too, without a word."""
    write_video(folder / "street.avi", [scene((RED, 10, 10, 60))] * 10)
    index = ["index", str(folder / "street.avi"), "--every", "5", "--model", str(folder / "model")]
    assert json.loads(runner.invoke(cli.app, index).stdout)["people"] == 2
    hits = json.loads(search(folder, folder / "red.png", folder / "street.avi").stdout)["hits"]
    assert [hit["frame"] for hit in hits] == [0, 5]
    again = json.loads(runner.invoke(cli.app, index).stdout)
    assert (again["people"], again["unchanged"]) == (2, 1)
    other = search(folder, folder / "red.png", folder / "street.avi", "--every", 2)
    assert isinstance(other.exception, PersonSearchError)
    assert "every" in str(other.exception)


@pytest.mark.parametrize("box", ["0.9,0.4,0.96,0.6", "10,10,12,70"])
def test_a_box_too_small_for_a_person_is_an_error(folder: Path, party: Path, box: str) -> None:
    assert isinstance(search(folder, party, folder / "photos", "--box", box).exception, BoxError)


def test_several_sources_are_searched_together(folder: Path, party: Path) -> None:
    """The command took one source."""
    hits = json.loads(search(folder, folder / "red.png", folder / "photos", party, "--gallery", folder / "g.lance").stdout)["hits"]
    assert {Path(hit["image"]).name for hit in hits} == {"a.png", "party.png"}
    report = runner.invoke(
        cli.app, ["index", str(folder / "photos"), str(party), "--gallery", str(folder / "g.lance"), "--model", str(folder / "model")]
    )
    assert json.loads(report.stdout)["unchanged"] == 3


@pytest.mark.parametrize("command", ["index", "search"])
def test_a_source_that_cannot_be_read_is_an_error(folder: Path, command: str) -> None:
    """The result was empty with exit code 0, as if the person were not there."""
    (folder / "unreadable").mkdir()
    (folder / "unreadable" / "a.jpg").write_text("not a picture")
    arguments = [command, *([str(folder / "red.png")] if command == "search" else []), str(folder / "unreadable")]
    result = runner.invoke(cli.app, [*arguments, "--model", str(folder / "model")])
    assert isinstance(result.exception, SourceError)
    assert "a.jpg" in str(result.exception)


def test_what_was_not_looked_at_is_said(folder: Path) -> None:
    (folder / "photos" / "bad.jpg").write_text("not a picture")
    result = search(folder, folder / "red.png", folder / "photos")
    assert result.exit_code == 0
    assert [Path(image).name for image in json.loads(result.stdout)["not_looked"]] == ["bad.jpg"]
    assert "warning: 1 pictures, videos or folders were not looked at" in result.stderr


@pytest.mark.parametrize("name", [f"{'x' * 300}.html", f"{'x' * 300}.png", "red.png/hits.html", "folder.html"])
def test_a_file_that_cannot_be_written_is_an_error_before_searching(folder: Path, name: str) -> None:
    """The name of a page failed after the search, with a bare OSError."""
    (folder / "folder.html").mkdir()
    result = search(folder, folder / "red.png", folder / "photos", "--gallery", folder / "g.lance", "--out", folder / name)
    assert isinstance(result.exception, ConfigError)
    assert len(str(result.exception)) < 300
    assert not (folder / "g.lance").exists()


def test_a_long_name_of_a_page_is_written(folder: Path) -> None:
    """The temporary file's name was longer than a name may be."""
    out = folder / f"{'x' * 245}.html"
    assert search(folder, folder / "red.png", folder / "photos", "--out", out).exit_code == 0
    assert "<html" in out.read_text()
    assert [file.name for file in folder.glob(".*")] == []


def test_out_writes_every_kind_of_file(folder: Path) -> None:
    names = ("hits.html", "hits.PNG", "hits.jpg", "new/hits.csv", "hits.json", "crops")
    outs = [argument for name in names for argument in ("--out", folder / name)]
    result = search(folder, folder / "red.png", folder / "photos", "--gallery", folder / "g.lance", *outs)
    assert result.exit_code == 0
    assert (folder / "hits.json").read_text() == result.stdout.rstrip("\n")
    assert len((folder / "new/hits.csv").read_text().splitlines()) == 1 + len(json.loads(result.stdout)["hits"]) == 2
    assert [path.name for path in (folder / "crops").iterdir()] == ["0001_a.png"]
    assert Image.open(folder / "crops/0001_a.png").size == (20, 60)
    assert Image.open(folder / "hits.PNG").format == "PNG"
    for name in names:
        assert f"wrote {folder / name}" in result.stderr


def test_out_to_a_folder_with_a_dot_in_its_name(folder: Path) -> None:
    (folder / "crops.v2").mkdir()
    assert (
        search(folder, folder / "red.png", folder / "photos", "--gallery", folder / "g.lance", "--out", folder / "crops.v2").exit_code == 0
    )
    assert len(list((folder / "crops.v2").iterdir())) == 1


def test_a_crop_that_is_missing_is_said(folder: Path) -> None:
    """A gallery outlives its pictures."""
    search(folder, folder / "red.png", folder / "photos", "--gallery", folder / "g.lance")
    (folder / "photos" / "a.png").unlink()
    result = search(folder, folder / "red.png", folder / "g.lance", "--out", folder / "crops")
    assert result.exit_code == 1
    assert "1 of 1 crops" in result.stderr
    assert json.loads(result.stdout)["hits"]


def test_spells_and_the_own_frame_on_the_command_line(folder: Path) -> None:
    write_video(folder / "street.avi", [scene((RED, 10 + t, 10, 60)) for t in range(10)])
    arguments = (folder / "street.avi", folder / "street.avi", "--time", "0", "--person", 1, "--group", "spell")
    (spell,) = json.loads(search(folder, *arguments).stdout)["hits"]
    assert (spell["start"], spell["end"], spell["frame"]) == (0.0, pytest.approx(0.9), 0)
    (spell,) = json.loads(search(folder, *arguments, "--exclude", "frame").stdout)["hits"]
    assert spell["frame"] != 0
    assert json.loads(search(folder, *arguments, "--exclude", "image").stdout)["hits"] == []

"""The `galleries` commands, the table of models, and what all commands share."""

import json
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from personsearch import Gallery
from personsearch.cli import app as cli
from personsearch.home import home

runner = CliRunner()


def run(*arguments: object, code: int = 0) -> Result:
    result = runner.invoke(cli.app, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    return result


@pytest.fixture
def indexed(folder: Path) -> str:
    """Location of the gallery of the photos."""
    return str(json.loads(run("index", folder / "photos", "--model", folder / "model").stdout)["gallery"])


def test_no_gallery_yet(folder: Path) -> None:
    result = run("galleries", "list")
    assert (result.stdout, "no galleries yet" in result.stderr) == ("", True)
    assert json.loads(run("galleries", "list", "--json").stdout) == []


def test_the_list_says_what_galleries_hold(folder: Path, indexed: str) -> None:
    (one,) = json.loads(run("galleries", "list", "--json").stdout)
    assert (one["location"], one["people"], one["images"], one["sources"]) == (indexed, 1, 2, [str(folder / "photos")])
    assert (one["min_score"], one["storage"], one["embedding_dim"]) == (0.3, "float32", 3)
    assert one["bytes"] > 1000
    header, line = run("galleries", "list").stdout.splitlines()
    assert header.split()[:3] == ["gallery", "people", "images"]
    assert line.startswith(Path(indexed).name)
    assert str(folder / "photos") in line


def test_the_list_says_what_could_not_be_looked_at(folder: Path) -> None:
    (folder / "photos" / "broken.png").write_bytes(b"no picture")
    run("index", folder / "photos", "--model", folder / "model")
    (one,) = json.loads(run("galleries", "list", "--json").stdout)
    assert list(one["not_looked"]) == [str(folder / "photos" / "broken.png")]
    assert run("galleries", "list").stdout.splitlines()[1].split()[1:4] == ["1", "2", "1"]  # people, images, not looked at
    assert f"not_looked: {folder / 'photos' / 'broken.png'}: " in run("galleries", "info", folder / "photos").stdout


def test_a_gallery_is_named_by_place_name_or_source(folder: Path, indexed: str) -> None:
    for name in (indexed, Path(indexed).name, Path(indexed).stem, folder / "photos"):
        (one,) = json.loads(run("galleries", "info", name, "--json").stdout)
        assert one["location"] == indexed
    assert f"location: {indexed}" in run("galleries", "info", folder / "photos").stdout


def test_a_source_that_has_gone_still_names_its_gallery(folder: Path, indexed: str) -> None:
    (folder / "photos").rename(folder / "elsewhere")
    assert json.loads(run("galleries", "delete", folder / "photos", "--yes", "--json").stdout) == {"deleted": [indexed]}
    assert not Path(indexed).exists()
    assert (folder / "elsewhere" / "a.png").exists()


def test_an_unknown_name_is_one_line(folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["personsearch", "galleries", "info", str(folder / "none")])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 1
    assert "no gallery at" in capsys.readouterr().err


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such names")
def test_a_folder_named_with_control_characters_has_its_gallery(folder: Path) -> None:
    """It was indexed, but no command found its gallery, not even to delete it; and a line end in its name made lines of its own."""
    source = folder / "photos\nmodel: x\x1b[2J"
    (folder / "photos").rename(source)
    run("index", source, "--model", folder / "model")
    run("search", folder / "red.png", source, "--model", folder / "model")
    text = run("galleries", "info", source).stdout
    assert f"sources: {folder}/photos\\nmodel: x\\x1b[2J\n" in text
    assert "\x1b" not in run("galleries", "list").stdout + run("galleries", "people", source).stdout
    run("galleries", "delete", source, "--yes")
    assert json.loads(run("galleries", "list", "--json").stdout) == []


def test_removing_an_image_and_a_person(folder: Path, indexed: str) -> None:
    removed = json.loads(run("galleries", "remove", indexed, folder / "photos" / "a.png", "--row", 0, "--json").stdout)
    assert (removed["removed"], removed["people"]) == (1, 0)
    run("galleries", "remove", folder / "photos", folder / "photos" / "a.png")
    assert list(Gallery.open(indexed).images()) == [str(folder / "photos" / "b.png")]


def test_deleting_needs_a_yes(folder: Path, indexed: str) -> None:
    assert isinstance(runner.invoke(cli.app, ["galleries", "delete", indexed]).exception, Exception)
    assert Path(indexed).exists()
    run("galleries", "delete", indexed, "-y")
    assert not Path(indexed).exists()


def test_a_damaged_gallery_is_listed_and_deleted(folder: Path, indexed: str) -> None:
    damaged = home() / "galleries" / "odd [red]\n.lance"
    (damaged / "_versions").mkdir(parents=True)
    (damaged / "_versions" / "1.manifest").write_bytes(b"not a manifest")
    listed = json.loads(run("galleries", "list", "--json").stdout)
    assert ["error" in one for one in listed] == [one["location"] == str(damaged) for one in listed]
    assert len(run("galleries", "list").stdout.splitlines()) == 3  # the line end in the name is escaped
    run("galleries", "delete", damaged, "--yes")
    assert not damaged.exists()
    assert Path(indexed).exists()


@pytest.mark.parametrize("suffix", ["csv", "json", "parquet"])
def test_export_writes_the_people(folder: Path, indexed: str, suffix: str) -> None:
    out = folder / f"people.{suffix}"
    run("galleries", "export", indexed, out)
    if suffix == "csv":
        assert len(out.read_text().splitlines()) == 2
        assert "e0" not in out.read_text()
        run("galleries", "export", indexed, out, "--embeddings")
        assert "e0" in out.read_text()
    elif suffix == "json":
        (person,) = json.loads(out.read_text())
        assert (person["image"], "embedding" in person) == (str(folder / "photos" / "a.png"), False)
    else:
        from pyarrow import parquet

        assert parquet.read_table(out).num_rows == 1


def test_people_of_a_gallery(folder: Path, indexed: str) -> None:
    (person,) = json.loads(run("galleries", "people", folder / "photos", "--json").stdout)
    assert (person["person"], person["hits"][0]["image"]) == (1, str(folder / "photos" / "a.png"))
    assert run("galleries", "people", indexed).stdout.splitlines()[1].split()[:3] == ["1", "1", "1"]
    assert json.loads(run("galleries", "people", indexed, "--min-images", 2, "--json").stdout) == []


def test_models_are_a_table_or_json() -> None:
    lines = run("models").stdout.splitlines()
    assert lines[0].split()[:2] == ["model", "architecture"]
    nano = next(line for line in lines if line.startswith("nano "))
    assert "yes" in nano
    assert "Apache-2.0" in nano
    plain = json.loads(run("models", "--json").stdout)
    assert set(plain) == {"architectures", "models", "manifest"}
    assert all(one["licences"]["weights"] for one in plain["manifest"])


def test_verbose_speaks_and_quiet_is_silent(folder: Path) -> None:
    arguments = ("index", folder / "photos", "--model", folder / "model")
    (folder / "photos" / "c.jpg").write_text("no picture")
    spoken = run("--verbose", *arguments).stderr
    assert "does not exist yet: everything is read" in spoken
    assert "2 added" in spoken
    assert "2 unchanged" in run("--verbose", *arguments).stderr
    assert "warning" in run(*arguments).stderr
    assert run("--quiet", *arguments).stderr == ""
    assert run("--quiet", "--verbose", *arguments, code=2).stdout == ""


def test_the_shell_completes() -> None:
    assert "--install-completion" in run("--help").stdout


def test_search_options_reach_the_search(folder: Path) -> None:
    arguments = ("search", folder / "red.png", folder / "photos", "--model", folder / "model", "--json")
    (hit,) = json.loads(run(*arguments, "--where", "min_height=50", "--group-by", "image", "--rerank", "k-reciprocal").stdout)["hits"]
    assert Path(hit["image"]).name == "a.png"
    nothing = run(*arguments, "--where", "folder=/it's 100%/\n", "--where", "folder=/other")
    assert (json.loads(nothing.stdout)["hits"], json.loads(nothing.stdout)["compared"]) == ([], 0)
    assert "no person of the gallery meets --where" in nothing.stderr
    several = json.loads(run(*arguments, "--also", f"{folder / 'photos' / 'a.png'}#1", "--combine", "best").stdout)
    assert [one["image"] for one in several["query"]["pictures"]] == [str(folder / "red.png"), str(folder / "photos" / "a.png")]
    assert several["query"]["combine"] == "best"


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (("--where", "height=3"), "KEY=VALUE"),
        (("--where", "min_height"), "KEY=VALUE"),
        (("--where", "start=x"), "must be a number"),
        (("--where", "start=1", "--where", "start=2"), "given twice"),
        (("--rerank", "k-reciprocal", "--cbgm", "30,4"), "belong to --rerank cbgm"),
        (("--min-scene-score", "0.5"), "pass both"),
        (("--scene-filter", "gfn"), "GFN compares the query's whole scene"),
        (("--rerank", "cbgm"), "CBGM compares the people around the query"),
    ],
)
def test_wrong_search_options_are_errors(folder: Path, extra: tuple[str, ...], message: str) -> None:
    result = runner.invoke(cli.app, ["search", str(folder / "red.png"), str(folder / "photos"), "--model", str(folder / "model"), *extra])
    assert message in str(result.exception)

"""`personsearch detect`: several pictures, folders and videos; numbers; what cannot be read."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from personsearch.cli import app as cli
from personsearch.errors import ConfigError, PersonSearchError
from tests.helpers.fakes import BLUE, GREEN, RED, scene
from tests.helpers.pictures import write_video

runner = CliRunner()


def detect(folder: Path, *arguments: object) -> Result:
    return runner.invoke(cli.app, ["detect", *(str(argument) for argument in arguments), "--model", str(folder / "model")])


def lines(result: Result) -> list[dict[str, object]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_a_folder_a_pattern_and_a_picture(folder: Path) -> None:
    """A folder was refused, and so was a quoted pattern."""
    result = detect(folder, folder / "photos", folder / "photos" / "*.png", folder / "photos" / "a.png")
    assert result.exit_code == 0, result.output
    assert [(Path(str(line["image"])).name, line["person"]) for line in lines(result)] == [
        *[("a.png", [1]), ("b.png", [])] * 2,
        ("a.png", [1]),
    ]


def test_one_unreadable_picture_does_not_stop_the_others(folder: Path) -> None:
    """The command ended at the first bad picture, and the pictures after it were not done."""
    (folder / "bad.jpg").write_text("not a picture")
    result = detect(folder, folder / "bad.jpg", folder / "gone.png", folder / "photos" / "a.png")
    assert result.exit_code == 1
    assert [Path(str(line["image"])).name for line in lines(result)] == ["a.png"]
    errors = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert [("bad.jpg" in line, "gone.png" in line) for line in errors] == [(True, False), (False, True)]


def test_a_video_by_frames_and_by_time(folder: Path) -> None:
    """A video was called a damaged picture."""
    write_video(folder / "street.avi", [scene((RED, 10, 10, 60))] * 5 + [scene((GREEN, 100, 20, 50), (BLUE, 150, 20, 40))] * 5)
    result = detect(folder, folder / "street.avi", "--every", 4)
    assert [(line["frame"], line["person"]) for line in lines(result)] == [(0, [1]), (4, [1]), (8, [1, 2])]
    (line,) = lines(detect(folder, folder / "street.avi", "--time", "0.7"))
    assert (line["time"], line["boxes"]) == (pytest.approx(0.7), [[100, 20, 120, 70], [150, 20, 170, 60]])


def test_pictures_are_drawn_into_a_folder(folder: Path) -> None:
    assert detect(folder, folder / "photos", "--draw", folder / "drawn").exit_code == 0
    assert sorted(file.name for file in (folder / "drawn").iterdir()) == ["000001_a.jpg", "000002_b.jpg"]
    assert not np.array_equal(Image.open(folder / "drawn" / "000001_a.jpg"), Image.open(folder / "photos" / "a.png"))
    result = detect(folder, folder / "photos", "--draw", folder / "one.png")
    assert isinstance(result.exception, ConfigError)
    assert "pass a folder" in str(result.exception)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such names")
@pytest.mark.parametrize(
    ("name", "drawn"), [("..\\..\\x \x07\n", "000001_x.jpg"), ("人" * 83, f"000001_{'人' * 66}.jpg"), ("=", "000001_.jpg")]
)
def test_names_of_strangers_are_drawn_plainly(folder: Path, name: str, drawn: str) -> None:
    """A picture's name went into the drawn file's and to the terminal as it was; a long one was too long with the number."""
    (folder / "photos" / "a.png").rename(folder / f"{name}.png")
    result = detect(folder, folder / f"{name}.png", "--draw", folder / "drawn")
    assert [file.name for file in (folder / "drawn").iterdir()] == [drawn]
    assert result.stderr == f"wrote {folder / 'drawn' / drawn}\n"


@pytest.mark.parametrize("count", [1, 3])
def test_a_video_of_tiny_frames_does_not_stop_the_others(folder: Path, count: int) -> None:
    write_video(folder / "tiny.avi", [np.zeros((4, 6, 3), np.uint8)] * count)
    result = detect(folder, folder / "tiny.avi", folder / "photos")
    assert result.exit_code == 1
    assert [line["person"] for line in lines(result)] == [[1], []]
    assert "6 x 4" in result.stderr


@pytest.mark.parametrize(
    ("option", "value"), [("--every", "0"), ("--time", "-1"), ("--time", "nan"), ("--min-score", "1.5"), ("--draw", "a.docx")]
)
def test_wrong_options_are_errors(folder: Path, option: str, value: str) -> None:
    result = detect(folder, folder / "photos", option, value)
    assert isinstance(result.exception, PersonSearchError)
    assert result.stdout == ""

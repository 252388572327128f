"""Wrong types that people pass by mistake, found by hand; each is an error of the package that says what to pass."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from personsearch import Gallery, PersonSearcher, Query
from personsearch.cli.app import app
from personsearch.errors import ConfigError, GalleryError, PersonSearchError
from personsearch.gallery.location import lance_errors
from personsearch.models.nano.embedder import crop_network
from personsearch.models.nano.options import NanoReidOptions
from personsearch.results import SearchResult
from tests.helpers.gallery_frames import KEY


@pytest.mark.parametrize("model", [None, "nano", Path("nano")])
def test_a_name_is_not_a_model(model: Any) -> None:
    with pytest.raises(ConfigError, match="open one by name with from_pretrained"):
        PersonSearcher(model)


@pytest.mark.parametrize("path", [None, 5, b"hits.html"])
@pytest.mark.parametrize("method", ["save_html", "save_crops"])
def test_hits_are_written_to_a_path_only(path: Any, method: str) -> None:
    result = SearchResult((), Query(np.zeros((40, 40, 3), np.uint8)))
    with pytest.raises(ConfigError, match="must be a path or text"):
        getattr(result, method)(path)


@pytest.mark.parametrize("every", ["x", 0, 1.5, True])
def test_a_gallery_is_not_made_with_a_wrong_step(tmp_path: Path, every: Any) -> None:
    """It was stored, and read as if none had been chosen."""
    with pytest.raises(ConfigError, match="every must be"):
        Gallery.create_or_open(tmp_path / "g", KEY, every=every)
    assert not Gallery.exists(tmp_path / "g")


def test_folders_of_the_machine_that_built_lance_are_left_out() -> None:
    text = "LanceError(IO): no region, /home/runner/work/lance/rust/lance-io/src/object_store.rs:123:45"
    with pytest.raises(GalleryError, match=r"no region; if it is damaged") as error, lance_errors("s3://bucket/g"):
        raise OSError(text)
    assert "runner" not in str(error.value)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes have names on POSIX")
@pytest.mark.parametrize(
    "arguments",
    [
        ["evaluate", "{pipe}", "--protocol", "prw"],
        ["evaluate", "--dataset", "coco", "--root", "{pipe}"],
        ["train", "oim-prw", "{pipe}", "{folder}/out"],
        ["convert", "{pipe}", "{folder}/out", "--from", "gfn"],
        ["detect", "{folder}/a.png", "--model", "{folder}/model"],
    ],
)
def test_a_pipe_in_the_place_of_a_file_is_an_error(tmp_path: Path, arguments: list[str]) -> None:
    """Its reader waited without end."""
    (tmp_path / "model").mkdir()
    for pipe in (tmp_path / "pipe.json", tmp_path / "model" / "config.json"):
        os.mkfifo(pipe)
    values = [argument.format(pipe=tmp_path / "pipe.json", folder=tmp_path) for argument in arguments]
    result = CliRunner().invoke(app, values)
    assert isinstance(result.exception, PersonSearchError)
    assert "is a pipe or a device" in str(result.exception)


def test_options_of_an_embedder_that_do_not_go_together_are_an_error() -> None:
    """The error was pydantic's own."""
    with pytest.raises(ConfigError, match="last_stride 1 is for ResNets"):
        crop_network(NanoReidOptions(last_stride=1))

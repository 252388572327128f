"""The files of a model: by hand for each architecture, and names that are refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from personsearch.errors import ConfigError, WeightsError
from personsearch.weights.contents import check_inside, in_folder, model_files

TWO_STEP = {"architecture": "two-step", "detector": {"file": "net.safetensors"}, "embedder": {"file": "net.safetensors"}}


def write(folder: Path, config: dict[str, Any], *files: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    for file in files:
        (folder / file).write_bytes(b"weights")
    return folder


def test_a_model_of_one_network(tmp_path: Path) -> None:
    folder = write(tmp_path, {"architecture": "seqnet"}, "model.safetensors", "notes.pth")
    assert model_files(in_folder(folder)) == ["config.json", "model.safetensors"]


def test_a_file_used_twice_is_listed_once(tmp_path: Path) -> None:
    assert model_files(in_folder(write(tmp_path, TWO_STEP, "net.safetensors"))) == ["config.json", "net.safetensors"]


def test_the_onnx_files_of_the_small_model_count_only_together(tmp_path: Path) -> None:
    write(tmp_path, {"architecture": "nano"}, "model.safetensors", "detector.onnx")
    assert model_files(in_folder(tmp_path)) == ["config.json", "model.safetensors"]
    write(tmp_path, {"architecture": "nano"}, "embedder.onnx")
    assert model_files(in_folder(tmp_path)) == ["config.json", "model.safetensors", "detector.onnx", "embedder.onnx"]


def test_a_combined_model_lists_both_folders(tmp_path: Path) -> None:
    write(tmp_path, {"architecture": "combined"})
    write(tmp_path / "detector", TWO_STEP, "net.safetensors")
    write(tmp_path / "reidentifier", {"architecture": "seqnet"}, "model.safetensors")
    assert model_files(in_folder(tmp_path)) == [
        "config.json",
        "detector/config.json",
        "detector/net.safetensors",
        "reidentifier/config.json",
        "reidentifier/model.safetensors",
    ]


def test_a_missing_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    folder = write(tmp_path, {"architecture": "seqnet"})
    with pytest.raises(WeightsError, match=r"model\.safetensors is missing; convert, download or save the model again"):
        model_files(in_folder(folder))
    assert in_folder(folder)("model.safetensors", needed=False) is None


@pytest.mark.parametrize("file", ["net.onnx", "detector/net.onnx", "a/b/net.safetensors", "..net.onnx"])
def test_names_inside_the_folder(file: str) -> None:
    assert check_inside(file) == file


@pytest.mark.parametrize("file", ["", "/net.onnx", "../net.onnx", "a/../../net.onnx", "a\\net.onnx", "C:net.onnx", "."])
def test_names_outside_the_folder_are_refused(file: str) -> None:
    with pytest.raises(ValueError, match="must name a file inside the model's folder"):
        check_inside(file)


@pytest.mark.parametrize("detector", [None, "net.onnx", {}, {"file": 3}, {"file": "net.pkl"}, {"file": "../net.onnx"}])
def test_a_part_must_name_its_network(tmp_path: Path, detector: Any) -> None:
    folder = write(tmp_path, {**TWO_STEP, "detector": detector}, "net.safetensors")
    with pytest.raises(ConfigError, match=r"detector\.file: must name"):
        model_files(in_folder(folder))


def test_a_network_whose_name_is_too_long_is_refused(tmp_path: Path) -> None:
    """It was an OSError."""
    (tmp_path / "config.json").write_text(json.dumps({"architecture": "two-step", "detector": {"file": "a" * 5000 + ".onnx"}}))
    with pytest.raises(ConfigError, match=r"detector\.file: must name a file inside the model's folder"):
        model_files(in_folder(tmp_path))

"""Models of several files on the Hub: two-step, combined, and the small model with its ONNX files."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from personsearch import PersonSearcher
from personsearch.errors import ConfigError, PersonSearchError, WeightsError
from personsearch.models.two_step import save_two_step
from personsearch.weights import hub as client
from personsearch.weights.contents import in_folder, model_files
from personsearch.weights.find import hub_cache
from tests.helpers.hub_server import Hub, serving
from tests.helpers.onnx_files import PERSON, reid, yolox

REPO = "people/finder"
SCENE = np.full((64, 128, 3), (0, 200, 255), np.uint8)
CONFIGS: dict[str, dict[str, Any]] = {
    "seqnet": {"architecture": "seqnet"},
    "nano": {"architecture": "nano"},
    "two-step": {"architecture": "two-step", "detector": {"file": "a/net.safetensors"}, "embedder": {"file": "net.safetensors"}},
    "combined": {"architecture": "combined"},
}


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)  # see test_find.py
    monkeypatch.setenv("HF_TOKEN", "hf_of_the_test")
    with serving() as served:
        monkeypatch.setenv("HF_ENDPOINT", served.url)
        yield served


def text(name: str) -> bytes:
    return json.dumps(CONFIGS[name]).encode()


def several(*names: str) -> dict[str, bytes]:
    """Files that are fetched and not opened here."""
    return dict.fromkeys(names, b"weights")


def asked(hub: Hub) -> set[str]:
    """Names of the files that were looked for."""
    return {re.split("/resolve/[^/]+/", path)[-1] for method, path, _ in hub.asked if method == "HEAD"}


def two_step(tmp_path: Path) -> Path:
    """A folder whose embedder keeps its weights in a file beside it."""
    beside = {"save_as_external_data": True, "location": "weights.bin", "size_threshold": 60}
    files = {"detector_file": yolox(tmp_path / "yolox.onnx", PERSON), "embedder_file": reid(tmp_path / "reid.onnx", **beside)}
    return save_two_step(tmp_path / "model", **files, name="ours")


def test_a_two_step_model_is_pushed_and_comes_back_the_same(hub: Hub, tmp_path: Path) -> None:
    folder = two_step(tmp_path)
    (folder / "notes.pth").write_bytes(b"not for others")
    searcher = PersonSearcher.from_pretrained(folder, device="cpu")
    address = searcher.push_to_hub(REPO)
    (files,) = hub.commits.values()
    sent = {"config.json", "detector/yolox.onnx", "embedder/reid.onnx", "embedder/weights.bin"}
    assert set(files) == {*sent, "README.md"}
    hub.asked.clear()
    again = PersonSearcher.from_pretrained(address, device="cpu")
    assert asked(hub) == sent
    assert again.model.fingerprint == searcher.model.fingerprint
    np.testing.assert_array_equal(again.detect(SCENE).embeddings, searcher.detect(SCENE).embeddings)
    assert len(again.detect(SCENE)) == 1
    hub.asked.clear()
    PersonSearcher.from_pretrained(address, device="cpu")  # from this machine
    assert hub.asked == []
    assert client.cached_first_use(REPO, address.partition("@")[2], hub_cache()) == again.folder
    saved = again.save_pretrained(tmp_path / "saved")
    assert PersonSearcher.from_pretrained(saved, device="cpu").model.fingerprint == searcher.model.fingerprint


def test_the_small_model_is_pushed_with_its_onnx_files(hub: Hub) -> None:
    searcher = PersonSearcher.from_pretrained(device="cpu")
    address = searcher.push_to_hub(REPO)
    (files,) = hub.commits.values()
    assert set(files) == {"README.md", "config.json", "model.safetensors", "detector.onnx", "embedder.onnx"}
    again = PersonSearcher.from_pretrained(address, device="cpu", backend="onnx")
    assert again.model.fingerprint == searcher.model.fingerprint
    assert again.calibration == searcher.calibration


def test_the_small_model_needs_no_onnx_files(hub: Hub, tmp_path: Path) -> None:
    for more, expected in (((), 2), (("detector.onnx",), 2), (("detector.onnx", "embedder.onnx"), 4)):
        commit = hub.commit(REPO, {"config.json": text("nano"), **several("model.safetensors", *more)})
        folder = client.fetch_first_use(REPO, commit, tmp_path)
        (pin,) = (path for path in (tmp_path / "pins").iterdir() if commit in path.name)
        assert len(json.loads(pin.read_text())["digests"]) == expected
        assert client.fetch_first_use(REPO, commit, tmp_path) == folder


def test_a_combined_model_is_fetched_completely(hub: Hub, tmp_path: Path) -> None:
    parts = {"detector/config.json": text("two-step"), "reidentifier/config.json": text("seqnet")}
    weights = several("detector/a/net.safetensors", "detector/net.safetensors", "reidentifier/model.safetensors")
    hub.commit(REPO, {"config.json": text("combined"), **parts, **weights, "detector/other.safetensors": b"", "x.pkl": b""})
    folder = client.fetch_first_use(REPO, "main", tmp_path)
    expected = {"config.json", *parts, *weights}
    assert asked(hub) == expected
    assert {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()} == expected
    assert set(model_files(in_folder(folder))) == expected
    (folder / "detector/net.safetensors").unlink()
    assert client.cached_first_use(REPO, "main", tmp_path) is None
    with pytest.raises(WeightsError, match=r"detector/net\.safetensors is missing"):
        model_files(in_folder(folder))


def test_a_file_in_a_subfolder_must_keep_its_first_digest(hub: Hub, tmp_path: Path) -> None:
    files = {"config.json": text("two-step"), **several("a/net.safetensors", "net.safetensors")}
    folder = client.fetch_first_use(REPO, hub.commit(REPO, files), tmp_path)
    (folder / "a/net.safetensors").resolve().write_bytes(b"other")
    with pytest.raises(WeightsError, match=r"sha256 of a/net\.safetensors .*do not use it"):
        client.fetch_first_use(REPO, folder.name, tmp_path)
    assert not (folder / "a/net.safetensors").exists()


@pytest.mark.parametrize("file", ["../net.onnx", "/etc/passwd.onnx", "a/../../net.onnx", "net.pkl", "model.pth", "", None, 3])
def test_a_config_with_a_forbidden_file_fetches_nothing(hub: Hub, tmp_path: Path, file: object) -> None:
    config = {"architecture": "two-step", "detector": {"file": file}, "embedder": {"file": "net.onnx"}}
    hub.commit(REPO, {"config.json": json.dumps(config).encode(), "net.pkl": b"evil", "model.pth": b"evil"})
    with pytest.raises(ConfigError, match=r"detector\.file: must name"):
        client.fetch_first_use(REPO, "main", tmp_path)
    assert asked(hub) == {"config.json"}
    assert not list(tmp_path.glob("pins/*"))


def test_external_weights_must_be_inside_the_model(hub: Hub, tmp_path: Path) -> None:
    network = two_step(tmp_path) / "embedder/reid.onnx"
    content = network.read_bytes().replace(b"weights.bin", b"../../a.bin")
    config = {"architecture": "two-step", "detector": {"file": "e/reid.onnx"}, "embedder": {"file": "e/reid.onnx"}}
    hub.commit(REPO, {"config.json": json.dumps(config).encode(), "e/reid.onnx": content})
    with pytest.raises(WeightsError, match=r"stores weights in a file that must name .* got 'e/\.\./\.\./a\.bin'"):
        client.fetch_first_use(REPO, "main", tmp_path)


def test_a_repository_that_lacks_a_part_is_refused(hub: Hub, tmp_path: Path) -> None:
    hub.commit(REPO, {"config.json": text("two-step"), **several("a/net.safetensors")})
    with pytest.raises(WeightsError, match=r"has no net\.safetensors at .*never a pickle"):
        client.fetch_first_use(REPO, "main", tmp_path)


@pytest.mark.parametrize("config", [{"architecture": "two-step"}, {"architecture": "two-step", "detector": "net.onnx"}])
def test_an_incomplete_folder_is_not_pushed(hub: Hub, tmp_path: Path, config: dict[str, Any]) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(PersonSearchError, match=r"detector\.file: must name"):
        client.push(tmp_path, REPO, private=True)
    (tmp_path / "config.json").write_text('{"architecture": "seqnet"}')
    with pytest.raises(WeightsError, match=r"model\.safetensors is missing"):
        client.push(tmp_path, REPO, private=True)
    assert hub.asked == []

"""A model's folder: what is written is read back, damaged files are errors, and the fingerprint depends on all of it."""

import json
from pathlib import Path

import numpy as np
import pytest

from personsearch.boxes import Array
from personsearch.errors import ConfigError, WeightsError
from personsearch.models import open_folder
from personsearch.weights import check_sha256, fingerprint, read_config, read_tensors, save_model, sha256

CONFIG = {"architecture": "seqnet", "name": "mine"}
EMPTY_SHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def test_a_saved_model_is_read_back(tmp_path: Path) -> None:
    tensors: dict[str, Array] = {"a": np.arange(4, dtype=np.float32), "b": np.zeros((0, 2), np.int64)}
    save_model(tmp_path / "new" / "model", CONFIG, tensors)
    assert read_config(tmp_path / "new" / "model") == CONFIG
    read = read_tensors(tmp_path / "new" / "model" / "model.safetensors")
    assert sorted(read) == ["a", "b"]
    for name, tensor in tensors.items():
        assert read[name].dtype == tensor.dtype
        assert np.array_equal(read[name], tensor)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "has no config.json, so it is not a model folder"),
        ("{", "is not JSON"),
        ("[]", 'does not name its "architecture"'),
        ("{}", 'does not name its "architecture"'),
        ('{"architecture": 3}', 'does not name its "architecture"'),
    ],
)
def test_a_damaged_config_is_an_error(tmp_path: Path, text: str | None, message: str) -> None:
    if text is not None:
        (tmp_path / "config.json").write_text(text)
    with pytest.raises(ConfigError, match=message):
        read_config(tmp_path)


def test_missing_tensors_and_pickles_are_errors(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    with pytest.raises(WeightsError, match="is missing"):
        read_tensors(path)
    path.write_bytes(b"\x80\x04K\x01.")
    with pytest.raises(WeightsError, match="is not a safetensors file"):
        read_tensors(path)


def test_sha256_of_an_empty_file(tmp_path: Path) -> None:
    (tmp_path / "empty").write_bytes(b"")
    assert sha256(tmp_path / "empty") == EMPTY_SHA256
    check_sha256(tmp_path / "empty", EMPTY_SHA256)
    with pytest.raises(WeightsError, match="sha256 is e3b0c44298fc, the manifest says 000000000000; install personsearch again"):
        check_sha256(tmp_path / "empty", "0" * 64)


def test_the_fingerprint_depends_on_content_and_not_on_the_folder(tmp_path: Path) -> None:
    files = []
    for folder in ("here", "there"):
        (tmp_path / folder).mkdir()
        for name in ("a", "b"):
            (tmp_path / folder / name).write_text(name)
            files.append(tmp_path / folder / name)
    here, there = files[:2], files[2:]
    print_of_here = fingerprint(CONFIG, here)
    assert len(print_of_here) == 64
    assert fingerprint(dict(reversed(CONFIG.items())), there[::-1]) == print_of_here
    assert fingerprint({**CONFIG, "name": "other"}, here) != print_of_here
    (tmp_path / "there" / "a").write_text("other")
    assert fingerprint(CONFIG, there) != print_of_here
    # computed by hand with hashlib; existing galleries depend on it
    (tmp_path / "empty").write_bytes(b"")
    expected = "4068f2b09f3ab5bdcfad9fdd85fbdf768e02436b48dccb24da0a5476a888766d"
    assert fingerprint({"b": 1, "a": [0.5, None]}, [tmp_path / "empty"]) == expected


@pytest.mark.parametrize("dtype", ["BF16", "F8_E4M3", "F8_E5M2"])
def test_number_types_that_numpy_lacks_are_named(tmp_path: Path, dtype: str) -> None:
    """They were a TypeError and an AttributeError inside safetensors."""
    size = 2 if dtype == "BF16" else 1
    header = json.dumps({"layer.weight": {"dtype": dtype, "shape": [3], "data_offsets": [0, 3 * size]}}).encode()
    (tmp_path / "a.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(3 * size))
    with pytest.raises(WeightsError, match=f"tensor 'layer.weight' has numbers of type {dtype}.*save it in float32"):
        read_tensors(tmp_path / "a.safetensors")


def test_a_web_page_and_a_pointer_as_weights_are_named(tmp_path: Path) -> None:
    file = tmp_path / "model.safetensors"
    file.write_text("<!DOCTYPE html><html></html>")
    with pytest.raises(WeightsError, match=r"model\.safetensors is a web page, .* download the file again"):
        read_tensors(file)
    file.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    with pytest.raises(WeightsError, match=r"model\.safetensors is a Git LFS pointer.*git lfs pull"):
        read_tensors(file)


@pytest.mark.parametrize("content", [b"[" * 100_000, b"\xff\xfe\x00\xd8", "{}".encode("utf-16")])
def test_a_config_that_cannot_be_read_is_a_config_error(tmp_path: Path, content: bytes) -> None:
    """Deep JSON was a RecursionError."""
    (tmp_path / "config.json").write_bytes(content)
    with pytest.raises(ConfigError, match=r"config\.json"):
        read_config(tmp_path)


def test_a_config_that_is_a_folder_is_a_config_error(tmp_path: Path) -> None:
    (tmp_path / "config.json").mkdir()
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        read_config(tmp_path)


@pytest.mark.parametrize("architecture", ["seqnet", "oim", "dkd", "trident", "alignps", "roi-alignps", "seqnext"])
@pytest.mark.parametrize("field", ["embedding_dim", "channels", "short_side", "max_people"])
def test_a_config_of_a_huge_network_is_refused_at_once(tmp_path: Path, architecture: str, field: str) -> None:
    """`embedding_dim` of a thousand million took 42 s and ended in an error of torch."""
    save_model(tmp_path, {"architecture": architecture, "name": "x", field: 10**9}, {})
    with pytest.raises(ConfigError, match=rf"{field}: (Input should be less than or equal to|Extra inputs)"):
        open_folder(tmp_path, "cpu")

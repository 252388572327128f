"""A model's folder: what is written is read back, damaged files are errors, and the fingerprint depends on all of it."""

from pathlib import Path

import numpy as np
import pytest

from personsearch.boxes import Array
from personsearch.errors import ConfigError, WeightsError
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

from pathlib import Path

import pytest

from personsearch.errors import WeightsError
from personsearch.weights import external_files
from tests.helpers.onnx_files import reid, reid_with_external_weights


def test_weights_beside_the_file_are_found(tmp_path: Path) -> None:
    path = reid_with_external_weights(tmp_path)
    assert external_files(path) == [tmp_path / "reid.onnx.data"]
    (tmp_path / "reid.onnx.data").unlink()
    with pytest.raises(WeightsError, match=r"needs its weights in .*reid\.onnx\.data, which is missing"):
        external_files(path)


def test_a_file_with_its_weights_inside_has_no_external_files(tmp_path: Path) -> None:
    (tmp_path / "reid.onnx.data").write_bytes(b"another network's")
    assert external_files(reid(tmp_path / "reid.onnx")) == []

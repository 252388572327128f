"""The bundled model as two ONNX files: written by the command, opened from the folder, refused as one file."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from typer.testing import CliRunner

from personsearch import PersonSearcher
from personsearch.cli import app as cli
from personsearch.errors import ConfigError, PersonSearchError
from personsearch.export import export_nano
from personsearch.export.nano import store_halves
from personsearch.models.config import BackboneConfig
from personsearch.weights import read_config, read_tensors, save_model
from tests.helpers.nano_models import CONFIG, write

PICTURE = np.random.default_rng(0).integers(0, 255, (70, 90, 3), np.uint8)


def attributes(file: Path, name: str) -> list[Any]:
    """One attribute of each convolution of a file."""
    nodes = [node for node in onnx.load(file).graph.node if node.op_type == "Conv"]
    return [onnx.helper.get_attribute_value(entry) for node in nodes for entry in node.attribute if entry.name == name]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the command writes for a small model, whose weights float16 holds as it does the bundled model's."""
    home = tmp_path_factory.mktemp("export")
    whole = CONFIG.embedder.model_copy(update={"backbone": BackboneConfig(name="shufflenet", width=1.0)})
    model = write(home / "model", config=CONFIG.model_copy(update={"embedder": whole}))
    tensors = {name: array.astype(np.float16) for name, array in read_tensors(model / "model.safetensors").items()}
    save_model(model, read_config(model), tensors)
    result = CliRunner().invoke(cli.app, ["export", str(model), str(home / "out")])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout) == {"file": str(home / "out")}
    return home / "out"


@pytest.mark.slow
def test_the_command_writes_a_folder_that_both_engines_open(folder: Path) -> None:
    plain, exported = (PersonSearcher.from_pretrained(folder, device="cpu", backend=backend) for backend in ("torch", "onnx"))
    for picture in (PICTURE, PICTURE[:40], np.ascontiguousarray(PICTURE.transpose(1, 0, 2))):  # any size, more than one shape
        first, second = plain.detect(picture), exported.detect(picture)
        assert len(first.scores)
        np.testing.assert_allclose(first.boxes, second.boxes, atol=1e-3)  # float32 sums in another order
        np.testing.assert_allclose(first.embeddings, second.embeddings, atol=1e-5)
    alone, *batch = exported.detect(PICTURE), *exported.model.detect([exported.model.prepare(PICTURE)] * 3)
    for detections in batch:  # each on one core; the single image ran on all cores
        np.testing.assert_allclose(detections.boxes, alone.boxes, atol=1e-3)
        np.testing.assert_allclose(detections.embeddings, alone.embeddings, atol=1e-5)
    assert {(6, 6)} == {tuple(shape) for shape in attributes(folder / "detector.onnx", "kernel_shape") if max(shape) > 5}
    groups = set(attributes(folder / "embedder.onnx", "group"))
    assert 60 in groups  # 58 channels of the network, in whole blocks
    assert 58 not in groups
    with torch.no_grad():
        plain.model.detector.network.heads[0].score.bias += 0.5  # type: ignore[attr-defined]
    assert plain.detect(PICTURE).scores.sum() > exported.detect(PICTURE).scores.sum() + 1e-3  # the comparison can fail


@pytest.mark.slow
def test_weights_that_float16_holds_are_stored_so(folder: Path) -> None:
    weights = onnx.load(folder / "detector.onnx").graph.initializer
    kinds = {tensor.data_type for tensor in weights if np.prod(tensor.dims) >= 64}
    assert kinds == {onnx.TensorProto.FLOAT16}


def test_halves_by_hand(tmp_path: Path) -> None:
    file, values = (
        tmp_path / "sum.onnx",
        {"exact": np.full(64, 0.5), "near": np.full(64, 0.5 + 2e-6), "fine": np.full(64, 0.1), "few": np.full(3, 0.5)},
    )
    tensors = [onnx.numpy_helper.from_array(array.astype(np.float32), name) for name, array in values.items()]
    out = onnx.helper.make_tensor_value_info("exact", onnx.TensorProto.FLOAT, [64])
    onnx.save(onnx.helper.make_model(onnx.helper.make_graph([], "halves", [], [out], tensors)), str(file))
    store_halves(file)
    graph = onnx.load(file).graph
    kinds = {tensor.name: tensor.data_type for tensor in graph.initializer}
    half, single = onnx.TensorProto.FLOAT16, onnx.TensorProto.FLOAT
    assert kinds == {"exact.half": half, "near.half": half, "fine": single, "few": single}
    assert [(node.op_type, list(node.output)) for node in graph.node] == [("Cast", ["exact"]), ("Cast", ["near"])]


def test_one_file_for_two_networks_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="folder"):
        export_nano(write(tmp_path / "model"), tmp_path / "model.onnx")
    (tmp_path / "model" / "model.safetensors").unlink()
    with pytest.raises(PersonSearchError, match="missing"):
        export_nano(tmp_path / "model", tmp_path / "out")
    assert not (tmp_path / "out").exists()

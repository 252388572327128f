"""The choice between PyTorch and ONNX Runtime; what exported networks compute is in export/test_scene.py."""

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import onnx as onnx_library
import onnxruntime
import pytest
import torch

from personsearch.backends import open_file, open_model
from personsearch.errors import ConfigError, DeviceError, WeightsError
from personsearch.images import load
from personsearch.models import onnx_device
from personsearch.models.seqnet import SeqNet, SeqNetConfig
from personsearch.weights import save_model
from personsearch.weights.find import DEFAULT, find_model
from personsearch.weights.manifest import PACKAGE
from tests.helpers.onnx_files import reid

CONFIG = SeqNetConfig(backbone={"name": "resnet18", "width": 0.125}, short_side=96, long_side=160, embedding_dim=16)  # type: ignore[arg-type]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model folder without ONNX files."""
    torch.manual_seed(0)
    tensors = {name: tensor.numpy() for name, tensor in SeqNet(CONFIG).state_dict().items() if not name.endswith("num_batches_tracked")}
    save_model(tmp_path / "seqnet", CONFIG.model_dump(mode="json"), tensors)
    return tmp_path / "seqnet"


def test_auto_takes_onnx_runtime_if_the_folder_has_its_files() -> None:
    bundled = find_model(DEFAULT)
    auto, onnx, torch_model = (open_model(bundled, "cpu", backend) for backend in ("auto", "onnx", "torch"))
    assert type(auto) is type(onnx)
    assert auto.fingerprint == onnx.fingerprint
    assert torch_model.fingerprint != auto.fingerprint  # galleries of the two are never mixed


class CudaSession:
    """A session of ONNX Runtime that says it runs on the providers that it was opened with; it runs on the CPU."""

    opened: ClassVar[list[Any]] = []
    real = onnxruntime.InferenceSession

    def __init__(self, path: str, options: object, *, providers: list[object], enable_fallback: int) -> None:
        self.opened.append(providers)
        self._names = [provider if isinstance(provider, str) else provider[0] for provider in providers]  # type: ignore[index]
        self._session = CudaSession.real(path, options, providers=["CPUExecutionProvider"])

    def get_providers(self) -> list[str]:
        return self._names

    def __getattr__(self, name: str) -> object:
        return getattr(self._session, name)


def test_the_bundled_model_gets_the_cuda_provider(monkeypatch: pytest.MonkeyPatch) -> None:
    bundled, scene = find_model(DEFAULT), load(next((PACKAGE / "data/demo/scenes").iterdir()))
    on_cpu = open_model(bundled, "cpu", "onnx")
    monkeypatch.setattr(onnx_device, "cuda_devices", lambda: 2)
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"])
    monkeypatch.setattr(onnxruntime, "preload_dlls", lambda: None)
    monkeypatch.setattr(onnxruntime, "InferenceSession", CudaSession)
    monkeypatch.setattr(CudaSession, "opened", [])
    model = open_model(bundled, "cuda:1", "onnx")
    assert len(CudaSession.opened) == 2  # detector and crop network; none on the CPU beside them
    assert [[provider[0], provider[1]["device_id"], last] for provider, last in CudaSession.opened] == [
        ["CUDAExecutionProvider", 1, "CPUExecutionProvider"]
    ] * 2
    assert model.detector.session.device == model.embedder.session.device == "cuda:1"  # type: ignore[attr-defined]
    batches = [each.detect([each.prepare(scene)] * 2) for each in (on_cpu, model)]
    for ours, theirs in zip(*batches, strict=True):
        assert len(ours) > 0
        np.testing.assert_allclose(ours.boxes, theirs.boxes, atol=1e-3)  # one batch of two, not two runs: sums in another order
    with pytest.raises(DeviceError, match="the NVIDIA driver shows 2 CUDA devices"):
        open_model(bundled, "cuda:2", "onnx")


def test_the_bundled_model_without_the_cuda_provider_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with a GPU, where ONNX Runtime for the CPU alone is installed."""
    monkeypatch.setattr(onnx_device, "cuda_devices", lambda: 1)
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    with pytest.raises(DeviceError, match=r"no CUDAExecutionProvider, only CPUExecutionProvider; .*install onnxruntime-gpu"):
        open_model(find_model(DEFAULT), "cuda", "onnx")
    assert open_model(find_model(DEFAULT), "auto", "onnx").detector.session.device == "cpu"  # type: ignore[attr-defined]


def test_auto_takes_pytorch_without_onnx_files(folder: Path) -> None:
    auto, torch_model = (open_model(folder, "cpu", backend) for backend in ("auto", "torch"))
    assert type(auto) is type(torch_model)
    assert auto.fingerprint == torch_model.fingerprint


def test_onnx_runtime_needs_an_exported_file(folder: Path) -> None:
    with pytest.raises(ConfigError, match=rf'backend="onnx": {folder} has no ONNX files; run: personsearch export {folder} model\.onnx'):
        open_model(folder, "cpu", "onnx")


def test_options_of_pytorch_are_refused_for_onnx_runtime(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match='leave them or backend="onnx" out'):
        open_model(folder, "cpu", "onnx", precision="bfloat16")
    with pytest.raises(ConfigError, match='leave them or backend="onnx" out'):
        open_model(folder, "cpu", "onnx", compiled=True)
    file = tmp_path / "model.onnx"
    with pytest.raises(ConfigError, match="runs on ONNX Runtime in float32"):
        open_file(file, "cpu", "torch")
    with pytest.raises(ConfigError, match="runs on ONNX Runtime in float32"):
        open_file(file, "cpu", "auto", precision="bfloat16")


def test_precision_and_compiled_are_passed_on(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[object] = []
    monkeypatch.setattr("personsearch.models.fast.compiled.compile_model", compiled.append)
    model = open_model(folder, "cpu", "auto", precision="bfloat16", compiled=True)
    assert model.fingerprint.endswith("-bfloat16")
    assert compiled == [model]


def test_files_that_were_not_exported_are_errors(tmp_path: Path) -> None:
    with pytest.raises(WeightsError):
        open_file(tmp_path / "missing.onnx", "cpu", "auto")
    with pytest.raises(WeightsError, match="was not written by `personsearch export`"):
        open_file(reid(tmp_path / "reid.onnx"), "cpu", "auto")


def test_the_opened_model_detects(folder: Path) -> None:
    model = open_model(folder, "cpu", "torch")
    (detections,) = model.detect([model.prepare(np.zeros((96, 160, 3), np.uint8))])
    assert detections.embeddings.shape[1] == model.embedding_dim == 16


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ("{", "its metadata is not JSON"),
        ("[" * 100_000, "lists and objects inside one another"),
        ("[]", "valid dictionary"),
        ("{}", "config: Field required"),
        ('{"config": 3, "embedding_dim": 3}', "config: Input should be a valid dictionary"),
        ('{"config": {}, "embedding_dim": 3}', "config.architecture must be one of .*seqnet.*, got None"),
        ('{"config": {"architecture": ["seqnet"]}, "embedding_dim": 3}', r"got \['seqnet'\]"),
        ('{"config": {"architecture": "yolo"}, "embedding_dim": 3}', "got 'yolo'; export the model again"),
        ('{"config": {"architecture": "seqnet", "short_side": 0}, "embedding_dim": 3}', "short_side: Input should be greater"),
        ('{"config": {"architecture": "seqnet"}, "embedding_dim": "3"}', "embedding_dim: Input should be a valid integer"),
        ('{"config": {"architecture": "seqnet"}, "embedding_dim": 0}', "embedding_dim: Input should be greater"),
        ('{"config": {"architecture": "seqnet"}, "embedding_dim": 3}', "has other inputs or outputs than an exported network"),
    ],
)
def test_crafted_metadata_is_refused(tmp_path: Path, metadata: str, message: str) -> None:
    """They were a KeyError, a TypeError, a JSONDecodeError and an error of OpenCV."""
    network = onnx_library.load(str(reid(tmp_path / "a.onnx")))
    entry = network.metadata_props.add()
    entry.key, entry.value = "personsearch", metadata
    onnx_library.save(network, str(tmp_path / "a.onnx"))
    with pytest.raises((ConfigError, WeightsError), match=message):
        open_file(tmp_path / "a.onnx", "cpu", "auto")

"""The device of a model: the requested one or an error; only "auto" falls back to the CPU, with a log line."""

import ctypes
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from personsearch import PersonSearcher, models, onnx_session
from personsearch.errors import DeviceError
from personsearch.models import onnx_device
from personsearch.models.device import resolve_device
from personsearch.models.onnx_device import open_onnx, resolve_onnx_device
from personsearch.models.two_step import save_two_step
from personsearch.weights.find import find_model
from tests.helpers.onnx_files import PERSON, reid, yolox


@pytest.fixture
def cuda_for_torch_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with one CUDA device for torch but no CUDA provider for ONNX Runtime."""
    plain = onnx_session._providers
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(onnx_device, "cuda_devices", lambda: 1)
    monkeypatch.setattr(onnx_session, "_providers", lambda device: plain(device)[-1:])


@pytest.fixture
def two_step(tmp_path: Path) -> Path:
    files = {"detector_file": yolox(tmp_path / "yolox.onnx", PERSON), "embedder_file": reid(tmp_path / "reid.onnx")}
    return save_two_step(tmp_path / "model", **files)


def devices(searcher: PersonSearcher) -> list[str]:
    model: Any = searcher.model
    parts = (model.detector, model.embedder)
    return [part._session.device if hasattr(part, "_session") else part.session.device for part in parts]


def test_auto_is_the_first_cuda_device_else_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    for there, expected in ((True, "cuda"), (False, "cpu")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda there=there: there)
        assert resolve_device("auto") == expected


@pytest.mark.parametrize(("count", "expected"), [(0, "cpu"), (2, "cuda")])
def test_auto_on_onnx_runtime_asks_the_driver(monkeypatch: pytest.MonkeyPatch, count: int, expected: str) -> None:
    monkeypatch.setattr(onnx_device, "cuda_devices", lambda: count)
    assert resolve_onnx_device("auto") == expected
    assert resolve_onnx_device("cpu") == "cpu"
    with pytest.raises(DeviceError, match=f"'cuda:{count}' is not available: the NVIDIA driver shows {count} CUDA devices"):
        resolve_onnx_device(f"cuda:{count}")


@pytest.mark.parametrize("device", ["cpu:0", "gpu", "mps", "xpu", "CUDA", "cuda:", "cuda:-1", "cuda: 1", "", "0"])
def test_both_backends_know_the_same_devices(device: str) -> None:
    """PyTorch took "cpu:0" and called "mps" not supported, where ONNX Runtime said unknown."""
    for resolve in (resolve_device, resolve_onnx_device):
        with pytest.raises(DeviceError, match="is unknown; use"):
            resolve(device)


class Driver:
    """The two functions of the NVIDIA driver that count its devices."""

    def __init__(self, *, fails: bool = False) -> None:
        self.fails = fails

    def cuInit(self, flags: int) -> int:
        return 100 if self.fails else 0

    def cuDeviceGetCount(self, count: Any) -> int:
        count._obj.value = 3
        return 0


def test_the_driver_counts_the_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_device, "DRIVER", "no-such-library.so")
    assert onnx_device.cuda_devices() == 0
    for driver, count in ((Driver(), 3), (Driver(fails=True), 0)):
        monkeypatch.setattr(ctypes, "CDLL", lambda name, driver=driver: driver)
        assert onnx_device.cuda_devices() == count


def test_auto_falls_back_to_the_cpu_without_onnx_cuda(cuda_for_torch_alone: None, two_step: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "personsearch")
    searcher = PersonSearcher.from_pretrained(two_step)
    assert devices(searcher) == ["cpu", "cpu"]
    assert len(searcher.detect(np.full((64, 128, 3), 255, np.uint8))) == 1
    lines = [record.getMessage() for record in caplog.records if record.levelno == logging.INFO]
    assert sum("runs on the CPU, as ONNX Runtime cannot use cuda here" in line for line in lines) == 2


def test_the_bundled_model_falls_back_to_the_cpu_too(cuda_for_torch_alone: None) -> None:
    assert devices(PersonSearcher.from_pretrained(backend="onnx")) == ["cpu", "cpu"]
    with pytest.raises(DeviceError, match="fell back to the CPU"):
        PersonSearcher.from_pretrained(backend="onnx", device="cuda")


def test_a_requested_cuda_device_never_falls_back(cuda_for_torch_alone: None, two_step: Path) -> None:
    for device in ("cuda", "cuda:0"):
        with pytest.raises(DeviceError, match=f"cannot use device '{device}' and fell back to the CPU"):
            PersonSearcher.from_pretrained(two_step, device=device)
    with pytest.raises(DeviceError, match="driver shows 1 CUDA devices"):
        PersonSearcher.from_pretrained(two_step, device="cuda:1")


def test_a_working_device_is_not_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "personsearch")
    assert open_onnx(reid(tmp_path / "reid.onnx"), "cpu", threads=1).device == "cpu"
    assert caplog.records == []


def test_every_kind_of_folder_refuses_an_unknown_device(two_step: Path) -> None:
    for folder in (two_step, find_model("nano")):
        with pytest.raises(DeviceError, match="'tpu' is unknown"):
            models.open_folder(folder, "tpu")

"""ONNX files opened and run with any batch size and external weights; other files are refused."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from personsearch import onnx_session
from personsearch.errors import ConfigError, DeviceError, WeightsError
from personsearch.onnx_session import OnnxSession
from tests.helpers.onnx_files import reid, reid_with_external_weights


def test_ports_match_the_file(tmp_path: Path) -> None:
    session = OnnxSession(reid(tmp_path / "reid.onnx", batch="N", size=("H", 4)))
    (taken,), (given,) = session.inputs, session.outputs
    assert (taken.name, taken.shape, taken.dtype) == ("images", (None, 3, None, 4), np.float32)
    assert (given.name, given.shape) == ("output", (None, 3))
    assert session.device == "cpu"


def test_run_casts_to_the_inputs_dtype(tmp_path: Path) -> None:
    session = OnnxSession(reid(tmp_path / "reid.onnx"), threads=1)
    (output,) = session.run(np.full((1, 3, 8, 4), 7, np.uint8))
    assert output.tolist() == [[7, 7, 7]]


@pytest.mark.parametrize("batch", [1, 3, "N"])
@pytest.mark.parametrize("count", [1, 3, 4, 40])
def test_rows_do_not_depend_on_the_batch_size_of_the_file(tmp_path: Path, batch: int | str, count: int) -> None:
    session = OnnxSession(reid(tmp_path / "reid.onnx", batch=batch))
    rows = [np.full((3, 8, 4), i, np.float32) for i in range(count)]
    assert session.run_rows(rows).tolist() == [[i, i, i] for i in range(count)]


@pytest.mark.parametrize(("spins", "expected"), [(True, ("1", "1")), (False, ("0", "0"))])
def test_idle_threads_never_spin_between_two_runs(tmp_path: Path, spins: bool, expected: tuple[str, str]) -> None:
    options = OnnxSession(reid(tmp_path / "reid.onnx"), spins=spins)._session.get().get_session_options()
    entries = []
    for name, default in (("allow_spinning", "1"), ("force_spinning_stop", "0")):
        section = "session.intra_op" if name == "allow_spinning" else "session"
        try:
            entries.append(options.get_session_config_entry(f"{section}.{name}"))
        except RuntimeError:  # not set
            entries.append(default)
    assert tuple(entries) == expected


def test_wrong_shape_is_an_error_that_names_it(tmp_path: Path) -> None:
    session = OnnxSession(reid(tmp_path / "reid.onnx"))
    with pytest.raises(WeightsError, match=r"fails on inputs of shapes \[\(1, 3, 9, 4\)\]"):
        session.run(np.zeros((1, 3, 9, 4), np.float32))


@pytest.mark.parametrize("content", [b"\xff\xd8\xff\xe0\x00\x10JFIF\x00" * 50, b"weights\n", b"\x80\x04}q\x00."])
def test_a_file_that_is_not_onnx_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "photo.onnx"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=r"photo\.onnx is not an ONNX file"):
        OnnxSession(path)


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "nothing.onnx", tmp_path):
        with pytest.raises(WeightsError, match="is not a file"):
            OnnxSession(path)


def test_threads_and_devices_out_of_range_are_refused(tmp_path: Path) -> None:
    path = reid(tmp_path / "reid.onnx")
    with pytest.raises(ConfigError, match="threads must be at least 1, got 0"):
        OnnxSession(path, threads=0)
    for device in ("tpu", "cuda:", "cuda:x"):
        with pytest.raises(DeviceError, match="not supported"):
            OnnxSession(path, device=device, allow_cpu=True)


def test_a_cuda_device_that_no_machine_has_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match='use device="cpu"'):
        OnnxSession(reid(tmp_path / "reid.onnx"), device="cuda:99")


def test_cuda_runs_in_full_float32_without_trying_algorithms_for_each_size() -> None:
    (name, options), last = onnx_session._providers("cuda:1")
    assert (name, last) == ("CUDAExecutionProvider", "CPUExecutionProvider")
    assert options == {
        "device_id": 1,
        "cudnn_conv_algo_search": "HEURISTIC",
        "arena_extend_strategy": "kSameAsRequested",
        "use_tf32": "0",
    }


def test_a_silent_cpu_fallback_is_an_error_unless_allowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = reid(tmp_path / "reid.onnx")
    monkeypatch.setattr(onnx_session, "_providers", lambda device: ["CPUExecutionProvider"])  # as on a machine without CUDA
    with pytest.raises(DeviceError, match="fell back to the CPU"):
        OnnxSession(path, device="cuda")
    assert OnnxSession(path, device="cuda", allow_cpu=True).device == "cpu"


def test_a_failing_provider_is_an_error_unless_cpu_is_allowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = reid(tmp_path / "reid.onnx")
    opened = onnxruntime.InferenceSession

    def fail_on_cuda(*args: object, providers: list[object], **options: object) -> object:
        if len(providers) > 1:
            raise RuntimeError("CUDA failure 100: no CUDA-capable device is detected")
        return opened(*args, providers=providers, **options)

    monkeypatch.setattr(onnxruntime, "InferenceSession", fail_on_cuda)
    with pytest.raises(DeviceError, match="no CUDA-capable device"):
        OnnxSession(path, device="cuda")
    assert OnnxSession(path, device="cuda", allow_cpu=True).device == "cpu"


def test_an_onnx_runtime_without_cuda_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It warned and ran on the CPU before that was noticed; the message did not say what this ONNX Runtime has."""
    path = reid(tmp_path / "reid.onnx")
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["AzureExecutionProvider", "CPUExecutionProvider"])
    with pytest.raises(DeviceError, match="has no CUDAExecutionProvider, only AzureExecutionProvider, CPUExecutionProvider; use device="):
        OnnxSession(path, device="cuda")
    assert OnnxSession(path, device="cuda", allow_cpu=True).device == "cpu"


def test_a_network_without_the_file_of_its_weights_is_refused(tmp_path: Path) -> None:
    path = reid_with_external_weights(tmp_path)
    assert OnnxSession(path).run(np.ones((1, 3, 8, 4)))[0].tolist() == [[1, 1, 1]]
    (tmp_path / "reid.onnx.data").unlink()
    with pytest.raises(WeightsError, match="is not an ONNX file that can be run"):
        OnnxSession(path)


def test_pages_and_pointers_as_networks_are_named(tmp_path: Path) -> None:
    path = tmp_path / "a.onnx"
    for content, message in (
        ("<html>", "is a web page"),
        ("version https://git-lfs.github.com/spec/v1", "is a Git LFS pointer"),
        ("", "is empty"),
    ):
        path.write_text(content)
        with pytest.raises(WeightsError, match=rf"a\.onnx {message}"):
            OnnxSession(path)


def test_a_name_that_is_too_long_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="is not a file"):
        OnnxSession(tmp_path / ("a" * 5000 + ".onnx"))

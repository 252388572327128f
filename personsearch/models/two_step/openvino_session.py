"""An OpenVINO IR network (.xml with a .bin beside it) opened with OpenVINO: NumPy in, NumPy out."""

import os
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from personsearch.boxes import Array
from personsearch.errors import DeviceError, MissingExtraError, WeightsError
from personsearch.onnx_session import Port
from personsearch.processes import PerProcess

OPENVINO_SUFFIX = ".xml"


class OpenVinoSession:
    """An opened network with the interface of `OnnxSession`; `run` may be called from several threads and from forked processes.

    It runs in float32: OpenVINO's default on some processors is bfloat16, which moves boxes by a pixel.

    Args:
        path: Network's .xml file; the weights are in the .bin file of the same name beside it.
        device: "auto" or "cpu". OpenVINO has no CUDA.
        threads: CPU threads of a run; None: one for each core.

    Attributes:
        device: "cpu".
        inputs, outputs: what the file declares.

    Raises:
        MissingExtraError: openvino is not installed.
        WeightsError: a file is missing, or is not a network that OpenVINO can run.
        DeviceError: another device.
    """

    def __init__(self, path: Path, *, device: str = "cpu", threads: int | None = None) -> None:
        if device not in ("auto", "cpu"):
            raise DeviceError(f'{path} runs on OpenVINO, which has no device {device!r}; use device="cpu"')
        for file in openvino_files(path):
            if not os.path.isfile(file):
                raise WeightsError(f"{file} is missing; an OpenVINO network is two files of one name, .xml and .bin")
        openvino_core()
        self.path = path
        self.device = "cpu"
        settings = {"INFERENCE_PRECISION_HINT": "f32", "NUM_STREAMS": 1}
        if threads is not None:
            settings["INFERENCE_NUM_THREADS"] = threads

        def open_here() -> tuple[Any, threading.local]:
            try:
                return openvino_core().compile_model(str(path), "CPU", settings), threading.local()
            except RuntimeError as error:
                raise WeightsError(f"{path} is not a network that OpenVINO can run: {_first_line(error)}") from error

        self._opened = PerProcess(open_here)
        network, _ = self._opened.get()
        self.inputs = tuple(_port(port) for port in network.inputs)
        self.outputs = tuple(_port(port) for port in network.outputs)

    def run(self, *arrays: Array) -> list[Array]:
        """All outputs, for one array for each input, in the order of `inputs`.

        Raises:
            WeightsError: the network does not take arrays of these shapes, or fails on them.
        """
        network, requests = self._opened.get()
        if not hasattr(requests, "request"):
            requests.request = network.create_infer_request()
        feeds = [np.ascontiguousarray(array, port.dtype) for port, array in zip(self.inputs, arrays, strict=True)]
        try:
            results = requests.request.infer(feeds)
        except RuntimeError as error:
            raise WeightsError(
                f"{self.path} fails on inputs of shapes {[array.shape for array in arrays]}: {_first_line(error)}"
            ) from error
        return [np.array(results[port]) for port in network.outputs]  # copies: OpenVINO reuses its memory

    def run_rows(self, rows: Sequence[Array]) -> Array:
        """The first output, one row for each of `rows`, for a network with one input of batch 1."""
        return np.concatenate([self.run(row[None])[0] for row in rows])


def openvino_files(path: Path) -> list[Path]:
    """The two files of a network: .xml and .bin."""
    return [path, path.with_suffix(".bin")]


def openvino_core() -> Any:
    """The one `openvino.Core` of this process, whose plugin for CPUs was loaded in a thread of its own and is never unloaded.

    The plugin gives the thread that loads it another stack for signals, and frees that stack when it is unloaded. If another thread
    unloads it, or two plugins are unloaded in the order in which they were loaded, the next signal ends the process without a message.

    Raises:
        MissingExtraError: openvino is not installed.
    """
    _openvino()
    return _core().get()


def _openvino() -> Any:
    try:
        import openvino
    except ModuleNotFoundError as error:
        raise MissingExtraError("openvino is not installed; run: pip install 'personsearch[openvino]'") from error
    return openvino


@cache
def _core() -> PerProcess[Any]:
    return PerProcess(_open_core)


def _open_core() -> Any:
    core = _openvino().Core()
    with ThreadPoolExecutor(1) as threads:
        threads.submit(lambda: core.available_devices).result()
    return core


def _port(port: Any) -> Port:
    shape = tuple(axis.get_length() if axis.is_static else None for axis in port.partial_shape)
    return Port(port.any_name if port.names else "", shape, np.dtype(port.element_type.to_dtype()))


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__

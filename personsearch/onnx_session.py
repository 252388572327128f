"""An ONNX file opened with ONNX Runtime, on the CPU or a CUDA device: NumPy in, NumPy out."""

import contextlib
import logging
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from personsearch.boxes import Array
from personsearch.errors import ConfigError, DeviceError, WeightsError

ROWS_AT_ONCE = 32  # of a network that takes any batch size
CUDA_ADVICE = 'use device="cpu", or install onnxruntime-gpu and the CUDA libraries it asks for'
log = logging.getLogger(__name__)

_NAMES = {"float": "float32", "double": "float64"}  # ONNX Runtime's names of types where NumPy has others


@dataclass(frozen=True)
class Port:
    """One input or output of a network, as its file declares it."""

    name: str
    shape: tuple[int | None, ...]  # None where any size will do
    dtype: np.dtype[Any]


class OnnxSession:
    """An opened network; `run` may be called from several threads.

    Args:
        path: an ONNX file; weights outside it are found beside it.
        device: "cpu", "cuda" or "cuda:1".
        threads: CPU threads of one run; None: as many as there are cores.
        spins: idle threads of a run wait for its next layer awake, but never between two runs; faster alone, slower where others want
            the cores.
        allow_cpu: run on the CPU where CUDA is not there, instead of raising; `device` and the log then say so.

    Attributes:
        device: where it really runs.
        inputs, outputs: what the file declares.
        metadata: texts by name that whoever wrote the file put in.

    Raises:
        WeightsError: missing, not an ONNX file, or a network that this ONNX Runtime cannot run.
        DeviceError: the device is unknown or not there.
        ConfigError: `threads` below 1.
    """

    def __init__(
        self, path: Path, *, device: str = "cpu", threads: int | None = None, spins: bool = False, allow_cpu: bool = False
    ) -> None:
        if threads is not None and threads < 1:
            raise ConfigError(f"threads must be at least 1, got {threads}")
        if not path.is_file():
            raise WeightsError(f"{path} is not a file; pass the path of an ONNX file")
        providers = _providers(device)
        self.path = path
        try:
            self._session = _open(path, providers, threads, spins)
        except DeviceError:
            if not allow_cpu:
                raise
            self._session = _open(path, _providers("cpu"), threads, spins)
        on_cuda = "CUDAExecutionProvider" in self._session.get_providers()
        if device != "cpu" and not on_cuda and not allow_cpu:
            raise DeviceError(f"ONNX Runtime cannot use device {device!r} and fell back to the CPU; {CUDA_ADVICE}")
        self.device = device if on_cuda else "cpu"
        if self.device != device:
            log.info("%s runs on the CPU, as ONNX Runtime cannot use %s here; %s", path, device, CUDA_ADVICE)
        self.inputs = tuple(_port(value, path) for value in self._session.get_inputs())
        self.outputs = tuple(_port(value, path) for value in self._session.get_outputs())
        self.metadata: dict[str, str] = dict(self._session.get_modelmeta().custom_metadata_map)

    def run(self, *arrays: Array) -> list[Array]:
        """All outputs, for one array for each input, in the order of `inputs`; cast to the input's dtype if need be.

        Raises:
            WeightsError: the network does not take arrays of these shapes, or fails on them.
        """
        feeds = {port.name: np.asarray(array, port.dtype) for port, array in zip(self.inputs, arrays, strict=True)}
        try:
            outputs: list[Array] = self._session.run(None, feeds)
        except _errors() as error:
            raise WeightsError(f"{self.path} fails on inputs of shapes {[array.shape for array in arrays]}: {error}") from error
        return outputs

    def run_rows(self, rows: Sequence[Array]) -> Array:
        """The first output, one row for each of `rows`, for a network with one input, whatever batch size its file fixes.

        `rows` holds at least one array, of the input's shape without the batch. A fixed batch is filled up with
        copies of its last row, whose results are cut off again.
        """
        fixed = self.inputs[0].shape[0]
        size = fixed or ROWS_AT_ONCE
        results = []
        for start in range(0, len(rows), size):
            part = list(rows[start : start + size])
            filled = part + part[-1:] * (fixed - len(part) if fixed else 0)
            batch = filled[0][None] if len(filled) == 1 else np.stack(filled)
            results.append(self.run(batch)[0][: len(part)])
        return results[0] if len(results) == 1 else np.concatenate(results)


def external_names(path: Path) -> list[str]:
    """Names, from its folder, of the files that hold weights of an ONNX file: large networks', and those that torch's exporter writes."""
    # onnx.proto: TensorProto.external_data is a list of (key, value) strings, each with its length in front
    names = set()
    content = path.read_bytes()
    for match in re.finditer(rb"\n\x08location\x12([\x01-\x7f])", content):
        names.add(content[match.end() : match.end() + match.group(1)[0]].decode("utf-8", errors="replace"))
    return sorted(names)


def external_files(path: Path) -> list[Path]:
    """The files of `external_names`.

    Raises:
        WeightsError: one is not there.
    """
    files = [path.parent / name for name in external_names(path)]
    for file in files:
        if not file.is_file():
            raise WeightsError(f"{path} keeps weights in {file}, which is missing; put it there")
    return files


def _open(path: Path, providers: list[Any], threads: int | None, spins: bool) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    if spins:
        options.add_session_config_entry("session.force_spinning_stop", "1")  # when a run ends; ONNX Runtime's threads spin on otherwise
    else:
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if threads is not None:
        options.intra_op_num_threads = threads
    if len(providers) > 1:
        with contextlib.redirect_stdout(sys.stderr):  # it prints what it does not find
            onnxruntime.preload_dlls()
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=providers, enable_fallback=0)
    except (RuntimeError, ValueError) as error:  # a provider failed; what is wrong with a file comes as one of the others
        raise DeviceError(f"ONNX Runtime cannot use {providers[0]} ({error}); {CUDA_ADVICE}") from error
    except _errors() as error:
        raise WeightsError(f"{path} is not an ONNX file that can be run ({error}); export or download it again") from error


def _providers(device: str) -> list[Any]:
    if device == "cpu":
        return ["CPUExecutionProvider"]
    match = re.fullmatch(r"cuda(?::(\d+))?", device)
    if match is None:
        raise DeviceError(f'device {device!r} is not supported; use "cpu", "cuda" or "cuda:1"')
    return [("CUDAExecutionProvider", {"device_id": int(match.group(1) or 0)}), "CPUExecutionProvider"]


def _errors() -> tuple[type[Exception], ...]:
    """What ONNX Runtime raises; its errors have no common base but Exception."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    names = ("Fail", "InvalidArgument", "InvalidGraph", "InvalidProtobuf", "NoModel", "NoSuchFile", "NotImplemented", "RuntimeException")
    return tuple(getattr(state, name) for name in names)


def _port(value: Any, path: Path) -> Port:
    match = re.fullmatch(r"tensor\((float|float16|double|u?int\d+|bool)\)", value.type)
    if match is None:
        raise WeightsError(f"{path}: {value.name!r} is of type {value.type}; only tensors of numbers are supported")
    shape = tuple(size if isinstance(size, int) else None for size in value.shape)
    return Port(value.name, shape, np.dtype(_NAMES.get(match.group(1), match.group(1))))

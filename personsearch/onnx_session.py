"""An ONNX file on ONNX Runtime, on the CPU or a CUDA device: NumPy in, NumPy out."""

import contextlib
import logging
import os
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from personsearch.boxes import Array
from personsearch.checks import wrong_download
from personsearch.errors import ConfigError, DeviceError, WeightsError
from personsearch.processes import PerProcess

ROWS_AT_ONCE = 32  # batch of a network that takes any batch size
CUDA_ADVICE = 'use device="cpu", or install onnxruntime-gpu and the CUDA libraries it asks for'
CUDA_PROVIDER = "CUDAExecutionProvider"
CUDA_OPTIONS = {
    "cudnn_conv_algo_search": "HEURISTIC",  # the default tries all algorithms again for each new size of picture
    "arena_extend_strategy": "kSameAsRequested",  # the default doubles the memory with each new size
    "use_tf32": "0",  # ten bits less would give other embeddings than a CPU
}
log = logging.getLogger(__name__)

_NAMES = {"float": "float32", "double": "float64"}  # ONNX Runtime's names of types that NumPy names differently


@dataclass(frozen=True)
class Port:
    """One input or output of a network, as its file declares it."""

    name: str
    shape: tuple[int | None, ...]  # None for any size
    dtype: np.dtype[Any]


class OnnxSession:
    """An opened network; `run` may be called from several threads, and on the CPU from forked processes, which open it again.

    Args:
        path: ONNX file, with external weights beside it.
        device: Where it runs: "cpu", "cuda" or "cuda:1".
        threads: CPU threads of one run; None: one for each core.
        spins: Whether idle threads spin between the layers of a run (never between two runs): faster alone, slower if other
            programs need the cores.
        allow_cpu: Whether to run on the CPU, with a log line, if CUDA is not available, instead of raising.

    Attributes:
        device: Device that it runs on.
        inputs, outputs: Ports that the file declares.
        metadata: Texts by name that the writer of the file added.

    Raises:
        WeightsError: the file is missing, is not ONNX, or this ONNX Runtime cannot run it.
        DeviceError: the device is unknown, or the machine does not have it.
        ConfigError: `threads` is below 1.
    """

    def __init__(
        self, path: Path, *, device: str = "cpu", threads: int | None = None, spins: bool = False, allow_cpu: bool = False
    ) -> None:
        if threads is not None and threads < 1:
            raise ConfigError(f"threads must be at least 1, got {threads}")
        if not os.path.isfile(path):
            raise WeightsError(f"{path} is not a file; pass the path of an ONNX file")
        providers = _providers(device)
        self.path = path
        process = os.getpid()

        def open_here() -> Any:
            if device != "cpu" and os.getpid() != process:
                raise DeviceError(
                    f"{path} was opened on {device} before this process was forked, and CUDA does not work in a forked process; "
                    'start processes with multiprocessing.get_context("spawn"), or open the model in each process'
                )
            try:
                return _open(path, providers, threads, spins)
            except DeviceError:
                if not allow_cpu:
                    raise
                return _open(path, _providers("cpu"), threads, spins)

        self._session = PerProcess(open_here)
        session = self._session.get()
        on_cuda = CUDA_PROVIDER in session.get_providers()
        if device != "cpu" and not on_cuda and not allow_cpu:
            raise DeviceError(f"ONNX Runtime cannot use device {device!r} and fell back to the CPU; {CUDA_ADVICE}")
        self.device = device if on_cuda else "cpu"
        if self.device != device:
            log.info("%s runs on the CPU, as ONNX Runtime cannot use %s here; %s", path, device, CUDA_ADVICE)
        self.inputs = tuple(_port(value, path) for value in session.get_inputs())
        self.outputs = tuple(_port(value, path) for value in session.get_outputs())
        self.metadata: dict[str, str] = dict(session.get_modelmeta().custom_metadata_map)

    def run(self, *arrays: Array) -> list[Array]:
        """All outputs for one array per input, in the order of `inputs`; arrays are cast to the input's dtype.

        Raises:
            WeightsError: the network does not take arrays of these shapes, or fails on them.
            DeviceError: it runs on CUDA, and this process was forked from the one that opened it.
        """
        feeds = {port.name: np.asarray(array, port.dtype) for port, array in zip(self.inputs, arrays, strict=True)}
        try:
            outputs: list[Array] = self._session.get().run(None, feeds)
        except _errors() as error:
            raise WeightsError(f"{self.path} fails on inputs of shapes {[array.shape for array in arrays]}: {_short(error)}") from error
        return outputs

    def run_rows(self, rows: Sequence[Array]) -> Array:
        """The first output of a network with one input, one row for each of `rows`, for any fixed or free batch size.

        `rows` holds at least one array, of the input's shape without the batch axis. A fixed batch is filled up with
        copies of its last row, whose results are dropped.
        """
        fixed_size = self.inputs[0].shape[0]
        size = fixed_size or ROWS_AT_ONCE
        results = []
        for start in range(0, len(rows), size):
            chunk = list(rows[start : start + size])
            filled = chunk + chunk[-1:] * (fixed_size - len(chunk) if fixed_size else 0)
            batch = filled[0][None] if len(filled) == 1 else np.stack(filled)
            results.append(self.run(batch)[0][: len(chunk)])
        return results[0] if len(results) == 1 else np.concatenate(results)


def _open(path: Path, providers: list[Any], threads: int | None, spins: bool) -> Any:
    onnxruntime = quiet_onnxruntime()
    options = onnxruntime.SessionOptions()
    if spins:
        options.add_session_config_entry("session.force_spinning_stop", "1")  # at the end of a run; otherwise the threads spin on
    else:
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if threads is not None:
        options.intra_op_num_threads = threads
    if len(providers) > 1:
        available = onnxruntime.get_available_providers()
        if CUDA_PROVIDER not in available:
            raise DeviceError(f"the installed ONNX Runtime has no {CUDA_PROVIDER}, only {', '.join(available)}; {CUDA_ADVICE}")
        with contextlib.redirect_stdout(sys.stderr):  # it prints missing libraries
            onnxruntime.preload_dlls()
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=providers, enable_fallback=0)
    except (RuntimeError, ValueError) as error:  # a provider failed; broken files raise one of the other errors
        raise DeviceError(f"ONNX Runtime cannot use {providers[0]} ({_short(error)}); {CUDA_ADVICE}") from error
    except _errors() as error:
        reason = wrong_download(path) or f"is not an ONNX file that can be run ({_short(error)}); export or download it again"
        raise WeightsError(f"{path} {reason}") from error


def quiet_onnxruntime() -> Any:
    """ONNX Runtime without its telemetry, unless `ORT_DISABLE_TELEMETRY=0` asks for it.

    Telemetry sends facts about the machine and its networks to the maker of ONNX Runtime. Its thread does not exist in forked processes,
    such as workers of gunicorn, which wait for it without end when they exit, or crash.
    """
    is_off = os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1") != "0"
    import onnxruntime

    if is_off:
        onnxruntime.disable_telemetry_events()  # of a program that had imported it before
    return onnxruntime


def _short(error: BaseException) -> str:
    """The beginning of a message of ONNX Runtime, which may quote the file's bytes, on one line of printable characters."""
    text = " ".join(str(error).split())
    return "".join(letter if letter.isprintable() else "?" for letter in text)[:300]


def _providers(device: str) -> list[Any]:
    if device == "cpu":
        return ["CPUExecutionProvider"]
    match = re.fullmatch(r"cuda(?::(\d+))?", device)
    if match is None:
        raise DeviceError(f'device {device!r} is not supported; use "cpu", "cuda" or "cuda:1"')
    return [(CUDA_PROVIDER, CUDA_OPTIONS | {"device_id": int(match.group(1) or 0)}), "CPUExecutionProvider"]


def _errors() -> tuple[type[Exception], ...]:
    """The errors of ONNX Runtime, whose only common base is Exception, and MemoryError."""
    state = quiet_onnxruntime().capi.onnxruntime_pybind11_state
    names = ("Fail", "InvalidArgument", "InvalidGraph", "InvalidProtobuf", "NoModel", "NoSuchFile", "NotImplemented", "RuntimeException")
    return (MemoryError, *(getattr(state, name) for name in names))


def _port(value: Any, path: Path) -> Port:
    match = re.fullmatch(r"tensor\((float|float16|double|u?int\d+|bool)\)", value.type)
    if match is None:
        raise WeightsError(f"{path}: {value.name!r} has type {value.type}; only tensors of numbers are supported")
    shape = tuple(size if isinstance(size, int) else None for size in value.shape)
    return Port(value.name, shape, np.dtype(_NAMES.get(match.group(1), match.group(1))))

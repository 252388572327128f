"""The device of a model on ONNX Runtime, found without PyTorch."""

import ctypes
import os
import re
import sys
from pathlib import Path

from personsearch.errors import DeviceError
from personsearch.onnx_session import OnnxSession

AUTO = "auto"
DRIVER = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"


def cuda_devices() -> int:
    """Number of CUDA devices that the NVIDIA driver shows to this process; 0 without a driver."""
    try:
        driver = ctypes.CDLL(DRIVER)
    except OSError:
        return 0
    count = ctypes.c_int()
    failed = driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count))
    return 0 if failed else count.value


def device_number(device: str) -> int | None:
    """Number of a CUDA device, 0 for "cuda"; None for "cpu".

    Raises:
        DeviceError: the device is unknown.
    """
    match = re.fullmatch(r"cpu|cuda(?::(\d+))?", device)
    if match is None:
        raise DeviceError(f'device {device!r} is unknown; use "auto", "cpu", "cuda" or "cuda:1"')
    return None if device == "cpu" else int(match.group(1) or 0)


def resolve_onnx_device(device: str) -> str:
    """`device` itself if the machine has it; for "auto" the first CUDA device, else the CPU.

    Raises:
        DeviceError: the device is unknown, or this machine does not have it.
    """
    if device == AUTO:
        return "cuda" if cuda_devices() else "cpu"
    number = device_number(device)
    if number is not None and number >= (count := cuda_devices()):
        raise DeviceError(f'device {device!r} is not available: the NVIDIA driver shows {count} CUDA devices; use device="cpu"')
    return device


def cores() -> int:
    """Number of processors that this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def open_onnx(path: Path, device: str, *, threads: int | None = None, spins: bool = False) -> OnnxSession:
    """Open an ONNX file on `device`; "auto" falls back to the CPU, with a log line, if ONNX Runtime cannot use the CUDA device.

    Args:
        path: ONNX file.
        device: Where it runs: "auto", "cpu", "cuda" or "cuda:1".
        threads: CPU threads of a run, as for `OnnxSession`.
        spins: Whether idle threads spin, as for `OnnxSession`.

    Raises:
        DeviceError: the machine does not have this device.
        WeightsError, ConfigError: see `OnnxSession`.
    """
    return OnnxSession(path, device=resolve_onnx_device(device), threads=threads, spins=spins, allow_cpu=device == AUTO)

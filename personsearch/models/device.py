"""Which device a model runs on."""

import os
import sys
from pathlib import Path

import torch

from personsearch.errors import DeviceError
from personsearch.onnx_session import OnnxSession

AUTO = "auto"


def resolve_device(device: str) -> str:
    """`device` if it is there; for "auto" the first CUDA device, else the CPU.

    Raises:
        DeviceError: a CUDA device was asked for that this machine or this torch does not have.
    """
    if device == AUTO:
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        parsed = torch.device(device)
    except RuntimeError as error:
        raise DeviceError(f'device {device!r} is unknown; use "auto", "cpu", "cuda" or "cuda:1"') from error
    if parsed.type not in ("cpu", "cuda"):
        raise DeviceError(f'device {device!r} is not supported; use "auto", "cpu", "cuda" or "cuda:1"')
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if parsed.type == "cuda" and (parsed.index or 0) >= count:
        raise DeviceError(f'device {device!r} was asked for, but torch {torch.__version__} sees {count} CUDA devices; use device="cpu"')
    return device


def cores() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def open_onnx(path: Path, device: str, *, threads: int | None = None, spins: bool = False) -> OnnxSession:
    """An ONNX file on `device`; for "auto" on the CPU too where torch sees a CUDA device that ONNX Runtime cannot use: the log says so.

    Args:
        path: see `OnnxSession`.
        device: "auto", "cpu", "cuda" or "cuda:1".
        threads: see `OnnxSession`.
        spins: see `OnnxSession`.

    Raises:
        DeviceError: the device is not there.
        WeightsError, ConfigError: see `OnnxSession`.
    """
    return OnnxSession(path, device=resolve_device(device), threads=threads, spins=spins, allow_cpu=device == AUTO)

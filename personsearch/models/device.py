"""The device that a model runs on."""

import os
import sys
from pathlib import Path

import torch

from personsearch.errors import DeviceError
from personsearch.onnx_session import OnnxSession

AUTO = "auto"


def resolve_device(device: str) -> str:
    """`device` itself if the machine has it; for "auto" the first CUDA device, else the CPU.

    Raises:
        DeviceError: the device is unknown, or this machine or this torch does not have it.
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
        raise DeviceError(f'device {device!r} is not available: torch {torch.__version__} sees {count} CUDA devices; use device="cpu"')
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
    return OnnxSession(path, device=resolve_device(device), threads=threads, spins=spins, allow_cpu=device == AUTO)

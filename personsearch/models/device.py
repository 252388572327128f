"""The device that a model on PyTorch runs on."""

import os

import torch

from personsearch.errors import DeviceError
from personsearch.models.onnx_device import AUTO, device_number


def resolve_device(device: str) -> str:
    """`device` itself if the machine has it; for "auto" the first CUDA device, else the CPU.

    Raises:
        DeviceError: the device is unknown, or this machine or this torch does not have it.
    """
    if device == AUTO:
        return "cuda" if torch.cuda.is_available() else "cpu"
    number = device_number(device)
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if number is not None and number >= count:
        raise DeviceError(f'device {device!r} is not available: torch {torch.__version__} sees {count} CUDA devices; use device="cpu"')
    return device


def _use_one_thread() -> None:
    """PyTorch's threads for CPUs do not exist in a forked process, which waits for them without end; one thread waits for none."""
    torch.set_num_threads(1)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_use_one_thread)

"""Which device a model runs on."""

import torch

from personsearch.errors import DeviceError


def resolve_device(device: str) -> str:
    """`device` if it is there; for "auto" the first CUDA device, else the CPU.

    Raises:
        DeviceError: a CUDA device was asked for that this machine or this torch does not have.
    """
    if device == "auto":
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

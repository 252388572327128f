"""FLOPs of a run of a network."""

from collections.abc import Callable
from typing import Any

import torch
import torchvision  # noqa: F401 - registers the operator
from torch.utils.flop_counter import FlopCounterMode


def flops_of(run: Callable[[], Any]) -> float:
    """Floating-point operations of one run: those of convolutions and matrix products, a multiplication and an addition each one."""
    with FlopCounterMode(display=False, custom_mapping={torch.ops.torchvision.deform_conv2d: _deform_flops}) as counter:
        run()
    return float(counter.get_total_flops())


def _deform_flops(_: Any, weight: torch.Size, *__: Any, out_shape: torch.Size, **___: Any) -> int:
    """FLOPs of a deformable convolution: those of the plain one with this weight (C_out, C_in / groups, k, k)."""
    count: int = 2 * weight.numel() * out_shape[0] * out_shape[2] * out_shape[3]
    return count

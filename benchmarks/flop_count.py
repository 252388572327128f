"""FLOPs of a run of a network, with or without computing them."""

from collections.abc import Callable
from typing import Any

import torch
import torchvision  # noqa: F401 - registers the operator
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only
from torch.utils.flop_counter import FlopCounterMode

DEFORM = torch.ops.torchvision.deform_conv2d
# Where the FLOPs are; sums and norms besides are not counted
COUNTED = frozenset(
    {torch.ops.aten.convolution, torch.ops.aten.mm, torch.ops.aten.addmm, torch.ops.aten.bmm, torch.ops.aten.baddbmm, DEFORM}
)


def flops_of(run: Callable[[], Any], *, computed: bool = True) -> float:
    """Floating-point operations of one run: those of convolutions and matrix products, a multiplication and an addition each one.

    Args:
        run: Function that runs the network in plain PyTorch.
        computed: Whether convolutions and products are computed. If not, they give zeros, which takes seconds less; the count is the same
            for a network that looks at a fixed number of regions, however they score.
    """
    counter = FlopCounterMode(display=False, custom_mapping={DEFORM: _deform_flops})
    if computed:
        with counter:
            run()
    else:
        with _Zeros(), counter:  # type: ignore[no-untyped-call]
            run()
    return float(counter.get_total_flops())


class _Zeros(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Convolutions and matrix products give zeros of the right shape."""

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if function._overloadpacket not in COUNTED:
            return function(*args, **kwargs)
        result = function(*tree_map_only(torch.Tensor, _meta, args), **tree_map_only(torch.Tensor, _meta, kwargs))
        return torch.zeros(result.shape, dtype=result.dtype)


def _meta(tensor: torch.Tensor) -> torch.Tensor:
    return torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device="meta")


def _deform_flops(_: Any, weight: torch.Size, *__: Any, out_shape: torch.Size, **___: Any) -> int:
    """FLOPs of a deformable convolution: those of the plain one with this weight (C_out, C_in / groups, k, k)."""
    count: int = 2 * weight.numel() * out_shape[0] * out_shape[2] * out_shape[3]
    return count

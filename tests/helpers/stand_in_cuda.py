"""A stand-in for a CUDA device on a machine without one: tensors that say "cuda:0", compute on the CPU, and refuse tensors of the CPU.

PyTorch's own fake tensors have no values, so suppression and masks, whose sizes depend on values, stop there; these have them.
The device needs its number: PyTorch asks the driver for that of "cuda".
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves, tree_map

CUDA = torch.device("cuda", 0)
CPU = torch.device("cpu")
COPIES = ("to", "copy_", "type")  # functions that take tensors of two devices
INDEXING = ("__getitem__", "__setitem__", "index_put_")  # their indices may be on the CPU, as with CUDA


class OnCuda(Tensor):
    """A tensor that is on "cuda:0" for everybody who asks."""

    @classmethod
    def __torch_function__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _call(function, args, kwargs or {})

    def __deepcopy__(self, memo: dict[int, Any]) -> "OnCuda":
        with torch._C.DisableTorchFunctionSubclass():
            values = self.detach().clone().as_subclass(Tensor)
            copied: OnCuda = Tensor._make_subclass(OnCuda, values, self.requires_grad)
        copied._is_param = getattr(self, "_is_param", False)  # type: ignore[attr-defined]
        memo[id(self)] = copied
        return copied


@dataclass
class Log:
    """What the code under test did with the device."""

    pinned: int = 0  # tensors copied to pinned memory
    not_blocking: int = 0  # copies to the device that do not block the CPU
    autocast: list[tuple[str, torch.dtype | None, bool]] = field(default_factory=list)  # device, dtype, whether enabled


LOG = Log()
REAL_MOVE = nn.Module.to


def _call(function: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """One function of PyTorch on the CPU, if all its tensors are on one device; numbers may be on the CPU, as with CUDA."""
    name = getattr(function, "__name__", str(function))
    tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
    on_cuda = any(isinstance(tensor, OnCuda) for tensor in tensors)
    if name == "__get__" and on_cuda:
        answers = {"device": CUDA, "is_cuda": True, "is_cpu": False}
        if function.__self__.__name__ in answers:
            return answers[function.__self__.__name__]
    if name == "numpy" and on_cuda:
        raise TypeError("can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu() to copy the tensor to host memory first.")
    if function is torch.device:
        return function(*args, **kwargs)
    if name == "pin_memory":
        LOG.pinned += 1
        return args[0]
    stray = [tensor for tensor in tensors if not isinstance(tensor, OnCuda) and tensor.dim()]
    if on_cuda and stray and name == "_has_compatible_shallow_copy_type":  # a module that moves to the CPU gets new parameters
        return False
    mixes = name in COPIES or (name in INDEXING and isinstance(args[0], OnCuda))
    if on_cuda and stray and not mixes:
        raise RuntimeError(f"{name} has tensors on cuda:0 and on the CPU: {[tuple(tensor.shape) for tensor in stray]}")
    target = _target(name, args, kwargs, on_cuda=on_cuda)
    if name in COPIES and target and not isinstance(args[0], OnCuda):
        LOG.not_blocking += bool(kwargs.get("non_blocking"))
    args, kwargs = tree_map(lambda leaf: CPU if _is_cuda(leaf) else leaf, (args, kwargs))
    with torch._C.DisableTorchFunctionSubclass():
        result = function(*args, **kwargs)
    return tree_map(lambda leaf: _tagged(leaf, cuda=target), result)


def _target(name: str, args: Any, kwargs: dict[str, Any], *, on_cuda: bool) -> bool:
    """Whether the result is on CUDA."""
    if name == "cpu":
        return False
    if name == "copy_":
        return isinstance(args[0], OnCuda)
    places = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, str | torch.device)]
    devices = [place for place in places if str(place).startswith(("cuda", "cpu"))]
    if name == "to" and len(args) > 1 and isinstance(args[1], Tensor):
        return isinstance(args[1], OnCuda)
    return _is_cuda(devices[-1]) if devices else on_cuda


def _is_cuda(leaf: Any) -> bool:
    return (isinstance(leaf, str) and leaf.startswith("cuda")) or (isinstance(leaf, torch.device) and leaf.type == "cuda")


def _tagged(leaf: Any, *, cuda: bool) -> Any:
    if not isinstance(leaf, Tensor) or isinstance(leaf, OnCuda) == cuda:
        return leaf
    with torch._C.DisableTorchFunctionSubclass():
        return leaf.as_subclass(OnCuda if cuda else Tensor)


def _move(module: nn.Module, *args: Any, **kwargs: Any) -> nn.Module:
    """`Module.to`, which would keep its own class of parameters."""
    cuda = any(_is_cuda(leaf) for leaf in (*args, *kwargs.values()))
    args, kwargs = tree_map(lambda leaf: CPU if _is_cuda(leaf) else leaf, (args, kwargs))
    module = REAL_MOVE(module, *args, **kwargs)
    if not cuda:
        return module
    moved: dict[int, Tensor] = {}  # a tensor that two layers share stays one
    for part in module.modules():
        groups: tuple[dict[str, Any], ...] = (part._parameters, part._buffers)
        for tensors in groups:
            for name, tensor in tensors.items():
                if tensor is not None and not isinstance(tensor, OnCuda):
                    copy = Tensor._make_subclass(OnCuda, tensor.detach(), tensor.requires_grad)
                    copy._is_param = isinstance(tensor, nn.Parameter)
                    tensors[name] = moved.setdefault(id(tensor), copy)
    return module


class _Everywhere(TorchFunctionMode):
    """Functions without a tensor on the device too, such as `arange(device="cuda:0")` and copies from the CPU."""

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _call(function, args, kwargs or {})


@contextmanager
def stand_in_cuda() -> Iterator[Log]:
    """Inside, PyTorch has one CUDA device, "cuda:0"; gives what is done with it."""
    LOG.__init__()  # type: ignore[misc]  # a new log
    real_autocast = torch.autocast

    def autocast(device_type: str, dtype: torch.dtype | None = None, enabled: bool = True) -> Any:
        LOG.autocast.append((device_type, dtype, enabled))
        return real_autocast("cpu", dtype=dtype, enabled=enabled)

    with ExitStack() as stack:
        for name, value in (("is_available", True), ("device_count", 1), ("current_device", 0)):
            stack.enter_context(mock.patch.object(torch.cuda, name, lambda *_, value=value: value))
        stack.enter_context(mock.patch.object(torch, "autocast", autocast))
        stack.enter_context(mock.patch.object(nn.Module, "to", _move))
        # These ask the driver: whether a graph is recorded, and for the state of the generator
        # the first by a name that PyTorch 2.10 did not have
        stack.enter_context(mock.patch.object(torch.optim.Optimizer, "_accelerator_graph_capture_health_check", create=True))
        for name in ("get_rng_state", "set_rng_state"):
            stack.enter_context(mock.patch.object(torch.cuda, name))
        stack.enter_context(_Everywhere())
        yield LOG

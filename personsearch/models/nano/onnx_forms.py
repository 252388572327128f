"""Forms of the bundled model's layers that ONNX Runtime runs faster on a CPU, with the same results."""

import math
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import nn
from torchvision.models.shufflenetv2 import InvertedResidual

from personsearch.models.parts.csp_darknet import FocusStem

BLOCK = 4  # ONNX Runtime's blocked layout, several times as fast for depthwise convolutions, needs multiples of 4 channels

Network = TypeVar("Network", bound=nn.Module)


def with_one_stem(network: Network) -> Network:
    """Replace every `FocusStem` by one convolution, which needs no slices and no joined copy of the pixels; in place."""
    for module in list(network.modules()):
        for name, child in module.named_children():
            if isinstance(child, FocusStem):
                setattr(module, name, child.as_one())
    return network


def with_blocks(network: Network) -> Network:
    """Pad ShuffleNet's inner channels with zeros to whole blocks (58 become 60), in place; batch norms must have been merged."""
    for module in network.modules():
        if isinstance(module, InvertedResidual):
            first, depthwise, last = (layer for layer in module.branch2 if isinstance(layer, nn.Conv2d))
            missing = math.ceil(depthwise.groups / BLOCK) * BLOCK - depthwise.groups
            for layer in (first, depthwise):
                layer.weight, layer.bias = _padded(layer.weight, missing, dim=0), _padded(layer.bias, missing, dim=0)
                layer.out_channels += missing
            depthwise.in_channels = depthwise.groups = depthwise.out_channels
            last.weight, last.in_channels = _padded(last.weight, missing, dim=1), depthwise.out_channels
    return network


def _padded(values: torch.Tensor | None, missing: int, *, dim: int) -> nn.Parameter:
    if values is None:
        raise ValueError("the convolution has no bias; merge its batch norm first")
    ends = [0, 0] * (values.ndim - dim - 1) + [0, missing]
    return nn.Parameter(F.pad(values.detach(), ends), requires_grad=False)

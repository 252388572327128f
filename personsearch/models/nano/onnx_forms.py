"""Forms of the small model's layers that ONNX Runtime runs faster on a CPU; they compute the same."""

import math
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import nn
from torchvision.models.shufflenetv2 import InvertedResidual

from personsearch.models.parts.csp_darknet import FocusStem

BLOCK = 4  # its blocked layout, several times as fast for depthwise convolutions, takes channels in multiples of these

Network = TypeVar("Network", bound=nn.Module)


def with_one_stem(network: Network) -> Network:
    """One convolution in the place of every `FocusStem`, whose slices and joined copy of the pixels it needs no more; in place."""
    for module in list(network.modules()):
        for name, child in module.named_children():
            if isinstance(child, FocusStem):
                setattr(module, name, child.as_one())
    return network


def with_blocks(network: Network) -> Network:
    """ShuffleNet's inner channels filled up with zeros to whole blocks (58 become 60); in place, batch norms merged before."""
    for module in network.modules():
        if isinstance(module, InvertedResidual):
            first, depthwise, last = (layer for layer in module.branch2 if isinstance(layer, nn.Conv2d))
            more = math.ceil(depthwise.groups / BLOCK) * BLOCK - depthwise.groups
            for layer in (first, depthwise):
                layer.weight, layer.bias = _longer(layer.weight, more, dim=0), _longer(layer.bias, more, dim=0)
                layer.out_channels += more
            depthwise.in_channels = depthwise.groups = depthwise.out_channels
            last.weight, last.in_channels = _longer(last.weight, more, dim=1), depthwise.out_channels
    return network


def _longer(values: torch.Tensor | None, more: int, *, dim: int) -> nn.Parameter:
    if values is None:
        raise ValueError("the convolution has no bias; merge its batch norm first")
    ends = [0, 0] * (values.ndim - dim - 1) + [0, more]
    return nn.Parameter(F.pad(values.detach(), ends), requires_grad=False)

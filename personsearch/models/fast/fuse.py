"""Batch norms merged into the layers before them, and channels-last weights."""

from typing import Any, TypeVar

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_weights, fuse_linear_bn_weights
from torchvision.ops.misc import FrozenBatchNorm2d

from personsearch.models.parts.deform import DeformConv

Network = TypeVar("Network", bound=nn.Module)
BatchNorm = nn.BatchNorm1d | nn.BatchNorm2d | FrozenBatchNorm2d


def optimize_for_inference(network: Network) -> Network:
    """Merge batch norms in place and lay weights out channels-last; returns the same network.

    A batch norm is merged if it follows its convolution or linear layer, either next in a Sequential or
    as convN and bnN of a residual block. Results differ by rounding only. The network must be in eval mode;
    it cannot be trained or saved after this.
    """
    for module in network.modules():
        children = dict(module.named_children())
        if isinstance(module, nn.Sequential):
            pairs = list(zip(children, list(children)[1:], strict=False))
        else:
            pairs = [(name, name.replace("conv", "bn")) for name in children if name.startswith("conv")]
        for layer, norm in pairs:
            if isinstance(children.get(norm), BatchNorm) and _merge(children[layer], children[norm]):
                setattr(module, norm, nn.Identity())
    return network.to(memory_format=torch.channels_last)


def _merge(layer: nn.Module, norm: Any) -> bool:
    """Merge the batch norm's factors and shifts into the layer; False if the layer is of another kind."""
    statistics = (norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias)
    if isinstance(layer, nn.Linear):
        weight, bias = fuse_linear_bn_weights(layer.weight, layer.bias, *statistics)
    elif isinstance(layer, nn.Conv2d | DeformConv):
        weight, bias = fuse_conv_bn_weights(layer.weight, layer.bias, *statistics)
    else:
        return False
    layer.weight, layer.bias = nn.Parameter(weight.detach()), nn.Parameter(bias.detach())
    return True

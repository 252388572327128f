"""A head's res5 for CPUs: its first 1x1 convolutions run once over the map instead of over each region."""

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models.resnet import Bottleneck

from personsearch.models.parts.region_pool import LazyRegions
from personsearch.models.parts.resnet import LastStage

MIN_SAVING = 2.0  # region cells per map cell above which the saved products cost more than RoIAlign of more channels


class LastStageCPU(nn.Module):
    """A `LastStage` of bottlenecks for CPUs; regions overlap, so the map has far fewer cells than hundreds of regions.

    Its batch norms must have been merged.
    """

    def __init__(self, stage: LastStage) -> None:
        super().__init__()
        self.layer4 = stage.layer4
        self.channels = stage.channels

    def forward(self, regions: Tensor | LazyRegions) -> Tensor:
        """(N, C5, height / 2, width / 2) for N regions of level 4."""
        output: Tensor
        if isinstance(regions, Tensor):
            output = self.layer4(regions)
        else:
            first: Any = self.layer4[0]
            x = first.relu(through(first.conv1, regions))
            x = first.conv3(first.relu(first.conv2(x)))
            output = self.layer4[1:](first.relu(x.add_(through(first.downsample[0], regions))))
        return output


def through(conv: nn.Conv2d, regions: LazyRegions) -> Tensor:
    """What a 1x1 convolution makes of the cells, run over the map where that saves time."""
    if regions.saving(conv.stride[0]) > MIN_SAVING:
        return regions.after(conv)
    return F.conv2d(regions.every(conv.stride[0]), conv.weight, conv.bias)


def use_cpu_stages(network: nn.Module) -> None:
    """Replace every `LastStage` of bottlenecks with merged batch norms by its CPU form, in place."""
    for module in list(network.modules()):
        for name, child in module.named_children():
            if isinstance(child, LastStage) and _fits(child.layer4[0]):
                setattr(module, name, LastStageCPU(child))


def _fits(block: nn.Module) -> bool:
    return isinstance(block, Bottleneck) and all(isinstance(norm, nn.Identity) for norm in (block.bn1, block.bn2, block.bn3))

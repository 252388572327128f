"""COAT's heads on a CPU: their first 1x1 convolutions run once over the map instead of once over each region."""

from torch import Tensor, nn

from personsearch.models.fast.region_stage import through
from personsearch.models.parts.region_pool import LazyRegions
from personsearch.models.parts.transformer import TransformerHead


class TransformerHeadCPU(TransformerHead):
    """What a `TransformerHead` computes; regions overlap, so the map has far fewer cells than hundreds of them."""

    @staticmethod
    def through(conv: nn.Conv2d, regions: Tensor | LazyRegions) -> Tensor:
        """What a 1x1 convolution makes of the cells."""
        return through(conv, regions) if isinstance(regions, LazyRegions) else TransformerHead.through(conv, regions)


def use_cpu_heads(network: nn.Module) -> None:
    """Give every `TransformerHead` the CPU form."""
    for module in network.modules():
        if type(module) is TransformerHead:
            module.__class__ = TransformerHeadCPU  # the same layers; only the order of two of them differs

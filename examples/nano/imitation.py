"""A detector of our own learns what each stage of the teacher makes of the teacher's own maps; batch norm helps it while it learns."""

from collections.abc import Callable
from copy import deepcopy

import torch
from torch import Tensor, nn

from personsearch.models.fast.fuse import optimize_for_inference
from personsearch.models.nano.detector import CellPredictions, NanoNetwork
from personsearch.models.nano.options import NanoOptions
from personsearch.models.parts.csp_darknet import Conv, CSPDarknet

FAINT = 0.05  # of the mean variance of a map's channels, below which a channel does not count for more
TINY = 1e-6
LOCAL = 2  # stages

Maps = list[Tensor]


def student(options: NanoOptions) -> NanoNetwork:
    """The network with random weights, and a batch norm after each convolution that has an activation."""
    network = NanoNetwork(options)
    for layer in list(network.modules()):
        if isinstance(layer, Conv):
            activation = layer[1]
            layer[1] = nn.BatchNorm2d(len(layer[0].weight))  # type: ignore[arg-type]  # a tensor
            layer.append(activation)
    return network


@torch.no_grad()
def match_scales(network: NanoNetwork, stages: Maps, neck: Maps) -> None:
    """Let the last batch norm of each stage begin with the mean and the spread of the teacher's map."""
    ours = network.backbone
    blocks = [ours.stage2[-1], ours.stage3[-1], ours.stage4[-1], ours.stage5[-1], ours.down3, ours.up4, ours.up5]
    for layer, taught in zip([ours.stem, *(block.get_submodule("merge") for block in blocks)], stages + neck, strict=True):
        norm = layer.get_submodule("1")
        norm.get_parameter("weight").copy_(taught.std(dim=(0, 2, 3)))
        norm.get_parameter("bias").copy_(taught.mean(dim=(0, 2, 3)))


def without_norms(network: NanoNetwork, options: NanoOptions) -> NanoNetwork:
    """The same network as it is shipped: each batch norm merged into its convolution."""
    merged = optimize_for_inference(deepcopy(network).eval())
    plain = NanoNetwork(options)
    plain.load_state_dict(merged.state_dict())
    return plain.eval()


def stages_of(backbone: CSPDarknet) -> list[Callable[[Tensor], Tensor]]:
    """The five stages of the backbone, each of which takes the map of the one before."""
    return [backbone.stem, backbone.stage2, backbone.stage3, backbone.stage4, backbone.stage5]


@torch.no_grad()
def taught_maps(teacher: NanoNetwork, pixels: Tensor) -> tuple[Maps, Maps, CellPredictions]:
    """What the teacher makes of (B, 3, H, W) pixels: five stages' maps and three of the neck, without what is below 0, and its cells."""
    maps = [pixels]
    for stage in stages_of(teacher.backbone):
        maps.append(stage(maps[-1]))
    neck = teacher.backbone.neck(maps[3:])
    cells = teacher.of_maps(neck)
    return [one.relu() for one in maps[1:]], [one.relu() for one in neck], cells


def stage_losses(network: NanoNetwork, pixels: Tensor, stages: Maps, neck: Maps) -> dict[str, Tensor]:
    """How far each stage and the neck are from the teacher's maps, given the teacher's maps before them.

    The first two stages, which see few pixels at once, learn from the middle of the pictures only.
    """
    losses = {}
    for number, (stage, before, after) in enumerate(zip(stages_of(network.backbone), [pixels, *stages[:-1]], stages, strict=True), 1):
        if number <= LOCAL:
            before, after = middle(before), middle(after)
        losses[f"stage{number}"] = distance([stage(before)], [after])
    return losses | {"neck": distance(network.backbone.neck(stages[2:]), neck)}


def middle(maps: Tensor) -> Tensor:
    """The middle (B, C, H / 2, W / 2) of maps (B, C, H, W)."""
    height, width = (side // 4 for side in maps.shape[2:])
    return maps[..., height : 3 * height, width : 3 * width]


def whole(network: NanoNetwork, pixels: Tensor) -> tuple[Maps, Maps, CellPredictions]:
    """What the network makes of pixels: maps of the stages from the third on, maps of the neck, cells."""
    stages = network.backbone.stages(pixels)
    neck = network.backbone.neck(stages)
    return stages, neck, network.of_maps(neck)


def distance(ours: Maps, taught: Maps) -> Tensor:
    """Mean squared difference of maps (B, C, H, W), each channel over its variance: 1 for a map that knows the means only."""
    parts = []
    for one, other in zip(ours, taught, strict=True):
        variance = other.var(dim=(0, 2, 3))
        parts.append(((one - other).square().mean(dim=(0, 2, 3)) / (variance + FAINT * variance.mean() + TINY)).mean())
    return torch.stack(parts).mean()

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
ANYWHERE = 0.02  # weight of a cell of the neck without a person, where one with a person has its score

Maps = list[Tensor]


def student(options: NanoOptions) -> NanoNetwork:
    """The network with random weights, and a batch norm after each convolution of its backbone that has an activation."""
    network = NanoNetwork(options)
    for layer in list(network.backbone.modules()):
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
    for block, taught in zip(blocks, stages + neck, strict=True):
        norm = block.get_submodule("merge.1")
        norm.get_parameter("weight").copy_(taught.std(dim=(0, 2, 3)))
        norm.get_parameter("bias").copy_(taught.mean(dim=(0, 2, 3)))


def without_norms(network: NanoNetwork, options: NanoOptions) -> NanoNetwork:
    """The same network as it is shipped: each batch norm merged into its convolution."""
    merged = optimize_for_inference(deepcopy(network).eval())
    plain = NanoNetwork(options)
    plain.load_state_dict(merged.state_dict())
    return plain.eval()


def stages_of(backbone: CSPDarknet) -> list[Callable[[Tensor], Tensor]]:
    """Four stages, each of which takes the map of the one before; the first is the stem and stage 2.

    The stem has no target of its own: a single layer that learns a layer's output ends as its copy.
    """
    return [lambda pixels: backbone.stage2(backbone.stem(pixels)), backbone.stage3, backbone.stage4, backbone.stage5]


@torch.no_grad()
def taught_maps(teacher: NanoNetwork, pixels: Tensor) -> tuple[Maps, Maps, CellPredictions]:
    """What the teacher makes of (B, 3, H, W) pixels: maps of four stages, three maps of the neck, and its cells; float32."""
    maps = [pixels]
    for stage in stages_of(teacher.backbone):
        maps.append(stage(maps[-1]))
    neck = teacher.backbone.neck(maps[2:])
    cells = teacher.of_maps(neck)
    return [one.float() for one in maps[1:]], [one.float() for one in neck], cells


def distance(ours: Tensor, taught: Tensor, weights: Tensor | None = None) -> Tensor:
    """Mean squared difference of maps (B, C, H, W), each channel over its variance: 1 for a map that knows the means only.

    Args:
        ours: Map that learns.
        taught: Map to learn.
        weights: Weight of each cell, (B, 1, H, W); equal if None.
    """
    off = (ours.float() - taught).square()
    off = off.mean(dim=(0, 2, 3)) if weights is None else (off * weights).sum(dim=(0, 2, 3)) / weights.sum()
    variance = taught.var(dim=(0, 2, 3))
    return (off / (variance + FAINT * variance.mean() + TINY)).mean()


def stage_losses(ours: Maps, taught: Maps) -> dict[str, Tensor]:
    """`stage2` to `stage5`: how far maps of stages are from the teacher's."""
    return {f"stage{number}": distance(*pair) for number, pair in enumerate(zip(ours, taught, strict=True), 2)}


def neck_losses(ours: Maps, taught: Maps, scores: Tensor) -> dict[str, Tensor]:
    """`neck3` and so on: how far the neck's maps are from the teacher's; cells where it sees people count half of all.

    Args:
        ours: Maps that learn.
        taught: Maps to learn.
        scores: The teacher's score of each cell, (B, P).
    """
    losses, begin = {}, 0
    for number, (one, other) in enumerate(zip(ours, taught, strict=True), 3):
        height, width = other.shape[2:]
        weights = scores[:, begin : begin + height * width].reshape(-1, 1, height, width) + ANYWHERE
        begin += height * width
        losses[f"neck{number}"] = (distance(one, other) + distance(one, other, weights)) / 2
    return losses

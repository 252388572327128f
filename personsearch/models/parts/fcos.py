"""The detection head of AlignPS: FCOS with re-id features, in the structures of Table III."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from personsearch.models.parts.deform import DeformConv

Structure = Literal["reid-first", "T1", "T2", "T3"]
DEPTH = 4  # convolutions of a tower
GROUPS = 32  # of group norm; fewer if 32 does not divide the channels
PRIOR_SCORE = 0.01  # score of every cell before training: few cells hold a person


@dataclass(frozen=True)
class LevelMaps:
    """Predictions for every cell of one level, for a batch of B images."""

    stride: int  # pixels of the resized image per cell
    class_logits: Tensor  # (B, 1, H, W)
    centerness_logits: Tensor  # (B, 1, H, W)
    distances: Tensor  # (B, 4, H, W), to the box's left, top, right, bottom, in strides, >= 0
    features: Tensor  # (B, D, H, W), re-id features, not normalised


class FCOSHead(nn.Module):
    """Two towers on the neck's maps; the maps themselves are the re-id features ("re-id first").

    Structures of Table III: "reid-first" is AlignPS. "T1" takes the re-id features from the regression tower,
    "T2" from the classification tower, "T3" from a tower of their own, each through one more 3x3 convolution
    (the paper draws them without numbers; the extra layer is in its text).

    Args:
        channels: Channels of the maps, towers and features.
        levels: P levels of the maps; the stride of level k is 2^k.
        structure: Origin of the re-id features.
        subtract_mean: Whether each map first loses its mean over all cells, padding included.

    Source: arXiv 2109.00211, Sec. III-A/B; daodaofr/AlignPS@5d62dbc (FCOSReidHeadFocalOimSub, ...SubTriQueue;
        the code adds the subtraction, the deformable last convolution and the centerness on the regression tower).
    """

    def __init__(
        self, channels: int, *, levels: Sequence[int] = (3,), structure: Structure = "reid-first", subtract_mean: bool = True
    ) -> None:
        super().__init__()
        self.levels = tuple(levels)
        self.structure: Structure = structure
        self.subtract_mean = subtract_mean
        self.class_tower = _tower(channels)
        self.box_tower = _tower(channels)
        self.class_logits = _predictor(channels, 1)
        self.distances = _predictor(channels, 4)
        self.centerness_logits = _predictor(channels, 1)
        nn.init.constant_(self.class_logits.bias, -math.log((1 - PRIOR_SCORE) / PRIOR_SCORE))  # type: ignore[arg-type]  # it has a bias
        self.scales = nn.ParameterList(nn.Parameter(torch.ones(())) for _ in levels)
        self.reid_tower = _tower(channels) if structure == "T3" else None
        self.reid = None if structure == "reid-first" else _predictor(channels, channels)

    def forward(self, maps: Sequence[Tensor]) -> list[LevelMaps]:
        """Predictions for each level, from its (B, channels, H, W) map."""
        return [self._level(x, level, scale) for x, level, scale in zip(maps, self.levels, self.scales, strict=True)]

    def _level(self, x: Tensor, level: int, scale: Tensor) -> LevelMaps:
        if self.subtract_mean:
            x = x - x.mean(dim=(2, 3), keepdim=True)
        classes, boxes = self.class_tower(x), self.box_tower(x)
        return LevelMaps(
            stride=2**level,
            class_logits=self.class_logits(classes),
            centerness_logits=self.centerness_logits(boxes),
            distances=F.relu(self.distances(boxes) * scale),
            features=self._features(x, classes, boxes),
        )

    def _features(self, x: Tensor, classes: Tensor, boxes: Tensor) -> Tensor:
        if self.reid is None:
            return x
        maps = boxes if self.structure == "T1" else classes if self.structure == "T2" else x
        features: Tensor = self.reid(maps if self.reid_tower is None else self.reid_tower(maps))
        return features


def _tower(channels: int) -> nn.Sequential:
    blocks = []
    for depth in range(DEPTH):
        last = depth == DEPTH - 1
        conv = DeformConv(channels, channels, modulated=True, bias=True) if last else _predictor(channels, channels)
        blocks.append(nn.Sequential(conv, nn.GroupNorm(math.gcd(GROUPS, channels), channels), nn.ReLU(inplace=True)))
    return nn.Sequential(*blocks)


def _predictor(inputs: int, outputs: int) -> nn.Conv2d:
    conv = nn.Conv2d(inputs, outputs, 3, padding=1)
    nn.init.normal_(conv.weight, std=0.01)
    nn.init.zeros_(conv.bias)  # type: ignore[arg-type]  # Conv2d has a bias here
    return conv

"""Aligned feature aggregation: the neck of AlignPS, with the paper's ablations as switches."""

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from personsearch.models.parts.deform import DeformConv

Aggregation = Literal["concat", "sum"]
COARSEST = 5  # level of the backbone
EXTRA = (6, 7)  # levels that FCOS adds: each halves the one before


class AlignedFeatureAggregation(nn.Module):
    """Brings C3, C4, C5 of a backbone onto the levels that predict (P3 in the paper's final form).

    Args:
        inputs: Channels of each backbone level, keyed 3, 4, 5.
        outputs: Channels of each P level.
        levels: P levels to predict on, of 3, 4, 5 (Table I); all levels coarser than the finest feed its top-down path. The baseline of
            Fig. 6 also has FCOS's 6 and 7, which convolutions of stride 2 make of P5.
        lateral_deform: Whether laterals are 3x3 deformable, else FPN's 1x1 (Table II, first column).
        output_deform: Whether outputs are 3x3 deformable, else FPN's plain 3x3 (second column).
        aggregation: Join of a coarser and a finer map: "concat", else FPN's "sum" (third column).

    Source: arXiv 2109.00211, Sec. III-B "Region Alignment"; daodaofr/AlignPS@5d62dbc (neck FPNDcnLconv3Dcn).
    """

    def __init__(
        self,
        inputs: Mapping[int, int],
        outputs: int,
        *,
        levels: Sequence[int] = (3,),
        lateral_deform: bool = True,
        output_deform: bool = True,
        aggregation: Aggregation = "concat",
    ) -> None:
        super().__init__()
        self.levels = tuple(levels)
        self.aggregation = aggregation
        self.lateral = nn.ModuleDict(
            {f"c{level}": _lateral(inputs[level], outputs, lateral_deform) for level in range(min(levels), COARSEST + 1)}
        )
        self.output = nn.ModuleDict(
            {
                f"p{level}": _output(self._joined(level) * outputs, outputs, output_deform)
                for level in sorted(self.levels)
                if level <= COARSEST
            }
        )
        for level in (level for level in EXTRA if level in self.levels):  # other networks keep the tensors that they had
            self.add_module(f"extra_p{level}", nn.Conv2d(outputs, outputs, 3, stride=2, padding=1))

    def forward(self, features: Mapping[int, Tensor]) -> list[Tensor]:
        """P maps of `levels`, each (B, outputs, H, W), from the backbone's maps by level."""
        joined: dict[int, Tensor] = {}
        for level in range(COARSEST, min(self.levels) - 1, -1):
            lateral = self.lateral[f"c{level}"](features[level])
            if level < COARSEST:
                above = F.interpolate(joined[level + 1], size=lateral.shape[2:], mode="nearest")
                lateral = lateral + above if self.aggregation == "sum" else torch.cat([lateral, above], dim=1)
            joined[level] = lateral
        maps = {level: self.output[f"p{level}"](joined[level]) for level in self.levels if level <= COARSEST}
        for level in (level for level in self.levels if level > COARSEST):
            before = maps[level - 1]
            maps[level] = self.get_submodule(f"extra_p{level}")(before if level == EXTRA[0] else F.relu(before))
        return [maps[level] for level in self.levels]

    def _joined(self, level: int) -> int:
        return 1 if self.aggregation == "sum" else COARSEST + 1 - level


def _lateral(inputs: int, outputs: int, deform: bool) -> nn.Module:
    return DeformConv(inputs, outputs) if deform else nn.Conv2d(inputs, outputs, 1)


def _output(inputs: int, outputs: int, deform: bool) -> nn.Module:
    return DeformConv(inputs, outputs) if deform else nn.Conv2d(inputs, outputs, 3, padding=1)

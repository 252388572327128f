import pytest
import torch
from torch import Tensor, nn

from personsearch.models.parts.afa import AlignedFeatureAggregation
from personsearch.models.parts.deform import DeformConv

CHANNELS = {3: 4, 4: 8, 5: 16}


def features(batch: int = 1) -> dict[int, Tensor]:
    generator = torch.Generator().manual_seed(0)
    sizes = {3: (9, 6), 4: (5, 3), 5: (3, 2)}
    return {level: torch.randn(batch, CHANNELS[level], *size, generator=generator) for level, size in sizes.items()}


def constant_neck(aggregation: str, output_weights: list[float]) -> AlignedFeatureAggregation:
    """One output channel; every lateral adds up its input; the output weighs what reaches it, cell by cell."""
    neck = AlignedFeatureAggregation({3: 1, 4: 1, 5: 1}, 1, lateral_deform=False, output_deform=False, aggregation=aggregation)
    for conv in neck.modules():
        if isinstance(conv, nn.Conv2d):
            nn.init.zeros_(conv.bias)
            conv.weight.data.fill_(1)
    neck.output["p3"].weight.data.zero_()[0, :, 1, 1] = torch.tensor(output_weights)
    return neck


@pytest.mark.parametrize(("aggregation", "weights", "expected"), [("sum", [1.0], 7), ("concat", [100.0, 10.0, 1.0], 124)])
def test_coarser_maps_join_finer_ones_in_order(aggregation, weights, expected) -> None:
    neck = constant_neck(aggregation, weights)
    (p3,) = neck({3: torch.full((1, 1, 9, 6), 1.0), 4: torch.full((1, 1, 5, 3), 2.0), 5: torch.full((1, 1, 3, 2), 4.0)})
    assert p3.shape == (1, 1, 9, 6)
    assert p3.unique().tolist() == [expected]  # C3 = 1, C4 = 2, C5 = 4


def test_coarse_maps_are_repeated_not_interpolated() -> None:
    neck = constant_neck("concat", [0.0, 1.0, 0.0])
    c4 = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
    (p3,) = neck({3: torch.zeros(1, 1, 4, 4), 4: c4, 5: torch.zeros(1, 1, 1, 1)})
    assert p3[0, 0].tolist() == [[1, 1, 2, 2], [1, 1, 2, 2], [3, 3, 4, 4], [3, 3, 4, 4]]


@pytest.mark.parametrize("levels", [(3,), (4,), (5,), (3, 4), (3, 4, 5)])
def test_levels_of_table_1(levels) -> None:
    neck = AlignedFeatureAggregation(CHANNELS, 32, levels=levels)
    maps = neck(features(2))
    assert [tuple(x.shape) for x in maps] == [(2, 32, *features()[level].shape[2:]) for level in levels]
    assert set(neck.lateral) == {f"c{level}" for level in range(min(levels), 6)}  # finer levels are not used


@pytest.mark.parametrize("lateral", [True, False])
@pytest.mark.parametrize("output", [True, False])
@pytest.mark.parametrize("aggregation", ["concat", "sum"])
def test_parts_of_table_2(lateral, output, aggregation) -> None:
    neck = AlignedFeatureAggregation(CHANNELS, 32, lateral_deform=lateral, output_deform=output, aggregation=aggregation)
    assert {isinstance(conv, DeformConv) for conv in neck.lateral.values()} == {lateral}
    assert {isinstance(conv, DeformConv) for conv in neck.output.values()} == {output}
    assert neck.output["p3"].weight.shape == (32, 96 if aggregation == "concat" else 32, 3, 3)
    assert neck.lateral["c5"].weight.shape == ((32, 16, 3, 3) if lateral else (32, 16, 1, 1))
    (p3,) = neck(features())
    assert p3.isfinite().all()
    assert p3.std() > 0

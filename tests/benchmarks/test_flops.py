"""FLOPs of convolutions, deformable ones too, and products by hand; and the same count without computing."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torchvision.ops import DeformConv2d

from benchmarks.flop_count import flops_of
from personsearch.models.scene import SceneModel
from tests.helpers.alignps_golden import picture
from tests.helpers.tiny_networks import build


def run() -> torch.Tensor:
    x = torch.ones(2, 4, 5, 6)
    x = nn.Conv2d(4, 8, 3, padding=1, groups=2)(x)
    x = DeformConv2d(8, 3, 3, padding=1)(x, torch.zeros(2, 18, 5, 6))
    return F.linear(x.flatten(1), torch.ones(7, 90))


@pytest.mark.parametrize("computed", [True, False])
def test_the_flops_are_those_by_hand(computed: bool) -> None:
    """Deformable convolutions ended the count with an error: it gets shapes, not tensors."""
    grouped, deformable, linear = 2 * 2 * 30 * 8 * 2 * 9, 2 * 2 * 30 * 3 * 8 * 9, 2 * 2 * 90 * 7
    with torch.no_grad():
        assert flops_of(run, computed=computed) == grouped + deformable + linear


def test_nothing_is_computed_if_only_the_count_is_wanted() -> None:
    results = []
    with torch.no_grad():
        flops_of(lambda: results.append(run()), computed=False)
    assert (results[0].shape, float(results[0].abs().max())) == ((2, 7), 0)


def test_a_region_network_has_the_same_flops_without_values() -> None:
    network, _ = build("oim")
    model = SceneModel(network, name="x", fingerprint="", min_score=0)
    prepared = [model.prepare(picture())]
    # In so small a picture the scores decide how many of the regions overlap too much; in a large one there are always enough
    assert flops_of(lambda: model.detect(prepared)) == pytest.approx(flops_of(lambda: model.detect(prepared), computed=False), rel=0.05)

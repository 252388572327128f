"""The alignment modules of the hybrid pre-training."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from personsearch.training.losses.alignment import (
    AlignmentModule,
    AlignmentRecipe,
    DomainClassifiers,
    DomainFeatures,
    cells_inside,
    domain_loss,
    inconsistency,
    reverse_gradient,
)

pytestmark = pytest.mark.usefixtures("one_thread")


@settings(max_examples=30)
@given(st.lists(st.floats(-9, 9), min_size=1, max_size=5), st.sampled_from([0.0, 0.3, 1.0, 2.5]))
def test_the_gradient_is_turned_round_and_scaled(values, scale) -> None:
    features = torch.tensor(values, dtype=torch.float64, requires_grad=True)
    out = reverse_gradient(features, scale)
    assert torch.equal(out, features)
    (out**3).sum().backward()
    np.testing.assert_allclose(features.grad.numpy(), -scale * 3 * np.array(values) ** 2)


def test_the_features_themselves_are_not_touched() -> None:
    features = torch.ones(2, requires_grad=True)
    (reverse_gradient(features, 1.0) + features).sum().backward()
    assert features.grad.tolist() == [0, 0]  # one way forward, one turned round


def test_domain_loss_by_hand() -> None:
    logits = torch.tensor([[0.0, 0.0, 0.0], [2.0, 1.0, 0.0]])
    second = -math.log(math.e / (math.e**2 + math.e + 1))
    assert domain_loss(logits, torch.tensor([2, 1])).item() == pytest.approx((math.log(3) + second) / 2)
    assert domain_loss(logits[:0], torch.tensor([], dtype=torch.int64)).item() == 0


def test_inconsistency_by_hand() -> None:
    # probabilities (3/4, 1/4) and (1/2, 1/2): a quarter apart in both; the other row agrees
    of_maps = torch.tensor([[math.log(3), 0.0], [1.0, 1.0]], requires_grad=True)
    of_rows = torch.tensor([[0.0, 0.0], [5.0, 5.0]])
    loss = inconsistency(of_maps, of_rows)
    assert loss.item() == pytest.approx(math.sqrt(2) / 4 / 2)
    loss.backward()
    # d|p - q|/dlogit = sqrt(2) p1 p2, halved by the mean; where both agree the direction and the gradient are zero
    assert of_maps.grad[0].tolist() == pytest.approx([math.sqrt(2) * 3 / 16 / 2, -math.sqrt(2) * 3 / 16 / 2])
    assert of_maps.grad[1].tolist() == [0, 0]
    assert inconsistency(of_maps[:0], of_rows[:0]).item() == 0


def test_cells_of_the_padding() -> None:
    # 33 x 16 pixels begin three rows of cells and one column
    inside = cells_inside([(33, 16), (48, 32)], torch.zeros(2, 5, 3, 2), 16)
    assert inside.shape == (2, 1, 3, 2)
    assert inside[0, 0].tolist() == [[True, False]] * 3
    assert inside[1].all()
    assert cells_inside([], torch.zeros(0, 5, 3, 2), 16).shape == (0, 1, 3, 2)


def test_padding_does_not_count() -> None:
    classifiers = DomainClassifiers(3, 2, 2, AlignmentRecipe(hidden=4))
    maps = torch.randn(1, 3, 2, 4, generator=torch.Generator().manual_seed(0))
    inside = torch.tensor([[True, True, False, False]]).expand(1, 1, 2, 4)
    torch.testing.assert_close(classifiers.of_maps(maps, inside), classifiers.of_maps(maps[..., :2], None))
    assert not torch.allclose(classifiers.of_maps(maps, inside), classifiers.of_maps(maps, None))


def features(maps: int = 3, rows: int = 4, **changes) -> DomainFeatures:
    made = torch.Generator().manual_seed(1)
    given = {
        "maps": torch.randn(maps, 3, 2, 2, generator=made),
        "inside": None,
        "rows": torch.randn(rows, 5, generator=made),
        "owners": torch.arange(rows) % max(1, maps),
        "domains": torch.arange(maps) % 2,
    }
    return DomainFeatures(**given | changes)


def test_chosen_maps_keep_their_rows() -> None:
    inside = torch.ones(3, 1, 2, 2, dtype=torch.bool)
    taken = features(owners=torch.tensor([2, 0, 1, 2]), inside=inside).take(torch.tensor([False, True, True]))
    whole = features()
    assert torch.equal(taken.maps, whole.maps[1:])
    assert torch.equal(taken.rows, whole.rows[[0, 2, 3]])
    assert (taken.owners.tolist(), taken.domains.tolist(), len(taken.inside)) == ([1, 0, 1], [1, 0], 2)
    nothing = whole.take(torch.zeros(3, dtype=torch.bool))
    assert (len(nothing.maps), len(nothing.rows)) == (0, 0)


def module(**changes) -> AlignmentModule:
    torch.manual_seed(0)
    return AlignmentModule(3, 5, 2, AlignmentRecipe(hidden=4, **changes))


def test_the_terms_are_weighted() -> None:
    plain = module(weight=1)(features())
    weighted = module(weight=0.5, image=2, instance=0, consistency=3)(features())
    assert set(plain) == {"image", "instance", "consistency"}
    assert {name: loss.item() for name, loss in weighted.items()} == pytest.approx(
        {"image": plain["image"].item(), "consistency": 1.5 * plain["consistency"].item()}
    )


def gradients(recipe: dict, term: str) -> tuple[Any, Any]:
    """Of one term: with respect to the maps, and to the classifiers' first weights."""
    maps = features().maps.requires_grad_()
    one = module(**recipe)
    one(replace(features(), maps=maps))[term].backward()
    return maps.grad, one.classifiers.image[0].weight.grad


@pytest.mark.parametrize(
    ("term", "recipe", "factor"),
    [
        ("image", {}, -2.5),
        ("consistency", {}, 2.5),
        ("consistency", {"reverse_consistency": True}, -2.5),
    ],
)
def test_the_network_gets_the_opposite_of_what_the_classifiers_get(term, recipe, factor) -> None:
    # reversal -1 is not allowed, so the plain gradient is taken of the classifiers alone
    maps = features().maps.requires_grad_()
    one = module(weight=1)
    of_maps, of_rows = one.classifiers.of_maps(maps, None), one.classifiers.of_rows(features().rows)
    plain = domain_loss(of_maps, features().domains) if term == "image" else inconsistency(of_maps[features().owners], of_rows)
    plain.backward()
    to_maps, to_weights = gradients({"weight": 1, "reversal": 2.5, **recipe}, term)
    torch.testing.assert_close(to_maps, factor * maps.grad)
    torch.testing.assert_close(to_weights, one.classifiers.image[0].weight.grad)


def test_no_reversal_leaves_the_network_alone() -> None:
    to_maps, to_weights = gradients({"weight": 1, "reversal": 0}, "image")
    assert not to_maps.any()
    assert to_weights.any()


def test_nothing_to_align() -> None:
    losses = module()(features(maps=0, rows=0))
    assert [loss.item() for loss in losses.values()] == [0, 0, 0]
    torch.stack(list(losses.values())).sum().backward()


def confusion(reversal: float) -> float:
    """How well a fresh classifier tells two domains apart, after features have learned against one: its loss, log 2 at worst."""
    torch.manual_seed(0)
    points = torch.randn(64, 5)
    domains = torch.arange(64) % 2
    points[domains == 1, 0] += 4  # the one thing that tells them apart
    encoder = nn.Linear(5, 5)
    nn.init.eye_(encoder.weight)
    adversary = AlignmentModule(5, 5, 2, AlignmentRecipe(weight=1, hidden=16, reversal=reversal, consistency=0))
    fresh = nn.Linear(5, 2)

    def seen() -> DomainFeatures:
        rows = encoder(points)
        return DomainFeatures(rows[:, :, None, None], None, rows, torch.arange(64), domains)

    optimizer = torch.optim.SGD([*encoder.parameters(), *adversary.parameters()], lr=0.3)
    for _ in range(60):
        optimizer.zero_grad()
        torch.stack(list(adversary(seen()).values())).sum().backward()
        optimizer.step()
    optimizer = torch.optim.SGD(fresh.parameters(), lr=0.3)
    for _ in range(30):
        optimizer.zero_grad()
        loss = domain_loss(fresh(encoder(points).detach()), domains)
        loss.backward()
        optimizer.step()
    return loss.item()


def test_reversed_features_hide_their_domain() -> None:
    assert confusion(reversal=1.0) > 2 * confusion(reversal=0.0)

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from personsearch.training.losses.oim import OIMLoss, OIMRecipe

ALIGNPS = OIMRecipe(scale=10, queue_size=3, unit_rows=False, queue_channels=1, focal_gamma=2, average="all")


def memory(identities: int, dim: int, **recipe) -> OIMLoss:
    return OIMLoss(identities, dim, OIMRecipe(**recipe)).double()


def unit(*rows: list[float]) -> torch.Tensor:
    return torch.nn.functional.normalize(torch.tensor(rows, dtype=torch.float64))


def test_loss_by_hand() -> None:
    oim = memory(2, 2, scale=2.0, queue_scale=3.0, queue_size=1)
    oim.table.copy_(torch.tensor([[1.0, 0.0], [0.0, 1.0]]))
    oim.queue.copy_(torch.tensor([[-1.0, 0.0]]))
    loss = oim.eval()(unit([1, 0], [0.6, 0.8]), torch.tensor([0, 1]))
    # logits are (2, 0, -3) and (1.2, 1.6, -1.8)
    first = math.log(math.exp(2) + 1 + math.exp(-3)) - 2
    second = math.log(math.exp(1.2) + math.exp(1.6) + math.exp(-1.8)) - 1.6
    assert loss.item() == pytest.approx((first + second) / 2, abs=1e-12)


def test_an_empty_memory_gives_the_logarithm_of_its_size() -> None:
    loss = memory(5, 4, queue_size=3).eval()(unit([1, 0, 0, 0]), torch.tensor([2]))
    assert loss.item() == pytest.approx(math.log(8))


def test_momentum_is_the_share_of_the_old_row() -> None:
    """The papers' 0.5 does not tell the two shares apart."""
    oim = memory(1, 2, queue_size=1, momentum=0.25, unit_rows=False).train()
    oim.table.copy_(torch.tensor([[1.0, 0.0]]))
    oim(unit([0, 1]), torch.tensor([0]))
    assert oim.table.tolist() == [[0.25, 0.75]]


def test_masked_empty_rows_by_hand() -> None:
    """GFN's code: a row without a person yet is opposite to all, but equal to its own person; the mean is over everyone."""
    oim = memory(3, 2, scale=2.0, queue_scale=3.0, queue_size=1, empty_rows="masked", average="all")
    oim.table[0] = torch.tensor([1.0, 0.0])
    loss = oim.eval()(unit([1, 0], [0.6, 0.8], [0, 1]), torch.tensor([0, 2, -1]))
    # logits are (2, -2, -2, -3) and (1.2, -2, 2, -3)
    first = math.log(math.exp(2) + 2 * math.exp(-2) + math.exp(-3)) - 2
    second = math.log(math.exp(1.2) + math.exp(-2) + math.exp(2) + math.exp(-3)) - 2
    assert loss.item() == pytest.approx((first + second) / 3, abs=1e-12)


def test_focal_factor_by_hand() -> None:
    oim = memory(2, 2, scale=1.0, queue_size=0, focal_gamma=2)
    oim.table.copy_(torch.tensor([[1.0, 0.0], [0.0, 1.0]]))
    p = math.e / (math.e + 1)
    assert oim.eval()(unit([1, 0]), torch.tensor([0])).item() == pytest.approx(-((1 - p) ** 2) * math.log(p))


@pytest.mark.parametrize(("average", "expected"), [("labelled", 1.0), ("all", 0.25)])
def test_unlabelled_people_have_no_loss_and_count_in_one_average_only(average, expected) -> None:
    oim = memory(3, 2, queue_size=2, average=average).eval()
    alone = oim(unit([1, 0]), torch.tensor([1]))
    crowd = oim(unit([1, 0], [0, 1], [0, 1], [0, 1]), torch.tensor([1, -1, -1, -1]))
    assert crowd.item() == pytest.approx(alone.item() * expected)


@pytest.mark.parametrize("identities", [[], [-1, -1]])
def test_nobody_labelled_is_no_loss_and_no_gradient(identities) -> None:
    features = torch.ones(len(identities), 2, requires_grad=True)
    loss = memory(3, 2)(features, torch.tensor(identities, dtype=torch.int64))
    loss.backward()
    assert loss.item() == 0
    assert not features.grad.any()


@pytest.mark.parametrize("gamma", [0.0, 2.0])
def test_gradient(gamma) -> None:
    torch.manual_seed(0)
    oim = memory(4, 3, scale=5.0, queue_size=2, focal_gamma=gamma).eval()
    oim.table.normal_()
    oim.queue.normal_()
    features = torch.randn(5, 3, dtype=torch.float64, requires_grad=True)
    identities = torch.tensor([0, 3, -1, 3, 1])
    assert torch.autograd.gradcheck(lambda x: oim(x, identities), features)


def test_gradient_sees_the_memory_before_the_features_entered() -> None:
    torch.manual_seed(0)
    oim = memory(2, 3, queue_size=2)
    oim.table.normal_()
    features, identities = torch.randn(2, 3, dtype=torch.float64, requires_grad=True), torch.tensor([0, -1])
    (frozen,) = torch.autograd.grad(oim.eval()(features, identities), features)
    (live,) = torch.autograd.grad(oim.train()(features, identities), features)
    assert torch.equal(frozen, live)
    assert oim.queue[0].equal(features[1].detach())


def test_table_by_hand() -> None:
    oim = memory(2, 2, momentum=0.5)
    oim(unit([1, 0], [0, 1]), torch.tensor([1, 1]))
    # (0, 0) -> (0.5, 0) -> unit (1, 0) -> (0.5, 0.5) -> unit
    assert oim.table.tolist() == [[0, 0], [pytest.approx(0.5**0.5), pytest.approx(0.5**0.5)]]


def test_table_of_alignps_stays_short() -> None:
    oim = OIMLoss(2, 2, ALIGNPS).double()
    oim(unit([1, 0], [0, 1]), torch.tensor([1, 1]))
    assert oim.table.tolist() == [[0, 0], [0.25, 0.5]]


def test_queue_of_alignps_keeps_some_channels_only() -> None:
    oim = OIMLoss(1, 2, ALIGNPS).double()
    oim(unit([0.6, 0.8]), torch.tensor([-1]))
    assert oim.queue.tolist() == [[pytest.approx(0.6), 0], [0, 0], [0, 0]]


def test_queue_is_circular() -> None:
    oim = memory(1, 1, queue_size=3)
    for start in (1, 3, 5):
        oim.remember(torch.tensor([[start], [start + 1]], dtype=torch.float64), torch.tensor([-1, -1]))
    assert oim.queue.flatten().tolist() == [4, 5, 6]
    assert oim.tail.item() == 0


def test_more_unlabelled_people_than_places_leave_the_last() -> None:
    oim = memory(1, 1, queue_size=3)
    oim.remember(torch.arange(1.0, 8)[:, None].double(), torch.full((7,), -1))
    assert sorted(oim.queue.flatten().tolist()) == [5, 6, 7]
    assert oim.queue[oim.tail].item() == 5  # the oldest is written over next


def test_evaluation_changes_no_memory() -> None:
    oim = memory(2, 2, queue_size=1).eval()
    oim(unit([1, 0], [0, 1]), torch.tensor([0, -1]))
    assert not oim.table.any()
    assert not oim.queue.any()


def one_by_one(table: torch.Tensor, features: torch.Tensor, identities: list[int], unit_rows: bool) -> torch.Tensor:
    """The definition: one sighting after the other."""
    table = table.clone()
    for feature, identity in zip(features, identities, strict=True):
        if identity >= 0:
            row = 0.5 * table[identity] + 0.5 * feature
            table[identity] = row / row.norm() if unit_rows else row
    return table


@settings(max_examples=30)
@given(st.lists(st.integers(-1, 3), max_size=12), st.booleans(), st.integers(0, 99))
def test_table_is_as_if_people_came_one_by_one(identities, unit_rows, seed) -> None:
    torch.manual_seed(seed)
    oim = memory(4, 3, unit_rows=unit_rows, queue_size=2)
    oim.table.copy_(torch.randn(4, 3))
    features = torch.randn(len(identities), 3, dtype=torch.float64)
    expected = one_by_one(oim.table, features, identities, unit_rows)
    oim.remember(features, torch.tensor(identities, dtype=torch.int64))
    torch.testing.assert_close(oim.table, expected, rtol=0, atol=1e-12)

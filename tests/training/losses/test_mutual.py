import math

import pytest
import torch
from torch.nn.functional import normalize

from personsearch.training.losses.mutual import InformationBound, MutualLearning, MutualRecipe, divergence, diversity, paired_means
from personsearch.training.losses.oim import OIMLoss, OIMRecipe

pytestmark = pytest.mark.usefixtures("one_thread")


def test_paired_means_by_hand() -> None:
    first = torch.tensor([[1.0, 0], [0, 1], [5, 0], [9, 9]]), torch.tensor([4, 4, 2, -1])
    second = torch.tensor([[0.0, 2], [3, 0], [9, 9]]), torch.tensor([4, 7, -1])
    x, y = paired_means(first, second)
    torch.testing.assert_close(x, torch.tensor([[0.5**0.5, 0.5**0.5]]))
    assert y.tolist() == [[0, 1]]


def test_bound_by_hand() -> None:
    bound = InformationBound(1, 1)
    for layer in (bound.statistic[0], bound.statistic[2]):
        torch.nn.init.ones_(layer.weight)
        torch.nn.init.zeros_(layer.bias)
    x, y = torch.tensor([[1.0], [2.0]]), torch.tensor([[3.0], [5.0]])
    # T is x + y: joint (4, 7), marginal (6, 5)
    expected = 5.5 - math.log((math.exp(6) + math.exp(5)) / 2)
    assert bound(x, y, torch.tensor([1, 0])).item() == pytest.approx(expected, abs=1e-5)


def test_bound_gradient() -> None:
    torch.manual_seed(0)
    bound = InformationBound(2, 4).double()
    x, y = (torch.randn(3, 2, dtype=torch.float64, requires_grad=True) for _ in range(2))
    assert torch.autograd.gradcheck(lambda *pair: bound(*pair, torch.tensor([2, 0, 0])), (x, y))


def test_bound_learns_that_a_copy_tells_and_a_stranger_does_not() -> None:
    torch.manual_seed(0)
    x = normalize(torch.randn(256, 4))

    def learned(y: torch.Tensor) -> float:
        bound = InformationBound(4, 32)
        optimizer = torch.optim.Adam(bound.parameters(), lr=0.01)
        for _ in range(150):
            optimizer.zero_grad()
            (-bound(x, y, torch.randperm(256))).backward()
            optimizer.step()
        return bound(x, y, torch.randperm(256)).item()

    assert learned(x) > 0.7
    assert learned(normalize(torch.randn(256, 4))) < 0.4


def test_divergence_by_hand() -> None:
    # of 3 columns the last is a queue: p^A = (1/2, 1/4, 1/4), p^R = (1/4, 1/4, 1/2)
    a, r = torch.tensor([[0.5, 0.25, 0.25]]).log(), torch.tensor([[0.25, 0.25, 0.5]]).log()
    assert divergence(a, r, 2).item() == pytest.approx(0.5 * math.log(2))
    assert divergence(a, a, 2).item() == 0


def test_divergence_gradient() -> None:
    torch.manual_seed(0)
    a, r = (torch.randn(3, 5, dtype=torch.float64, requires_grad=True) for _ in range(2))
    assert torch.autograd.gradcheck(lambda first, second: divergence(first, second, 4), (a, r))


def test_diversity_by_hand_and_gradient() -> None:
    x, y = torch.tensor([[1.0, 0], [1, 0]]), torch.tensor([[0.6, 0.8], [-1, 0]])
    assert diversity(x, y).item() == pytest.approx(-0.2)
    torch.manual_seed(0)
    pair = tuple(torch.randn(3, 2, dtype=torch.float64, requires_grad=True) for _ in range(2))
    assert torch.autograd.gradcheck(diversity, pair)


def branches(identities=(0, 1, -1)):
    torch.manual_seed(0)
    features = [normalize(torch.randn(len(identities), 4)).requires_grad_() for _ in range(2)]
    return [(one, torch.tensor(identities)) for one in features]


def learn(recipe: MutualRecipe, *sides):
    oim = [OIMLoss(2, 4, OIMRecipe(queue_size=2)).eval() for _ in range(2)]
    for number, one in enumerate(oim):
        one.table.normal_(generator=torch.Generator().manual_seed(number))
    torch.manual_seed(0)
    return MutualLearning(4, recipe)(*sides, *oim)


def test_each_term_can_be_left_out() -> None:
    dense, regions = branches()
    assert set(learn(MutualRecipe(), dense, regions)) == {"mutual_information"}
    both = learn(MutualRecipe(information=0, divergence=0.5, diversity=2), dense, regions)
    assert set(both) == {"mutual_divergence", "mutual_diversity"}
    expected = 2 * (dense[0][:2] * regions[0][:2]).sum(dim=1).mean()
    assert both["mutual_diversity"].item() == pytest.approx(expected.item(), abs=1e-6)


@pytest.mark.parametrize(("share", "live"), [(0.0, True), (0.999, False)])
def test_on_a_share_of_the_steps_only_the_estimator_learns(share, live) -> None:
    dense, regions = branches()
    learn(MutualRecipe(estimator_share=share), dense, regions)["mutual_information"].backward()
    assert (dense[0].grad is not None and bool(dense[0].grad.any())) is live


def test_nobody_in_both_branches_is_no_term() -> None:
    dense, _ = branches((0, 1))
    _, regions = branches((-1, -1))
    assert learn(MutualRecipe(divergence=1, diversity=1), dense, regions) == {}

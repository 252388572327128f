import itertools

import pytest
import torch

from personsearch.training.losses.triplet import TripletRecipe, pairwise_distances, triplet_aided, triplet_loss

LINE = torch.tensor([[0.0], [1.0], [1.5], [4.0]], dtype=torch.float64)  # distances are differences
TWO = torch.tensor([0, 0, 1, 1])


def test_hard_mining_by_hand() -> None:
    # (farthest positive, nearest negative): (1, 1.5), (1, 0.5), (2.5, 0.5), (2.5, 3)
    expected = (0 + 0.8 + 2.3 + 0) / 4
    assert triplet_loss(LINE, TWO, 0.3, "hard").item() == pytest.approx(expected, abs=1e-6)


def test_all_triplets_by_hand() -> None:
    points = LINE.flatten().tolist()
    losses = [
        max(0.0, 0.3 + abs(points[a] - points[p]) - abs(points[a] - points[n]))
        for a, p, n in itertools.permutations(range(4), 3)
        if TWO[a] == TWO[p] != TWO[n]
    ]
    assert len(losses) == 8
    assert triplet_loss(LINE, TWO, 0.3, "all").item() == pytest.approx(sum(losses) / 8, abs=1e-6)


@pytest.mark.parametrize("mining", ["hard", "all"])
@pytest.mark.parametrize("identities", [[], [3], [3, 3, 3]])
def test_fewer_than_two_identities_are_no_loss(mining, identities) -> None:
    features = torch.ones(len(identities), 2, requires_grad=True)
    loss = triplet_loss(features, torch.tensor(identities), 0.3, mining)
    loss.backward()
    assert loss.item() == 0
    assert not features.grad.any()


@pytest.mark.parametrize("mining", ["hard", "all"])
def test_gradient(mining) -> None:
    torch.manual_seed(1)
    features = torch.randn(6, 3, dtype=torch.float64, requires_grad=True)
    identities = torch.tensor([0, 0, 1, 1, 2, 2])
    assert torch.autograd.gradcheck(lambda x: triplet_loss(x, identities, 5.0, mining), features)


def test_equal_features_have_a_finite_gradient() -> None:
    features = torch.ones(4, 3, requires_grad=True)
    triplet_loss(features, TWO, 0.3, "hard").backward()
    assert features.grad.isfinite().all()


def test_distances_are_euclidean() -> None:
    assert pairwise_distances(torch.tensor([[0.0, 0], [3, 4]]))[0, 1].item() == pytest.approx(5)


TABLE = torch.tensor([[10.0], [20.0], [30.0]])
FEATURES = torch.tensor([[1.0], [2.0], [3.0], [7.0]])
IDENTITIES = torch.tensor([0, 2, 2, -1])


@pytest.mark.parametrize(
    ("recipe", "rows", "identities"),
    [
        ({"table_rows": "none"}, [1, 2, 3], [0, 2, 2]),
        ({"table_rows": "once"}, [1, 2, 3, 10, 30], [0, 2, 2, 0, 2]),
        ({"table_rows": "each"}, [1, 2, 3, 10, 30, 30], [0, 2, 2, 0, 2, 2]),
        ({"table_rows": "each", "skip_identity_zero": True}, [1, 2, 3, 30, 30], [0, 2, 2, 2, 2]),
    ],
)
def test_candidates_of_each_variant(recipe, rows, identities) -> None:
    candidates = torch.tensor(rows, dtype=torch.float32)[:, None]
    expected = 0.5 * triplet_loss(candidates, torch.tensor(identities), 9.0, "hard")
    loss = triplet_aided(FEATURES, IDENTITIES, TABLE, TripletRecipe(margin=9.0, weight=0.5, **recipe))
    assert loss.item() == pytest.approx(expected.item())
    assert loss.item() > 0


def test_the_table_may_change_before_backward() -> None:
    features, table = FEATURES.clone().requires_grad_(), TABLE.clone()
    loss = triplet_aided(features, IDENTITIES, table, TripletRecipe(margin=9.0))
    table.zero_()
    loss.backward()
    assert features.grad.any()

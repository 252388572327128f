"""The contrastive loss of the hybrid pre-training."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from personsearch.training.losses.simsiam import ContrastRecipe, Predictor, contrast, negative_cosine

FIRST = torch.tensor([[1.0, 0.0], [0.0, 2.0]])
SECOND = torch.tensor([[3.0, 4.0], [0.0, -5.0]])


def test_negative_cosine_by_hand() -> None:
    # cosines 3 / 5 and -1
    assert negative_cosine(FIRST, SECOND).item() == pytest.approx(-(0.6 - 1) / 2)
    assert negative_cosine(FIRST, 7 * FIRST).item() == pytest.approx(-1)
    assert negative_cosine(FIRST[:0], SECOND[:0]).item() == 0


class Doubling(nn.Module):
    """A predictor whose numbers are known: the first number doubled."""

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        return rows * torch.tensor([2.0, 1.0], dtype=rows.dtype)


def test_contrast_by_hand() -> None:
    # one person: h1 = (1, 0), h2 = (0.6, 0.8); z1 = (2, 0), z2 = (1.2, 0.8): cos(h2, z1) = 0.6, cos(h1, z2) = 1.2 / sqrt(2.08)
    views = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.6, 0.8]])
    expected = -(0.6 + 1.2 / math.sqrt(2.08)) / 2
    assert contrast(views, Doubling(), ContrastRecipe(weight=3)).item() == pytest.approx(3 * expected)


def test_contrast_does_not_grow_with_the_crowd() -> None:
    recipe = ContrastRecipe()
    once = contrast((FIRST, SECOND), Doubling(), recipe)
    twice = contrast((FIRST.repeat(2, 1), SECOND.repeat(2, 1)), Doubling(), recipe)
    assert twice.item() == pytest.approx(once.item())


def stopped_gradient(h: np.ndarray, other: np.ndarray) -> np.ndarray:
    """d/dh of -cos(other, z(h)) / 2 for the doubling predictor, in float64: (u - z_unit (z_unit . u)) / |z| through the doubling."""
    z, unit = h * [2, 1], other / np.linalg.norm(other)
    direction = z / np.linalg.norm(z)
    return -0.5 * (unit - direction * (direction @ unit)) / np.linalg.norm(z) * [2, 1]


@settings(max_examples=30)
@given(st.lists(st.floats(0.1, 5), min_size=4, max_size=4))
def test_the_gradient_stops_at_h_and_goes_through_z(numbers) -> None:
    first, second = (torch.tensor([numbers[k : k + 2]], dtype=torch.float64, requires_grad=True) for k in (0, 2))
    contrast((first, second), Doubling(), ContrastRecipe()).backward()
    for own, other in ((first, second), (second, first)):
        expected = stopped_gradient(own.detach().numpy()[0], other.detach().numpy()[0])
        np.testing.assert_allclose(own.grad.numpy()[0], expected, rtol=1e-9, atol=1e-12)


def test_without_the_stop_the_gradient_is_another() -> None:
    first, second = FIRST[:1].double().requires_grad_(), torch.tensor([[0.6, 0.8]], dtype=torch.float64)
    z1, z2 = Doubling()(first), Doubling()(second)
    (negative_cosine(second, z1) / 2 + negative_cosine(first, z2) / 2).backward()
    expected = stopped_gradient(first.detach().numpy()[0], second.numpy()[0])
    assert not np.allclose(first.grad.numpy()[0], expected)


def test_the_predictor_is_simsiams() -> None:
    predictor = Predictor(256, 4)
    assert [tuple(one.shape) for one in predictor.parameters()] == [(64, 256), (64,), (64,), (256, 64), (256,)]
    assert [type(one) for one in predictor] == [nn.Linear, nn.BatchNorm1d, nn.ReLU, nn.Linear]
    assert Predictor(2, 4)[0].out_features == 1


def test_nobody_leaves_the_predictor_alone() -> None:
    predictor, empty = Predictor(8, 4), torch.zeros(0, 8, requires_grad=True)
    loss = contrast((empty, empty), predictor, ContrastRecipe())
    loss.backward()
    assert loss.item() == 0
    assert predictor[1].num_batches_tracked == 0
    assert all(one.grad is None for one in predictor.parameters())


def test_one_person_is_enough_for_the_norm() -> None:
    rows = torch.randn(2, 8, generator=torch.Generator().manual_seed(0))
    assert contrast((rows[:1], rows[1:]), Predictor(8, 4), ContrastRecipe()).isfinite()


def test_descent_makes_the_views_agree() -> None:
    torch.manual_seed(0)
    encoder, predictor = nn.Linear(6, 8), Predictor(8, 4)
    people = torch.randn(16, 6)
    optimizer = torch.optim.SGD([*encoder.parameters(), *predictor.parameters()], lr=0.2)
    losses = []
    for _ in range(40):
        views = encoder(people + 0.1 * torch.randn(16, 6)), encoder(people + 0.1 * torch.randn(16, 6))
        loss = contrast(views, predictor, ContrastRecipe())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < -0.7 < losses[0]

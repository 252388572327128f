"""The optimizer of the detector: its steps of a matrix by hand, and that it learns and goes on."""

import pytest
import torch

from examples.nano.muon import MuonAdam, levelled


@pytest.mark.parametrize("shape", [(4, 9), (9, 4), (5, 5)])
def test_singular_values_become_about_one(shape: tuple[int, int]) -> None:
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0)) * 100
    u, _, v = torch.linalg.svd(matrix, full_matrices=False)
    along = torch.diag(u.T @ levelled(matrix) @ v.T)
    assert 0.6 < float(along.min()) <= float(along.max()) < 1.3


def test_no_gradient_makes_no_step() -> None:
    assert levelled(torch.zeros(3, 5)).tolist() == torch.zeros(3, 5).tolist()


def test_matrices_turn_and_others_take_adams_steps() -> None:
    """The first step of a matrix has the length of its rank, whatever its gradient; Adam's has the rate in each number."""
    for scale in (1e-3, 1e3):
        matrix, vector = torch.zeros(2, 3, 1, 1, requires_grad=True), torch.zeros(2, requires_grad=True)
        optimizer = MuonAdam([{"params": [matrix], "matrices": True, "lr": 0.5}, {"params": [vector], "lr": 0.1}], weight_decay=0.0)
        ((matrix.flatten(1) * torch.tensor([[scale, 0, 0], [0, scale, 0]])).sum() + scale * vector.sum()).backward()
        optimizer.step()
        assert matrix.flatten(1)[:, 2].tolist() == [0, 0]
        assert [-float(matrix[row, row].detach()) for row in (0, 1)] == pytest.approx([0.5, 0.5], rel=0.35)
        assert vector.tolist() == pytest.approx([-0.1, -0.1], rel=1e-3)


def test_a_map_is_learned_and_a_saved_state_goes_on() -> None:
    torch.manual_seed(0)
    wanted, inputs = torch.randn(4, 6), torch.randn(64, 6)

    def run(stop: int | None) -> torch.Tensor:
        weight = torch.zeros(4, 6, requires_grad=True)
        optimizer = MuonAdam([{"params": [weight], "matrices": True}], 0.2, weight_decay=0.0)
        for step in range(200):
            if step == stop:
                state = optimizer.state_dict()
                optimizer = MuonAdam([{"params": [weight], "matrices": True}], 0.2, weight_decay=0.0)
                optimizer.load_state_dict(state)
            optimizer.param_groups[0]["lr"] = 0.2 * (1 - step / 200)
            optimizer.zero_grad()
            (inputs @ (weight - wanted).T).square().mean().backward()
            optimizer.step()
        return weight.detach()

    assert float((run(None) - wanted).abs().max()) < 0.02
    assert torch.equal(run(None), run(100))

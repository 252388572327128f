import math

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck

from personsearch.boxes import Array
from personsearch.training.data.crop_augment import ErasingRecipe, ShiftRecipe, erased, padded, ranges, shifted
from personsearch.training.losses.distillation import (
    BETAS,
    BETAS_WITH_COMMA,
    DistillationRecipe,
    Opinion,
    distillation,
    pair_loss,
    probability_loss,
    similarities,
    triplet_loss,
)

HALF, QUARTER = torch.tensor([[0.0, 0.0]]), torch.tensor([[0.0, math.log(3)]])  # probabilities 1/2, 1/2 and 1/4, 3/4


def randoms(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def softmax(logits: Array) -> Array:
    raised = np.exp(logits)
    return raised / raised.sum(axis=1, keepdims=True)


def test_eq_1_by_hand() -> None:
    printed = 0.5 * math.log(2) + 0.5 * math.log(2 / 3)
    assert probability_loss(HALF, QUARTER, "printed").item() == pytest.approx(printed, rel=1e-5)
    hinton = 0.25 * math.log(1 / 2) + 0.75 * math.log(3 / 2)
    assert probability_loss(HALF, QUARTER, "hinton").item() == pytest.approx(hinton, rel=1e-5)
    assert printed != pytest.approx(hinton, rel=0.05)
    two = probability_loss(torch.cat([HALF, HALF]), torch.cat([QUARTER, HALF]), "printed")
    assert two.item() == pytest.approx(printed / 2, rel=1e-5)  # the mean over B


def test_eq_1_is_the_formula_in_float64_and_its_gradient() -> None:
    """d KL(p || q) / dz_k = p_k (log p_k / q_k - KL), of each of B rows over B."""
    ours, theirs = randoms(5, 7).requires_grad_(), randoms(5, 7, seed=1)
    loss = probability_loss(ours, theirs, "printed")
    loss.backward()
    p, q = softmax(ours.detach().numpy()), softmax(theirs.numpy())
    apart = (p * np.log(p / q)).sum(axis=1)
    assert loss.item() == pytest.approx(apart.mean(), rel=1e-12)
    np.testing.assert_allclose(ours.grad, p * (np.log(p / q) - apart[:, None]) / 5, atol=1e-12)
    ours.grad = None
    probability_loss(ours, theirs, "hinton").backward()
    np.testing.assert_allclose(ours.grad, (p - q) / 5, atol=1e-12)


def test_eq_2_by_hand() -> None:
    """(1, 0) and (1, 1): products 1, 1 and 1, 2; rows over the square roots of 2 and 5."""
    expected = torch.tensor([[1 / math.sqrt(2), 1 / math.sqrt(2)], [1 / math.sqrt(5), 2 / math.sqrt(5)]])
    torch.testing.assert_close(similarities(torch.tensor([[1.0, 0.0], [1.0, 1.0]])), expected)


def test_eq_3_by_hand() -> None:
    ours, theirs = torch.tensor([[1.0, 0.0], [1.0, 1.0]]), torch.eye(2)
    expected = ((2 - 2 / math.sqrt(2)) + (2 - 4 / math.sqrt(5))) / 4  # |a - b|^2 = 2 - 2 ab of rows of length 1, over B^2
    assert pair_loss(ours, theirs).item() == pytest.approx(expected)


def test_eq_3_is_the_formula_in_float64_and_its_gradient() -> None:
    ours, theirs = randoms(4, 3), randoms(4, 6, seed=1)  # the two may have different dimensions
    sums = 0.0
    tables = [one.numpy() @ one.numpy().T for one in (ours, theirs)]
    for i in range(4):
        h, m = (table[i] / math.sqrt(sum(value**2 for value in table[i])) for table in tables)
        sums += sum((h[j] - m[j]) ** 2 for j in range(4))
    assert pair_loss(ours, theirs).item() == pytest.approx(sums / 16, rel=1e-12)
    assert gradcheck(lambda x: pair_loss(x, theirs), ours.requires_grad_())


@pytest.mark.parametrize("count", [1, 2, 5, 30])
def test_pairs_are_at_most_4_over_b_apart(count) -> None:
    for seed in range(5):
        loss = pair_loss(randoms(count, 3, seed=seed), randoms(count, 3, seed=seed + 50))
        assert 0 <= loss <= 4 / count
    assert pair_loss(-randoms(count, 3), 7 * randoms(count, 3)).item() == pytest.approx(0, abs=1e-12)  # neither sign nor size counts


def test_eq_4_and_its_gradient_by_hand() -> None:
    ours = torch.tensor([[0.0, 0.0], [4.0, 0.0]], requires_grad=True)
    theirs = torch.tensor([[0.0, 1.0], [3.0, 0.0]])
    loss = triplet_loss(ours, theirs, 2.5)
    # the first is 1 from its own and 3 from the other's: 2.5 + 1 - 3; the second 1 and sqrt 17: below 0
    assert loss.item() == pytest.approx(0.5 / 2)
    loss.backward()
    # along (0, -1) away from its own less along (-1, 0) away from the other's, over B
    torch.testing.assert_close(ours.grad, torch.tensor([[0.5, -0.5], [0.0, 0.0]]))


def test_eq_4_is_the_formula_in_float64_and_its_gradient() -> None:
    ours, theirs = randoms(6, 4), randoms(6, 4, seed=1)
    h, m, sums = ours.numpy(), theirs.numpy(), 0.0
    for i in range(6):
        nearest = min(np.linalg.norm(h[i] - m[j]) for j in range(6) if j != i)
        sums += max(0.0, 0.3 + np.linalg.norm(h[i] - m[i]) - nearest)
    assert sums > 0
    assert triplet_loss(ours, theirs, 0.3).item() == pytest.approx(sums / 6, rel=1e-12)
    assert gradcheck(lambda x: triplet_loss(x, theirs, 0.3), ours.requires_grad_())


def test_printed_negatives_are_all_others_even_of_the_same_person() -> None:
    ours = torch.tensor([[0.0], [1.0], [9.0]])
    others = triplet_loss(ours, ours, 3.0)
    identities = torch.tensor([5, 5, 6])
    of_others = triplet_loss(ours, ours, 3.0, identities[:, None] != identities)
    assert others.item() == pytest.approx((2 + 2) / 3)
    assert of_others.item() == 0
    assert triplet_loss(ours, ours, 3.0, torch.ones(3, 3, dtype=torch.bool)).item() == others.item()  # a person is not their own negative
    same = Opinion(ours, torch.zeros(3, 2))
    recipes = [DistillationRecipe(margin=3, unit_rows=False, negatives=kind) for kind in ("others", "other identities")]
    assert [distillation(same, same, identities, one)["kd_triplets"].item() for one in recipes] == [others.item(), 0]


@pytest.mark.parametrize("count", [0, 1])
def test_few_people_give_zero_and_finite_gradients(count) -> None:
    ours, theirs = randoms(count, 4).requires_grad_(), randoms(count, 4, seed=1)
    assert triplet_loss(ours, theirs, 0.3).item() == 0
    assert pair_loss(ours, theirs).item() == pytest.approx(0)
    losses = [triplet_loss(ours, theirs, 0.3), pair_loss(ours, theirs), probability_loss(ours, theirs, "printed")]
    torch.stack(losses).sum().backward()
    assert ours.grad.isfinite().all()


def test_equal_features_have_finite_gradients() -> None:
    same = randoms(3, 4)
    ours = same.clone().requires_grad_()
    triplet_loss(ours, same, 9.0).backward()
    assert ours.grad.isfinite().all()


def opinions() -> tuple[Opinion, Opinion]:
    return Opinion(randoms(4, 3), randoms(4, 5, seed=1)), Opinion(randoms(4, 3, seed=2), randoms(4, 5, seed=3))


def test_eq_5_the_betas_as_they_are_read() -> None:
    """Printed: beta_p = 0.1beta_pr = beta_tr = 1.0."""
    recipe = DistillationRecipe()
    assert (recipe.probability, 0.1 * recipe.pairs, recipe.triplets) == (1, 1, 1)
    assert BETAS == {"probability": 1, "pairs": 10, "triplets": 1}
    assert BETAS_WITH_COMMA == {"probability": 0.1, "pairs": 1, "triplets": 1}
    ours, theirs = opinions()
    identities = torch.arange(4)
    one = DistillationRecipe(probability=1, pairs=1, triplets=1)
    single, weighted = distillation(ours, theirs, identities, one), distillation(ours, theirs, identities, recipe)
    assert {name: (weighted[name] / single[name]).item() for name in single} == {
        "kd_probability": pytest.approx(1),
        "kd_pairs": pytest.approx(10),
        "kd_triplets": pytest.approx(1),
    }


def test_eq_6_adds_the_shifted_boxes() -> None:
    ours, theirs = opinions()
    moved = (randoms(4, 5, seed=4), randoms(4, 5, seed=5))
    found = distillation(ours, theirs, torch.arange(4), DistillationRecipe(), shifted=moved)["kd_probability"]
    parts = [probability_loss(a.float(), b.float(), "printed") for a, b in ((ours.logits, theirs.logits), moved)]
    torch.testing.assert_close(found, parts[0] + parts[1])


@pytest.mark.parametrize("name", ["probability", "pairs", "triplets"])
def test_each_term_can_be_left_out(name) -> None:
    """Table 3."""
    assert f"kd_{name}" not in distillation(*opinions(), torch.arange(4), DistillationRecipe(**{name: 0}))
    alone = {"probability": 0.0, "pairs": 0.0, "triplets": 0.0} | {name: 1.0}
    assert set(distillation(*opinions(), torch.arange(4), DistillationRecipe(**alone))) == {f"kd_{name}"}


def test_features_are_compared_as_unit_rows() -> None:
    ours, theirs = opinions()
    longer = Opinion(ours.features * torch.tensor([[1.0], [2.0], [3.0], [4.0]]), ours.logits)
    same, other = (
        [distillation(one, theirs, torch.arange(4), DistillationRecipe(unit_rows=unit)) for one in (ours, longer)] for unit in (True, False)
    )
    for name in ("kd_pairs", "kd_triplets"):
        assert same[0][name].item() == pytest.approx(same[1][name].item(), rel=1e-5)
        assert other[0][name].item() != pytest.approx(other[1][name].item(), rel=1e-2)


def test_ranges_by_hand() -> None:
    """2 x 128 x 10 / 256 = 10 high; 2 x 64 x 10 / 128 = 10 wide; 1024 high would be 80, but is 40 at most."""
    boxes = torch.tensor([[100.0, 100, 164, 228], [0, 0, 32, 1024], [5, 5, 5, 5]])
    recipe = ShiftRecipe()
    assert ranges(boxes, recipe, (256, 128)).tolist() == [[10, 10], [5, 40], [0, 0]]
    assert ranges(boxes, ShiftRecipe(most=None), (256, 128)).tolist() == [[10, 10], [5, 80], [0, 0]]


def test_shifted_boxes_keep_their_size_and_stay_in_the_loose_box() -> None:
    """The loose box has the true one's centre, so a box moves by half the range at most, and nearly that far at times."""
    torch.manual_seed(0)
    box = torch.tensor([[100.0, 100, 164, 228]]).repeat(2000, 1)
    moved = shifted(box, ShiftRecipe(), (256, 128))
    move = moved - box
    torch.testing.assert_close(move[:, :2], move[:, 2:], atol=1e-4, rtol=0)
    assert 4.9 < move.amax() <= 5
    assert -5 <= move.amin() < -4.9
    assert move.mean(dim=0).abs().max() < 0.2
    assert torch.equal(shifted(box, ShiftRecipe(padding=0), (256, 128)), box)
    assert shifted(box[:0], ShiftRecipe(), (256, 128)).shape == (0, 4)


def test_padding_shows_zeros_not_context() -> None:
    """A crop of ones moves by 2 at most, up, down, left or right."""
    torch.manual_seed(0)
    out = padded(torch.ones(500, 1, 6, 4), 2)
    assert out.shape == (500, 1, 6, 4)
    kept = {(int(one[0].amax(dim=1).sum()), int(one[0].amax(dim=0).sum())) for one in out}
    assert kept == {(rows, columns) for rows in (4, 5, 6) for columns in (2, 3, 4)}
    assert torch.equal(padded(torch.ones(2, 1, 6, 4), 0), torch.ones(2, 1, 6, 4))
    assert padded(torch.ones(0, 3, 6, 4), 2).shape == (0, 3, 6, 4)


def test_erasing_takes_one_rectangle_of_its_area() -> None:
    torch.manual_seed(0)
    crops = torch.ones(400, 3, 64, 32)
    out = erased(crops, ErasingRecipe())
    holes = (out == 0).flatten(1).float().mean(dim=1)
    hit = holes > 0
    assert 0.4 < hit.float().mean() < 0.6
    assert holes[hit].amin() > 0.01  # 0.02 but for whole pixels
    assert holes[hit].amax() < 0.42
    assert len(holes.unique()) > 100  # each crop its own
    shapes = []
    for one in out[hit]:
        rows, columns = (one[0] == 0).any(dim=1).nonzero(), (one[0] == 0).any(dim=0).nonzero()
        height, width = (int(index.max() - index.min()) + 1 for index in (rows, columns))
        assert int((one[0] == 0).sum()) == height * width
        shapes.append(height / width)
    assert 0.25 < min(shapes) < 0.5  # 0.3 but for whole pixels
    assert 2 < max(shapes) < 4
    assert torch.equal(erased(crops, ErasingRecipe(share=0)), crops)
    assert erased(crops[:0], ErasingRecipe()).shape == (0, 3, 64, 32)

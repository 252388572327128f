import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from personsearch.training.losses.agwf import (
    AdaptiveReid,
    AGWFRecipe,
    adaptive_cross_entropy,
    binary_loss,
    confidences,
    part_loss,
    unlabelled_loss,
)

TENTH = AGWFRecipe(identity_temperature=0.1)


def tensor(*values) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def eq_4(scores: list[float], true: int, tau: float) -> list[float]:
    """F_k as printed, class by class, without torch."""
    relative = [math.exp((score - scores[true]) / tau) for score in scores]
    total = 1 + sum(value for j, value in enumerate(relative) if j != true)
    weights = [value / total / tau for value in relative]
    weights[true] = -sum(value for j, value in enumerate(weights) if j != true)
    return weights


def eq_5(scores: list[float], alpha: float, true: int, tau: float) -> list[float]:
    """G_k as printed."""
    return [alpha * weight for weight in eq_4([alpha * score for score in scores], true, tau)]


def gradient_of_eq_7(scores: torch.Tensor, true: torch.Tensor, alpha: torch.Tensor, tau: float) -> torch.Tensor:
    leaf = scores.clone().requires_grad_()
    adaptive_cross_entropy(leaf, true, alpha, tau).sum().backward()
    assert leaf.grad is not None
    return leaf.grad


def some_scores() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    return torch.rand(6, 9, dtype=torch.float64) * 2 - 1, torch.tensor([0, 8, 3, 3, 5, 1]), tensor(0.02, 0.3, 0.5, 0.77, 0.95, 1.0)


@pytest.mark.parametrize("tau", [1 / 30, 0.1, 2.0])
def test_the_gradient_of_eq_7_is_eq_5(tau) -> None:
    scores, true, alpha = some_scores()
    expected = [eq_5(*row, tau) for row in zip(scores.tolist(), alpha.tolist(), true.tolist(), strict=True)]
    torch.testing.assert_close(
        gradient_of_eq_7(scores, true, alpha, tau), torch.tensor(expected, dtype=torch.float64), rtol=1e-10, atol=1e-12
    )


def test_the_gradient_without_alpha_is_eq_4_and_not_eq_5() -> None:
    scores, true, alpha = some_scores()
    plain = gradient_of_eq_7(scores, true, confidences(alpha, AGWFRecipe(adaptive=False)), 0.1)
    weighted = torch.tensor([eq_5(*row, 0.1) for row in zip(scores.tolist(), alpha.tolist(), true.tolist(), strict=True)])
    ordinary = torch.tensor([eq_4(*row, 0.1) for row in zip(scores.tolist(), true.tolist(), strict=True)])
    torch.testing.assert_close(plain.float(), ordinary)
    assert ((plain.float() - weighted).abs().amax(dim=1) > 0.1).tolist() == [True] * 5 + [False]  # alpha is 1 in the last row


def test_a_factor_on_the_loss_alone_is_not_eq_5() -> None:
    """alpha L(S) would give alpha F(S): the sensitivity to the scores stays that of full confidence."""
    scores, true, alpha = some_scores()
    outside = gradient_of_eq_7(scores, true, torch.ones_like(alpha), 0.1) * alpha[:, None]
    assert not torch.allclose(outside[:5], gradient_of_eq_7(scores, true, alpha, 0.1)[:5], atol=0.1)


def test_the_weights_of_figure_3() -> None:
    """Two classes, S_1 = 0.5, tau = 0.3: at S_0 = 0.5 the weight is alpha / (2 tau); far above, alpha / tau."""
    for alpha in (0.25, 0.5, 1.0):
        for score, share in ((0.5, 0.5), (60.0, 1.0)):
            weight = gradient_of_eq_7(tensor([score, 0.5]), torch.tensor([1]), tensor(alpha), 0.3)[0, 0]
            assert weight.item() == pytest.approx(share * alpha / 0.3)


def test_eq_7_by_hand() -> None:
    losses = adaptive_cross_entropy(tensor([0.6, 0.2, -0.4], [0.6, 0.2, -0.4]), torch.tensor([0, 1]), tensor(0.5, 1.0), 0.1)
    # alpha (S_k - S_y) / tau is (-2, -5), and (4, -6)
    assert losses.tolist() == pytest.approx([math.log(1 + math.exp(-2) + math.exp(-5)), math.log(1 + math.exp(4) + math.exp(-6))])


@settings(max_examples=30)
@given(st.integers(0, 99), st.floats(0, 1), st.floats(-5, 5))
def test_only_relative_scores_count_and_weights_sum_to_nothing(seed, alpha, shift) -> None:
    torch.manual_seed(seed)
    scores, true, sure = torch.randn(3, 5, dtype=torch.float64), torch.tensor([0, 2, 4]), torch.full((3,), alpha, dtype=torch.float64)
    losses, moved = (adaptive_cross_entropy(one, true, sure, 0.1) for one in (scores, scores + shift))
    torch.testing.assert_close(moved, losses, rtol=1e-9, atol=1e-9)
    weights = gradient_of_eq_7(scores, true, sure, 0.1)
    assert weights.sum(dim=1).abs().max() < 1e-9
    assert weights.abs().max() <= alpha / 0.1 + 1e-9


def test_without_confidence_nothing_is_learned() -> None:
    scores, true, _ = some_scores()
    nothing = torch.zeros(6, dtype=torch.float64)
    assert adaptive_cross_entropy(scores, true, nothing, 0.1).tolist() == pytest.approx([math.log(9)] * 6)
    assert not gradient_of_eq_7(scores, true, nothing, 0.1).any()


def test_eq_8_by_hand() -> None:
    similarity = tensor(0.6, 1.0).requires_grad_()
    losses = binary_loss(similarity, tensor(0.5, 1.0), AGWFRecipe())
    assert losses.tolist() == pytest.approx([math.log(1 + math.exp(0.35)), math.log(2)])
    losses.sum().backward()
    # -alpha / tau_2 x sigmoid
    assert similarity.grad.tolist() == pytest.approx([-0.25 / (1 + math.exp(-0.35)), -0.25])


def test_eq_9_by_hand() -> None:
    losses = unlabelled_loss(tensor([0.5, -0.1], [0.2, 0.2]), tensor(0.5, 0.9), tensor(0.2)[0], TENTH)
    assert losses.tolist() == pytest.approx([math.log(1 + math.exp(1.5) + math.exp(-1.5)), math.log(3)])


def test_eq_9_against_nobody_is_nothing() -> None:
    assert unlabelled_loss(torch.zeros(2, 0), torch.ones(2), torch.tensor(0.3), TENTH).tolist() == [0, 0]


# P of one person and one background, two partitions; classes are top, bottom and background
PARTS = tensor([[0.6, 0.3, 0.1], [0.2, 0.4, 0.4]], [[0.1, 0.1, 0.8], [0.5, 0.25, 0.25]])


@pytest.mark.parametrize(
    ("values", "given"),
    [("probability", PARTS.log() + 7), ("score", PARTS)],  # a softmax makes the probabilities of their logarithms, shifted or not
)
def test_eq_11_by_hand(values, given) -> None:
    loss = part_loss(given, torch.tensor([True, False]), tensor(0.5, 0.25), AGWFRecipe(part_values=values))
    terms = [
        1 + math.exp(-1.5) + math.exp(-2.5),  # the person's top: 0.5 x (0.3 - 0.6, 0.1 - 0.6) / 0.1
        1 + math.exp(-1) + math.exp(0),  # its bottom
        1 + math.exp(-1.75) + math.exp(-1.75),  # background: 0.25 x (0.1 - 0.8, 0.1 - 0.8) / 0.1
        1 + math.exp(0.625) + math.exp(0),
    ]
    assert loss.item() == pytest.approx(sum(map(math.log, terms)) / 4)


def test_the_probability_of_a_part_is_not_its_score() -> None:
    arguments = PARTS, torch.tensor([True, False]), torch.ones(2)
    losses = [part_loss(*arguments, AGWFRecipe(part_values=values)).item() for values in ("probability", "score")]
    assert abs(losses[0] - losses[1]) > 0.1


def test_parts_in_the_wrong_order_or_taken_for_background_cost_more() -> None:
    scores = 9 * torch.eye(3, 4)[None]
    right = part_loss(scores, torch.tensor([True]), torch.ones(1), AGWFRecipe())
    assert right < 0.01
    for wrong, positive in ((scores.flip(1), True), (scores, False)):
        assert part_loss(wrong, torch.tensor([positive]), torch.ones(1), AGWFRecipe()) > right + 1


def test_parts_of_nothing() -> None:
    scores = torch.zeros(0, 6, 7, requires_grad=True)
    loss = part_loss(scores, torch.zeros(0, dtype=torch.bool), torch.zeros(0), AGWFRecipe())
    loss.backward()
    assert loss.item() == 0


def reid(identities: int = 2, dim: int = 2, **recipe) -> AdaptiveReid:
    return AdaptiveReid(identities, dim, AGWFRecipe(**{"queue_size": 2, "identity_temperature": 0.1} | recipe)).double()


def known() -> AdaptiveReid:
    loss = reid()
    loss.memory.table.copy_(torch.eye(2))
    loss.memory.queue.copy_(tensor([-1.0, 0.0], [0.0, 0.0]))
    return loss.eval()


ROWS = tensor([0.6, 0.8], [1.0, 0.0], [0.8, 0.6], [0.0, 1.0])
NAMES = torch.tensor([0, 1, -1, -1])  # the last is background
PEOPLE = torch.tensor([True, True, True, False])
SURE = tensor(0.5, 1.0, 0.25, 0.9)


def test_eq_6_by_hand() -> None:
    losses = known()(ROWS, NAMES, PEOPLE, SURE)
    # similarities to the table and the queue: (0.6, 0.8; -0.6, 0) of identity 0, (1, 0; -1, 0) of identity 1, (0.8, 0.6) of no identity
    first = math.log(1 + math.exp(1) + math.exp(-6) + math.exp(-3))
    second = math.log(1 + math.exp(10) + math.exp(-10) + math.exp(0))
    assert losses["identity"].item() == pytest.approx((first + second) / 2)
    assert losses["binary"].item() == pytest.approx((math.log(1 + math.exp(0.35)) + math.log(1 + math.exp(0.5))) / 2)
    # the mean of Eq. 10 is (0.6 + 0) / 2
    assert losses["unlabelled"].item() == pytest.approx(0.1 * math.log(1 + math.exp(1.25) + math.exp(0.75)))


def test_without_agwf_every_confidence_is_one() -> None:
    scores = tensor(0.2, 0.9).requires_grad_()
    assert confidences(scores, AGWFRecipe(adaptive=False)).tolist() == [1, 1]
    assert confidences(scores, AGWFRecipe()).tolist() == [0.2, 0.9]


@pytest.mark.parametrize("through", [False, True])
def test_the_detector_learns_from_reid_only_if_asked_to(through) -> None:
    """With a gradient through alpha, Eq. 7 lowers the score of the first person, who is taken for another."""
    scores = SURE.clone().requires_grad_()
    losses = known()(ROWS.clone().requires_grad_(), NAMES, PEOPLE, confidences(scores, AGWFRecipe(confidence_gradient=through)))
    losses["identity"].backward()
    if through:
        assert scores.grad[0] > 0
    else:
        assert scores.grad is None


@pytest.mark.parametrize("through", [False, True])
def test_the_mean_of_eq_10_pulls_the_labelled_only_if_asked_to(through) -> None:
    rows, loss = ROWS.clone().requires_grad_(), known()
    loss.recipe = AGWFRecipe(queue_size=2, identity_temperature=0.1, mean_gradient=through)
    loss(rows, NAMES, PEOPLE, SURE)["unlabelled"].backward()
    assert rows.grad[:2].any().item() == through
    assert rows.grad[2].all()
    assert not rows.grad[3].any()  # background has no loss


@pytest.mark.parametrize(
    ("off", "names"),
    [
        ((), {"identity", "binary", "unlabelled"}),
        (("binary",), {"identity", "unlabelled"}),
        (("unlabelled",), {"identity", "binary"}),
        (("binary", "unlabelled"), {"identity"}),
    ],
)
def test_the_terms_of_table_2_can_be_left_out(off, names) -> None:
    whole, part = known(), known()
    part.recipe = AGWFRecipe(queue_size=2, identity_temperature=0.1, **dict.fromkeys(off, False))
    kept = part(ROWS, NAMES, PEOPLE, SURE)
    assert set(kept) == names
    assert kept == {name: loss for name, loss in whole(ROWS, NAMES, PEOPLE, SURE).items() if name in names}


@pytest.mark.parametrize(
    ("names", "zero"),
    [
        ([], {"identity", "binary", "unlabelled"}),
        ([-1, -1], {"identity", "binary", "unlabelled"}),  # Eq. 10 has no value without the labelled
        ([0, 1], {"unlabelled"}),
    ],
)
def test_terms_of_nobody_are_zero_and_have_a_gradient_of_zero(names, zero) -> None:
    rows = ROWS[: len(names)].clone().requires_grad_()
    losses = known()(rows, torch.tensor(names, dtype=torch.int64), torch.ones(len(names), dtype=torch.bool), SURE[: len(names)])
    assert {name for name, loss in losses.items() if loss.item() == 0} == zero
    sum(losses[name] for name in zero).backward()
    assert not rows.grad.any()


def test_gradients() -> None:
    def total(rows: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        loss = known()
        loss.recipe = AGWFRecipe(queue_size=2, identity_temperature=0.1, confidence_gradient=True, mean_gradient=True)
        return torch.stack(list(loss(rows, NAMES, PEOPLE, confidences(scores, loss.recipe)).values()))

    assert torch.autograd.gradcheck(total, (ROWS.clone().requires_grad_(), SURE.clone().requires_grad_()))


@pytest.mark.parametrize(("background", "queue"), [(True, [[0.0, 1.0], [0.8, 0.6]]), (False, [[0.8, 0.6], [0.0, 0.0]])])
def test_background_enters_the_queue_behind_the_unlabelled(background, queue) -> None:
    order = torch.tensor([3, 0, 2, 3])  # background, identity 0, somebody, background: three for two places
    loss = reid(background=background)
    loss(ROWS[order], NAMES[order], PEOPLE[order], SURE[order])
    assert loss.memory.queue.tolist() == queue
    # the table: (0, 0) / 2 + (0.6, 0.8) / 2, as a unit row
    torch.testing.assert_close(loss.memory.table, tensor([0.6, 0.8], [0.0, 0.0]))


def test_losses_see_the_memory_before_the_proposals_enter_it() -> None:
    rows, loss = ROWS.clone().requires_grad_(), known()
    frozen = torch.autograd.grad(sum(loss(rows, NAMES, PEOPLE, SURE).values()), rows)[0]
    live = torch.autograd.grad(sum(loss.train()(rows, NAMES, PEOPLE, SURE).values()), rows)[0]
    assert torch.equal(frozen, live)
    assert loss.memory.queue[0].equal(ROWS[2])

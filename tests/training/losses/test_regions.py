import math

import pytest
import torch
from pydantic import ValidationError
from torchvision.models.detection._utils import BoxCoder

from personsearch.training.losses.regions import (
    ProposalRecipe,
    RegionRecipe,
    SampledRegions,
    SamplingRecipe,
    cell_labels,
    match,
    proposal_losses,
    region_box_loss,
    sample_regions,
)

NO_BOXES = torch.zeros(0, 4)
PERSON = torch.tensor([[0.0, 0.0, 10.0, 20.0]])
IN_BETWEEN = SamplingRecipe(positive_iou=0.5, negative_iou=0.1)


def boxes_of_height(*heights: float) -> torch.Tensor:
    """IoU with the person is height / 20."""
    return torch.tensor([[0.0, 0.0, 10.0, height] for height in heights])


def test_match_by_hand() -> None:
    labels, index = match(boxes_of_height(20, 10, 9.9, 2, 1.9), PERSON, IN_BETWEEN)
    assert labels.tolist() == [1, 1, -1, -1, 0]
    assert index.tolist() == [0] * 5


def test_match_takes_the_person_with_most_overlap() -> None:
    people = torch.tensor([[0.0, 0.0, 10.0, 10.0], [0.0, 10.0, 10.0, 20.0]])
    labels, index = match(torch.tensor([[0.0, 9.0, 10.0, 19.0], [0.0, 0.0, 10.0, 9.0], [50.0, 50.0, 60.0, 60.0]]), people, SamplingRecipe())
    assert labels.tolist() == [1, 1, 0]
    assert index.tolist()[:2] == [1, 0]


def test_the_best_anchor_of_a_person_is_positive() -> None:
    recipe = ProposalRecipe().sampling
    assert match(boxes_of_height(8, 4), PERSON, recipe)[0].tolist() == [-1, 0]
    assert match(boxes_of_height(8, 4), PERSON, recipe, keep_best=True)[0].tolist() == [1, 0]


def test_match_with_nobody() -> None:
    labels, index = match(boxes_of_height(5, 6), NO_BOXES, IN_BETWEEN)
    assert labels.tolist() == index.tolist() == [0, 0]
    assert match(NO_BOXES, PERSON, IN_BETWEEN)[0].shape == (0,)


def test_thresholds_out_of_order_are_refused() -> None:
    with pytest.raises(ValidationError, match=r"0\.6.*above.*0\.5"):
        SamplingRecipe(negative_iou=0.6)


def test_sample_regions_by_hand() -> None:
    regions = sample_regions(
        [boxes_of_height(20, 6, 1), boxes_of_height(3)],
        [PERSON, NO_BOXES],
        [torch.tensor([4]), torch.zeros(0, dtype=torch.int64)],
        SamplingRecipe(count=8, negative_iou=0.1),
    )
    assert [one.tolist() for one in regions.boxes] == [boxes_of_height(20, 1, 20).tolist(), boxes_of_height(3).tolist()]
    assert regions.positive.tolist() == [True, False, True, False]
    assert regions.identities.tolist() == [4, -1, 4, -1]
    assert regions.matched[3].tolist() == [-1] * 4


def test_sample_regions_keeps_the_share() -> None:
    torch.manual_seed(0)
    proposals = torch.cat([boxes_of_height(*[20] * 50), boxes_of_height(*[1] * 50)])
    regions = sample_regions([proposals], [PERSON], [torch.tensor([-1])], SamplingRecipe(count=20, positive_share=0.25))
    assert regions.positive.sum() == 5
    assert len(regions.positive) == 20
    assert set(regions.identities.tolist()) == {-1}


CODER = BoxCoder((10.0, 10.0, 5.0, 5.0))


def two_regions() -> SampledRegions:
    boxes = torch.tensor([[0.0, 0.0, 10.0, 20.0], [0.0, 0.0, 1.0, 1.0]])
    return SampledRegions([boxes], torch.tensor([True, False]), torch.tensor([[1.0, 0.0, 11.0, 40.0], [0.0] * 4]), torch.tensor([0, -1]))


@pytest.mark.parametrize("kind", ["smooth_l1", "l1"])
def test_box_loss_by_hand(kind) -> None:
    # targets: dx 1/10 * 10 = 1, dy 10/20 * 10 = 5, dw 0, dh ln 2 * 5
    deltas = torch.tensor([[0.5, 5.0, 0.0, 0.0], [9.0] * 4])
    off = 5 * math.log(2)
    expected = 0.5 * 0.25 + (off - 0.5) if kind == "smooth_l1" else 0.5 + off
    loss = region_box_loss(deltas, two_regions(), CODER, RegionRecipe(box_loss=kind, box_weight=10.0))
    assert loss.item() == pytest.approx(10 * expected / 2, rel=1e-5)


def test_proposal_losses_by_hand() -> None:
    anchors = torch.tensor([[0.0, 0.0, 10.0, 20.0], [0.0, 0.0, 10.0, 8.0], [50.0, 50.0, 60.0, 60.0]])  # IoU 1, 0.4, 0
    logits = torch.tensor([[1.0, 3.0, -2.0]])
    deltas = torch.tensor([[[0.0, 0.0, 0.0, 0.5], [7.0] * 4, [7.0] * 4]])
    losses = proposal_losses(logits, deltas, anchors, torch.tensor([[90.0] * 4]), [PERSON], BoxCoder((1.0,) * 4), ProposalRecipe())
    assert losses["rpn_class"].item() == pytest.approx((math.log(1 + math.exp(-1)) + math.log(1 + math.exp(-2))) / 2, rel=1e-5)
    assert losses["rpn_box"].item() == pytest.approx(0.5 / 2, rel=1e-5)  # L1, as torchvision 0.4.0 has it
    smooth = proposal_losses(
        logits, deltas, anchors, torch.tensor([[90.0] * 4]), [PERSON], BoxCoder((1.0,) * 4), ProposalRecipe(box_loss="smooth_l1")
    )
    assert smooth["rpn_box"].item() == pytest.approx((0.5 - 0.5 / 9) / 2, rel=1e-5)


def test_the_box_loss_of_seqnets_equation_1() -> None:
    """Printed as a mean over positive regions; the authors' code divides by all, here by two."""
    deltas, printed = torch.tensor([[0.5, 5.0, 0.0, 0.0], [9.0] * 4]), RegionRecipe(box_mean="people")
    everyone = region_box_loss(deltas, two_regions(), CODER, RegionRecipe())
    assert region_box_loss(deltas, two_regions(), CODER, printed).item() == pytest.approx(2 * everyone.item())


def test_people_first_is_mmdets_order() -> None:
    proposals, people, identities = [torch.tensor([[0.0, 0.0, 9.0, 20.0]])], [PERSON], [torch.tensor([4])]
    after = sample_regions(proposals, people, identities, SamplingRecipe())
    before = sample_regions(proposals, people, identities, SamplingRecipe(people_first=True))
    assert torch.equal(after.boxes[0], torch.cat([proposals[0], PERSON]))
    assert torch.equal(before.boxes[0], after.boxes[0].flip(0))


def test_anchors_that_stick_out_can_be_left_out() -> None:
    anchors = torch.tensor([[0.0, 0.0, 10.0, 20.0], [-5.0, 50.0, 5.0, 60.0], [0.0, 50.0, 5.0, 60.0]])
    logits, deltas = torch.tensor([[0.0, 5.0, 0.0]]), torch.zeros(1, 3, 4)
    arguments = logits, deltas, anchors, torch.tensor([[90.0] * 4]), [PERSON], BoxCoder((1.0,) * 4)
    inside = proposal_losses(*arguments, ProposalRecipe(inside_only=True))["rpn_class"].item()
    everywhere = proposal_losses(*arguments, ProposalRecipe())["rpn_class"].item()
    assert inside == pytest.approx(math.log(2), rel=1e-5)
    assert everywhere == pytest.approx((2 * math.log(2) + math.log(1 + math.exp(5))) / 3, rel=1e-5)


def test_proposals_of_an_image_with_nobody() -> None:
    logits, deltas = torch.zeros(1, 2, requires_grad=True), torch.zeros(1, 2, 4, requires_grad=True)
    losses = proposal_losses(logits, deltas, boxes_of_height(5, 9), torch.tensor([[90.0] * 4]), [NO_BOXES], CODER, ProposalRecipe())
    assert losses["rpn_class"].item() == pytest.approx(math.log(2), rel=1e-5)
    assert losses["rpn_box"].item() == 0
    sum(losses.values()).backward()
    assert deltas.grad.abs().sum() == 0


def test_gradients() -> None:
    torch.manual_seed(0)
    deltas = torch.randn(2, 4, dtype=torch.float64, requires_grad=True)
    regions = two_regions()
    doubled = SampledRegions([one.double() for one in regions.boxes], regions.positive, regions.matched.double(), regions.identities)
    assert torch.autograd.gradcheck(lambda x: region_box_loss(x, doubled, CODER, RegionRecipe()), deltas)
    logits = torch.randn(1, 2, dtype=torch.float64, requires_grad=True)
    anchors, frames = boxes_of_height(18, 2).double(), torch.tensor([[90.0] * 4])

    def total(logits: torch.Tensor, deltas: torch.Tensor) -> torch.Tensor:
        people = [PERSON.double()]
        return torch.stack(list(proposal_losses(logits, deltas[None], anchors, frames, people, CODER, ProposalRecipe()).values()))

    assert torch.autograd.gradcheck(total, (logits, deltas))


def test_cell_labels_by_hand() -> None:
    # cells of a 4 x 4 region have their centres at 0.5, 1.5, 2.5, 3.5; the person covers x 1..3, y 0..2
    region, nowhere = torch.tensor([[0.0, 0.0, 4.0, 4.0]] * 2), torch.full((1, 4), -1.0)
    regions = SampledRegions(
        [region], torch.tensor([True, False]), torch.cat([torch.tensor([[1.0, 0.0, 3.0, 2.0]]), nowhere]), torch.tensor([0, -1])
    )
    labels = cell_labels(regions, 4)
    assert labels[0, 0].tolist() == [[0, 1, 1, 0], [0, 1, 1, 0], [0, 0, 0, 0], [0, 0, 0, 0]]
    assert not labels[1].any()

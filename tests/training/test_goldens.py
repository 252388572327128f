"""One training step of SeqNet, AlignPS and ROI-AlignPS gives the losses, gradients and memories of the authors' code, in float64."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

from personsearch.training.losses.mutual import MutualRecipe
from personsearch.training.recipes import load_recipe
from personsearch.training.recipes.common import changed
from personsearch.training.recipes.schema import Recipe
from tests.helpers.training_golden import EVERY, LOSSES, MEMORIES, Step, alignps_name, golden, seqnet_name, step, wrong_gradients

pytestmark = pytest.mark.slow

SEQNET = {
    "rpn_class": "loss_rpn_cls",
    "rpn_box": "loss_rpn_reg",
    "first_class": "loss_proposal_cls",
    "first_box": "loss_proposal_reg",
    "class": "loss_box_cls",
    "box": "loss_box_reg",
    "oim": "loss_box_reid",
}
ALIGNPS = {"dense_class": "dense_cls", "dense_box": "dense_bbox", "dense_centerness": "dense_centerness", "oim": "dense_oim"}
ROI_ALIGNPS = ALIGNPS | {
    "triplet": "dense_tri",
    "rpn_class": "rpn_cls",
    "rpn_box": "rpn_bbox",
    "roi_class": "roi_cls",
    "roi_box": "roi_bbox",
    "roi_oim": "roi_oim",
    "mutual_information": "mi_bound",
}
# The authors' pairs are in order of first sight, 3 0 7 12, and each is compared with the next one's; ours are sorted by identity
NEXT_PERSON = [2, 0, 3, 1]


@pytest.fixture
def patch() -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as context:
        yield context


def everything(settings: Any, **fields: Any) -> Any:
    """A group of options by whose sampling every box takes part."""
    return changed(settings, sampling=changed(settings.sampling, count=EVERY), **fields)


def seqnet_recipe(box_loss: str) -> Recipe:
    recipe = load_recipe("seqnet-prw")
    losses: Any = recipe.losses
    proposals = everything(losses.proposals, after_nms=5, box_loss=box_loss)
    return changed(recipe, losses=changed(losses, proposals=proposals, first=everything(losses.first), head=everything(losses.head)))


def roi_recipe() -> Recipe:
    recipe = load_recipe("roi-alignps-prw-code")
    losses: Any = recipe.losses
    proposals, head = everything(losses.proposals, after_nms=8), everything(losses.head)
    mutual = MutualRecipe(estimator_share=0)  # the kind of step that trains the network too
    return changed(recipe, losses=changed(losses, proposals=proposals, head=head, mutual=mutual))


def check_losses(made: Step, family: str, names: dict[str, str], prefix: str = "loss/", **others: str) -> None:
    arrays = golden(family)
    assert made.losses.keys() == names.keys()
    expected = {ours: float(arrays[others.get(ours, f"{prefix}{theirs}")]) for ours, theirs in names.items()}
    assert made.losses == pytest.approx(expected, rel=LOSSES)


def check_memory(memory: Any, family: str, table: str, queue: str, tail: str) -> None:
    arrays = golden(family)
    after = arrays[f"{queue}_after"]
    np.testing.assert_allclose(memory.table[arrays[f"{table}_rows"]], arrays[f"{table}_after"], atol=MEMORIES)
    np.testing.assert_allclose(memory.queue[arrays[f"{queue}_rows"]][:, : after.shape[1]], after, atol=MEMORIES)
    assert memory.tail.item() == arrays[tail][1]


def test_a_step_of_seqnet_is_the_authors(patch: pytest.MonkeyPatch) -> None:
    """On the torchvision 0.4.0 that the authors' code asks for, whose region proposals learn boxes by L1."""
    made = step(patch, "seqnet", seqnet_recipe("l1"), 482)
    check_losses(made, "seqnet", SEQNET, rpn_box="torchvision_0.4.0/loss/loss_rpn_reg")
    assert wrong_gradients(made, "seqnet", seqnet_name, "torchvision_0.4.0/") == {}
    learner: Any = made.learner
    check_memory(learner.oim, "seqnet", "lut", "cq", "header_cq")
    np.testing.assert_allclose(
        learner.network.backbone.bn1.running_mean, golden("seqnet")["buffer_samp/backbone.bn1.running_mean"], atol=MEMORIES
    )


def test_a_step_of_seqnet_is_that_of_today_s_torchvision(patch: pytest.MonkeyPatch) -> None:
    made = step(patch, "seqnet", seqnet_recipe("smooth_l1"), 482)
    check_losses(made, "seqnet", SEQNET)
    assert wrong_gradients(made, "seqnet", seqnet_name) == {}


def test_moved_boxes_with_a_gradient_are_seen(patch: pytest.MonkeyPatch) -> None:
    """A step that must fail: without `detach` all losses are equal, but the gradients of the first head are not."""
    made = step(patch, "seqnet", seqnet_recipe("smooth_l1"), 482, detach=False)
    patch.undo()
    check_losses(made, "seqnet", SEQNET)
    assert wrong_gradients(made, "seqnet", seqnet_name)


def test_a_step_of_alignps_is_the_authors(patch: pytest.MonkeyPatch) -> None:
    made = step(patch, "alignps", load_recipe("alignps-prw-code"), 483)
    check_losses(made, "alignps", ALIGNPS, "p3/loss/")
    assert wrong_gradients(made, "alignps", alignps_name, "p3/") == {}
    learner: Any = made.learner
    check_memory(learner.oim, "alignps", "dense_table", "dense_queue", "dense_tail")


def test_a_step_of_roi_alignps_is_the_authors(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(torch, "randint", lambda *_: torch.tensor(NEXT_PERSON))
    made = step(patch, "roi_alignps", roi_recipe(), 483)
    check_losses(made, "roi_alignps", ROI_ALIGNPS, "p3/loss/")
    assert wrong_gradients(made, "roi_alignps", alignps_name, "p3/") == {}
    learner: Any = made.learner
    check_memory(learner.oim, "roi_alignps", "dense_table", "dense_queue", "dense_tail")
    check_memory(learner.roi_oim, "roi_alignps", "roi_lut", "roi_cq", "roi_header_cq")

"""Which anchors learn a person, by AlignPS's rule, on cases that were measured with the authors' code."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from personsearch.models.parts.rpn import ProposalConfig, RegionProposals
from personsearch.training.losses.regions import NEGATIVE, POSITIVE, ProposalRecipe, match_anchors

MEASURED: dict[str, Any] = json.loads((Path(__file__).parents[2] / "data" / "rpn_border.json").read_text())
CASES: list[dict[str, Any]] = MEASURED["cases"]
RULE = ProposalRecipe(matching="mmdet", inside_only=True)
RPN = RegionProposals(8, ProposalConfig(rounded=False)).double()  # as the measured code ran


def labels_of(case: dict[str, Any], recipe: ProposalRecipe) -> tuple[Tensor, Tensor]:
    anchors = RPN.anchors(torch.zeros(1, 8, case["feature_height"], case["feature_width"]))
    assert len(anchors) == case["anchors"]
    people = torch.tensor(case["boxes"], dtype=torch.float64).reshape(-1, 4)
    frame = torch.tensor([case["width"], case["height"]] * 2, dtype=torch.float64)
    return match_anchors(anchors, people, frame, recipe)


def agrees(case: dict[str, Any], recipe: ProposalRecipe) -> bool:
    labels, index = labels_of(case, recipe)
    positive = torch.where(labels == POSITIVE)[0]
    return (
        positive.tolist() == case["positive"]
        and index[positive].tolist() == case["person_of_positive"]
        and int((labels == NEGATIVE).sum()) == case["negatives"]
    )


def test_anchors_that_are_not_rounded_are_mmdets() -> None:
    assert torch.equal(RPN.cell_anchors.float(), torch.tensor(MEASURED["base_anchors"]))
    rounded = RegionProposals(8, ProposalConfig()).cell_anchors
    assert 0.4 < float((rounded - RPN.cell_anchors).abs().max()) < 0.5


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_anchors_are_positive_as_in_the_authors_code(case: dict[str, Any]) -> None:
    assert agrees(case, RULE)


@pytest.mark.parametrize(
    "wrong",
    [
        ProposalRecipe(),
        ProposalRecipe(inside_only=True),
        ProposalRecipe(matching="mmdet"),
        ProposalRecipe(matching="mmdet", best_iou=0, inside_only=True),
    ],
)
def test_every_other_rule_fails_a_case(wrong: ProposalRecipe) -> None:
    assert not all(agrees(case, wrong) for case in CASES)


def test_a_person_at_the_border_keeps_an_anchor() -> None:
    """Dropping anchors after matching left 24 of 791 people of PRW without one; before matching the authors have 1."""
    for case in CASES:
        labels, index = labels_of(case, RULE)
        without = set(range(len(case["boxes"]))) - set(index[labels == POSITIVE].tolist())
        assert sorted(without) == case["people_without_positive"]

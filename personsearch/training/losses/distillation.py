"""What DKD's student learns from its teacher: probabilities, similarities of pairs, and who is nearest (triplets).

Source: Zhang et al., Diverse Knowledge Distillation for End-to-End Person Search (AAAI 2021), Sec. 2.2. H is the student's
re-id head, M the teacher; no gradient reaches M. The authors have released no code.
"""

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from personsearch.models.parts.layers import SHORTEST
from personsearch.options import Settings
from personsearch.training.data.crop_augment import ShiftRecipe

Divergence = Literal["printed", "hinton"]
Negatives = Literal["others", "other identities"]

# Sec. 3.2 prints "beta_p = 0.1beta_pr = beta_tr = 1.0". Taken literally that is 1, 10, 1, and it fits the sizes: L_pr is at most
# 4 / B, as its rows have length 1. With a comma lost after 0.1 it would be 0.1, 1, 1.
BETAS = {"probability": 1.0, "pairs": 10.0, "triplets": 1.0}
BETAS_WITH_COMMA = {"probability": 0.1, "pairs": 1.0, "triplets": 1.0}


class DistillationRecipe(Settings):
    """Weights of the three terms (the paper's betas; 0 leaves one out), and the choices that its text leaves open."""

    probability: float = Field(default=BETAS["probability"], ge=0)
    pairs: float = Field(default=BETAS["pairs"], ge=0)
    triplets: float = Field(default=BETAS["triplets"], ge=0)
    margin: float = Field(default=0.3, ge=0)  # m of Eq. 4
    shift: ShiftRecipe | None = ShiftRecipe()  # FSA, Eq. 6; None: Eq. 1
    # "printed": KL(p^H || p^M), as in Eq. 1 and 6; "hinton": KL(p^M || p^H), as in the conventional distillation that they cite
    divergence: Divergence = "printed"
    # "others": j of Eq. 4 is anyone but i, as printed; "other identities": another picture of the same person is not a negative
    negatives: Negatives = "others"
    # Eq. 2-4 do not say which features. Unit rows behind BNNeck are what a search compares, and give the margin a unit.
    unit_rows: bool = True


@dataclass(frozen=True)
class Opinion:
    """What a network says about B people."""

    features: Tensor  # (B, D), behind BNNeck
    logits: Tensor  # (B, L), of the identities


def distillation(
    student: Opinion, teacher: Opinion, identities: Tensor, recipe: DistillationRecipe, *, shifted: tuple[Tensor, Tensor] | None = None
) -> dict[str, Tensor]:
    """The weighted terms by name.

    Args:
        student: gradients flow into it.
        teacher: the same people, the same L and (for the triplets) the same D.
        identities: (B,).
        recipe: weights and choices.
        shifted: (B, L) logits of student and teacher at the shifted boxes, for Eq. 6; None for Eq. 1.
    """
    terms: dict[str, Tensor] = {}
    with torch.autocast(student.features.device.type, enabled=False):
        if recipe.probability:
            apart = probability_loss(student.logits.float(), teacher.logits.float(), recipe.divergence)
            if shifted is not None:
                apart = apart + probability_loss(shifted[0].float(), shifted[1].float(), recipe.divergence)
            terms["kd_probability"] = recipe.probability * apart
        ours, theirs = student.features.float(), teacher.features.float()
        if recipe.unit_rows:
            ours, theirs = F.normalize(ours, eps=SHORTEST), F.normalize(theirs, eps=SHORTEST)
        if recipe.pairs:
            terms["kd_pairs"] = recipe.pairs * pair_loss(ours, theirs)
        if recipe.triplets:
            allowed = identities[:, None] != identities if recipe.negatives == "other identities" else None
            terms["kd_triplets"] = recipe.triplets * triplet_loss(ours, theirs, recipe.margin, allowed)
    return terms


def probability_loss(student: Tensor, teacher: Tensor, divergence: Divergence) -> Tensor:
    """L_p: the mean KL divergence of the probabilities of (B, L) logits, without a temperature, as the paper names none. Source: Eq. 1."""
    log_h, log_m = student.log_softmax(dim=1), teacher.log_softmax(dim=1)
    if divergence == "hinton":
        log_h, log_m = log_m, log_h
    return (log_h.exp() * (log_h - log_m)).sum() / max(1, len(student))


def similarities(features: Tensor) -> Tensor:
    """S_B: (B, B) products of (B, D) features, each row of length 1. Source: Eq. 2."""
    return F.normalize(features @ features.T, eps=SHORTEST)


def pair_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """L_pr: the mean square of what lies between the similarities of (B, D) features. Source: Eq. 3."""
    return (similarities(student) - similarities(teacher)).square().sum() / max(1, len(student)) ** 2


def triplet_loss(student: Tensor, teacher: Tensor, margin: float, allowed: Tensor | None = None) -> Tensor:
    """L_tr: the mean of [m + |f_i^H - f_i^M| - min_j |f_i^H - f_j^M|]_+ over B people; 0 for whoever has no negative.

    Args:
        student: (B, D).
        teacher: (B, D).
        margin: margin, in the unit of the distances.
        allowed: (B, B) bool, whether j may be i's negative; None: anyone. i itself never is.

    Source: Eq. 4; i and j are of one mini-batch.
    """
    count = len(student)
    # the plain form is exact for equal rows, where the product form has a root of rounding errors
    distances = torch.cdist(student, teacher, compute_mode="donot_use_mm_for_euclid_dist")
    own = torch.eye(count, dtype=torch.bool, device=student.device)
    barred = own if allowed is None else own | ~allowed
    if not count:
        return student.sum()
    nearest = distances.masked_fill(barred, torch.inf).amin(dim=1)
    return (margin + distances.diagonal() - nearest).clamp(min=0).mean()

"""Adaptive gradient weighting: the losses of re-identification and part classification, weighted by how sure the detector is.

S_ik is the similarity (or score) of proposal i for class k, alpha_i its confidence. Eq. 5 wants G_k = alpha F_k(alpha S, y) as the
gradient of the loss after S_ik, where F_k is that of the ordinary cross entropy; so alpha multiplies S inside the loss.

Source: Han, Ko and Sim, End-to-End Trainable Trident Person Search Network Using Adaptive Gradient Propagation (ICCV 2021),
Eq. 5-11. No code is public; where the text is silent, comments give our choice and its reason.
"""

from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from personsearch.options import Settings
from personsearch.training.losses.oim import OIMLoss, OIMRecipe


class AGWFRecipe(Settings):
    """The numbers of Trident's losses, and its ablations; the defaults are the paper's."""

    adaptive: bool = True  # False: without AGWF, every confidence is 1 (Table 1)
    binary: bool = True  # Eq. 8 (Table 2)
    unlabelled: bool = True  # Eq. 9 (Table 2)
    identity_temperature: float = Field(default=1 / 30, gt=0)  # tau_1
    binary_temperature: float = Field(default=2.0, gt=0)  # tau_2
    part_temperature: float = Field(default=0.1, gt=0)  # tau_3
    # P_ijk of Eq. 11 is both "a prediction score" and "the probability" of a class (Sec. 4.3). As a probability it is bounded, as the
    # cosines are, and tau_3 sharpens it, as tau_1 does them; on raw scores tau_3 would only make the first gradients ten times greater.
    part_values: Literal["probability", "score"] = "probability"
    unlabelled_weight: float = Field(default=0.1, ge=0)  # lambda of Eq. 6
    full_similarity: float = 1.0  # s_kappa of Eq. 8
    queue_size: int = Field(default=5000, ge=0)
    momentum: float = Field(default=0.5, ge=0, lt=1)  # share of the old row of the table
    background: bool = True  # background proposals enter the queue too (Sec. 5.2)
    # Alpha is a factor on the gradient (Eq. 5), and the only way from the loss to a parameter in Eq. 3 is through S. With a gradient
    # of its own, the re-identification loss would lower the detector's scores of people who are hard to tell apart.
    confidence_gradient: bool = False
    # L_un "only focuses on decreasing the similarities to the negative classes" (Sec. 5.3): so the mean of Eq. 10 is a constant in
    # it. With a gradient, unlabelled proposals would also draw the labelled ones to their rows, which Eq. 7 and 8 do.
    mean_gradient: bool = False


def confidences(scores: Tensor, recipe: AGWFRecipe) -> Tensor:
    """(N,) alpha of each proposal, of the (N,) probabilities p_i1 of being a person."""
    if not recipe.adaptive:
        return torch.ones_like(scores)
    return scores if recipe.confidence_gradient else scores.detach()


def adaptive_cross_entropy(scores: Tensor, true: Tensor, confidence: Tensor, temperature: float) -> Tensor:
    """(N,) losses log(1 + sum over k != y of exp(alpha (S_k - S_y) / tau)): Eq. 7, and the summands of Eq. 11.

    Args:
        scores: (N, K) S, of every class.
        true: (N,) int64 y.
        confidence: (N,) alpha.
        temperature: tau.
    """
    return F.cross_entropy(confidence[:, None] * scores / temperature, true, reduction="none")


def binary_loss(similarity: Tensor, confidence: Tensor, recipe: AGWFRecipe) -> Tensor:
    """(N,) losses log(1 + exp((s_kappa - alpha S_y) / tau_2)) of the (N,) similarities to the true identities: Eq. 8."""
    return F.softplus((recipe.full_similarity - confidence * similarity) / recipe.binary_temperature)


def unlabelled_loss(similarities: Tensor, confidence: Tensor, mean: Tensor, recipe: AGWFRecipe) -> Tensor:
    """(N,) losses log(1 + sum over k of exp(alpha (S_k - mean) / tau_1)): Eq. 9.

    Args:
        similarities: (N, L) S of unlabelled proposals, to the labelled identities.
        confidence: (N,) alpha.
        mean: () of the labelled proposals' similarities to their identities, Eq. 10.
        recipe: the temperature.
    """
    exponents = confidence[:, None] * (similarities - mean) / recipe.identity_temperature
    return F.pad(exponents, (1, 0)).logsumexp(dim=1)  # the 0 more is the 1 in the logarithm


def part_loss(scores: Tensor, positive: Tensor, confidence: Tensor, recipe: AGWFRecipe) -> Tensor:
    """The mean over all partitions of all proposals, background too, () float32: Eq. 11.

    Args:
        scores: (N, P, P + 1), see `TridentOutput`.
        positive: (N,) bool, whether a person; partitions of the others belong to the last class.
        confidence: (N,) alpha.
        recipe: temperature, and what P_ijk is.
    """
    count = scores.shape[1]
    places = torch.arange(count, device=scores.device)
    true = torch.where(positive[:, None], places, count)
    values = scores.softmax(dim=2) if recipe.part_values == "probability" else scores
    sure = confidence.repeat_interleave(count)
    return _mean(adaptive_cross_entropy(values.flatten(0, 1), true.flatten(), sure, recipe.part_temperature))


class AdaptiveReid(nn.Module):
    """The re-identification loss (Eq. 6) and its memory: OIM's look-up table and circular queue.

    Psi_L and Psi_U are proposals of people ("associated with the ground truth bounding boxes"); background has no loss. In training
    mode every call first gives the losses against the memory as it is, then takes the proposals into it, in order.
    """

    def __init__(self, identities: int, dim: int, recipe: AGWFRecipe) -> None:
        super().__init__()
        self.recipe = recipe
        self.memory = OIMLoss(identities, dim, OIMRecipe(scale=1.0, queue_size=recipe.queue_size, momentum=recipe.momentum))

    def forward(self, embeddings: Tensor, identities: Tensor, positive: Tensor, confidence: Tensor) -> dict[str, Tensor]:
        """`identity` and, unless the recipe leaves them out, `binary` and `unlabelled`: the terms of Eq. 6, weighted, () float32 each.

        Args:
            embeddings: (N, D) unit rows of all proposals.
            identities: (N,) int64, 0..L-1, or -1 for unlabelled people and background.
            positive: (N,) bool, whether a person.
            confidence: (N,) alpha.
        """
        similarities = self.memory.logits(embeddings[positive])
        losses = self.losses(similarities, identities[positive], confidence[positive])
        if self.training:
            kept = torch.ones_like(positive) if self.recipe.background else positive
            self.memory.remember(embeddings[kept], identities[kept])
        return losses

    def losses(self, similarities: Tensor, identities: Tensor, confidence: Tensor) -> dict[str, Tensor]:
        """The terms of Eq. 6 (see `forward`) of people alone.

        Args:
            similarities: (N, L + Q) S, to the table and the queue.
            identities: (N,), -1 for the unlabelled.
            confidence: (N,) alpha.
        """
        recipe, labelled = self.recipe, identities >= 0
        known, names, sure = similarities[labelled], identities[labelled], confidence[labelled]
        true = known.gather(1, names[:, None])[:, 0]
        losses = {"identity": _mean(adaptive_cross_entropy(known, names, sure, recipe.identity_temperature))}
        if recipe.binary:
            losses["binary"] = _mean(binary_loss(true, sure, recipe))
        if recipe.unlabelled:
            table = similarities[~labelled, : len(self.memory.table)]
            terms = unlabelled_loss(table, confidence[~labelled], _mean(true if recipe.mean_gradient else true.detach()), recipe)
            # Without labelled proposals Eq. 10 has no value, so the term is left out
            losses["unlabelled"] = recipe.unlabelled_weight * _mean(terms) * bool(labelled.any())
        return losses


def _mean(losses: Tensor) -> Tensor:
    """() the mean; 0 of none."""
    return losses.sum() / max(1, len(losses))

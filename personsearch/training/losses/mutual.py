"""What the two branches of ROI-AlignPS learn from each other: mutual information, KL divergence, diversity."""

import math

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from personsearch.options import Settings
from personsearch.training.losses.oim import OIMLoss


class MutualRecipe(Settings):
    """Weights of the three terms; 0 leaves one out. The defaults are the released code, which has the first only.

    The paper gives no weights; Table VII compares all pairs of terms.
    """

    information: float = Field(default=0.2, ge=0)  # Eq. 5-7
    divergence: float = Field(default=0.0, ge=0)  # Eq. 8
    diversity: float = Field(default=0.0, ge=0)  # Eq. 9
    hidden: int = Field(default=256, ge=1)  # units of the estimator of mutual information
    estimator_share: float = Field(default=2 / 3, ge=0, lt=1)  # of the steps that train the estimator alone


class InformationBound(nn.Module):
    """A lower bound of the mutual information of two features, by a small network T (MINE).

    Source: arXiv 1801.04062 as in arXiv 2109.00211, Eq. 6; daodaofr/AlignPS@5d62dbc (MINE).
    """

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.statistic = nn.Sequential(nn.Linear(2 * dim, hidden), nn.ReLU(), nn.Linear(hidden, 1))

    def forward(self, x: Tensor, y: Tensor, shuffle: Tensor) -> Tensor:
        """E[T(x, y)] - log E[exp T(x, y of another)], ().

        Args:
            x: (P, dim), one side of P pairs.
            y: (P, dim), the other side.
            shuffle: (P,) int64; y[shuffle] are draws independent of x.
        """
        joint: Tensor = self.statistic(torch.cat([x, y], dim=1)).mean()
        marginal: Tensor = self.statistic(torch.cat([x, y[shuffle]], dim=1)).flatten()
        return joint - (marginal.logsumexp(dim=0) - math.log(len(x)))


class MutualLearning(nn.Module):
    """The terms of a recipe over what both branches say about the people of one batch."""

    def __init__(self, dim: int, recipe: MutualRecipe) -> None:
        super().__init__()
        self.recipe = recipe
        self.bound = InformationBound(dim, recipe.hidden) if recipe.information else None

    def forward(
        self, dense: tuple[Tensor, Tensor], regions: tuple[Tensor, Tensor], dense_oim: OIMLoss, region_oim: OIMLoss
    ) -> dict[str, Tensor]:
        """The weighted terms by name; none if no identity is in both branches.

        Args:
            dense: (N, D) unit features and (N,) identities of the AlignPS branch; -1 takes no part.
            regions: the same of the RoI branch, another N.
            dense_oim: OIM of the AlignPS branch, for the identity predictions of Eq. 8; not changed here.
            region_oim: OIM of the RoI branch.
        """
        x, y = paired_means(regions, dense)
        if not len(x):
            return {}
        recipe, terms = self.recipe, {}
        if self.bound is not None:
            terms["mutual_information"] = recipe.information * self._information(self.bound, x, y)
        if recipe.divergence:
            identities = len(dense_oim.table)
            terms["mutual_divergence"] = recipe.divergence * divergence(dense_oim.logits(y), region_oim.logits(x), identities)
        if recipe.diversity:
            terms["mutual_diversity"] = recipe.diversity * diversity(x, y)
        return terms

    def _information(self, bound: InformationBound, x: Tensor, y: Tensor) -> Tensor:
        if torch.rand(()) < self.recipe.estimator_share:
            x, y = x.detach(), y.detach()
        shuffle = torch.randint(len(y), (len(y),)).to(y.device)  # with replacement, as the authors draw
        loss: Tensor = -bound(x, y, shuffle)
        return loss


def paired_means(first: tuple[Tensor, Tensor], second: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Unit mean features, (P, D) each, of the P identities that both sides have, in order of identity.

    Args:
        first: (N, D) features and (N,) identities; -1 takes no part.
        second: the same, another N.
    """
    common = torch.unique(first[1])
    common = common[(common >= 0) & torch.isin(common, second[1])]

    def means(features: Tensor, identities: Tensor) -> Tensor:
        # no division by the number of features: the row is normalised anyway
        return F.normalize((identities == common[:, None]).to(features.dtype) @ features)

    return means(*first), means(*second)


def divergence(dense_logits: Tensor, region_logits: Tensor, identities: int) -> Tensor:
    """KL(p^A || p^R) over the labelled identities, mean over P people.

    Args:
        dense_logits: (P, L + Q), of the AlignPS branch.
        region_logits: (P, L + Q), of the RoI branch.
        identities: L; the queues share the denominator only (Eq. 1), as they hold other people in each branch.

    Source: arXiv 2109.00211, Eq. 8.
    """
    log_a = dense_logits.log_softmax(dim=1)[:, :identities]
    log_r = region_logits.log_softmax(dim=1)[:, :identities]
    return (log_a.exp() * (log_a - log_r)).sum(dim=1).mean()


def diversity(x: Tensor, y: Tensor) -> Tensor:
    """The mean cosine of P pairs (P, D), to be made small. Source: arXiv 2109.00211, Eq. 9."""
    return F.cosine_similarity(x, y).mean()

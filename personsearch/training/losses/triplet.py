"""The triplet loss that aids OIM in AlignPS (TOIM)."""

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from personsearch.options import Settings

SHORTEST_SQUARED = 1e-12  # squared distances below it count as this: the root's gradient stays finite

TableRows = Literal["none", "once", "each"]
Mining = Literal["hard", "all"]


class TripletRecipe(Settings):
    """The numbers of the triplet loss; the defaults are the authors' code."""

    weight: float = Field(default=1.0, gt=0)
    margin: float = Field(default=0.3, ge=0)
    # "hard": each anchor's farthest positive and nearest negative (the code); "all": the mean over all triplets. Eq. 3 sums over
    # pairs without saying which are sampled.
    mining: Mining = "hard"
    # Rows of OIM's table among the candidates: one per identity ("once": the paper's sets X_m), one per feature ("each": the code),
    # or none (Table IV's plain triplet loss).
    table_rows: TableRows = "each"
    skip_identity_zero: bool = False  # the code compares ids with `> 0`, so that identity 0 has no row among the candidates


def triplet_aided(features: Tensor, identities: Tensor, table: Tensor, recipe: TripletRecipe) -> Tensor:
    """The weighted triplet loss over features and rows of the table, () float32.

    Args:
        features: (N, D) unit rows.
        identities: (N,) int64; negative ones take no part.
        table: (L, D), OIM's table before these features entered it; no gradient reaches it.
        recipe: margin, mining and weight.

    Source: arXiv 2109.00211, Sec. III-C, Eq. 3; daodaofr/AlignPS@5d62dbc (labeled_matching_layer_queue.py, triplet_loss.py).
    """
    labelled = identities >= 0
    features, identities = features[labelled].float(), identities[labelled]
    if recipe.table_rows != "none":
        from_table = torch.unique(identities) if recipe.table_rows == "once" else identities
        if recipe.skip_identity_zero:
            from_table = from_table[from_table > 0]
        features = torch.cat([features, table[from_table].detach().clone()])
        identities = torch.cat([identities, from_table])
    return recipe.weight * triplet_loss(features, identities, recipe.margin, recipe.mining)


def triplet_loss(features: Tensor, identities: Tensor, margin: float, mining: Mining) -> Tensor:
    """The mean of max(0, margin + D_pos - D_neg) over triplets; D is Euclidean. 0 with fewer than two identities.

    Args:
        features: (N, D).
        identities: (N,).
        margin: margin, in the unit of the distances.
        mining: "hard" takes one triplet per anchor, "all" every one (memory grows with N^3).
    """
    same = identities[:, None] == identities[None, :]
    if bool(same.all()):  # no people, or one identity
        return features.sum() * 0
    distances = pairwise_distances(features)
    if mining == "hard":
        farthest = distances.masked_fill(~same, -torch.inf).amax(dim=1)
        nearest = distances.masked_fill(same, torch.inf).amin(dim=1)
        return (margin + farthest - nearest).clamp(min=0).mean()
    positive = same & ~torch.eye(len(same), dtype=torch.bool, device=same.device)
    anchor, other = positive.nonzero(as_tuple=True)
    losses = (margin + distances[anchor, other, None] - distances[anchor]).clamp(min=0)
    chosen = losses[~same[anchor]]
    return chosen.sum() / max(1, len(chosen))


def pairwise_distances(features: Tensor) -> Tensor:
    """(N, N) Euclidean distances, at least 1e-6."""
    squares = (features * features).sum(dim=1)
    squared = squares[:, None] + squares[None, :] - 2 * features @ features.T
    return squared.clamp(min=SHORTEST_SQUARED).sqrt()

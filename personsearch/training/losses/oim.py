"""Online instance matching: the identity of a feature, among all labelled identities and the last unlabelled people."""

from typing import Literal, TypeAlias

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from personsearch.options import Settings

Average: TypeAlias = Literal["labelled", "all"]
EmptyRows: TypeAlias = Literal["zero", "masked"]

SHORTEST = 1e-12


class OIMRecipe(Settings):
    """The numbers of OIM; the defaults are NAE's and SeqNet's."""

    scale: float = Field(default=30.0, gt=0)  # 1 / temperature of the labelled identities
    queue_scale: float | None = Field(default=None, gt=0)  # of the queue; None: as the labelled
    queue_size: int = Field(default=5000, ge=0)
    queue_channels: int | None = Field(default=None, ge=1)  # only so many numbers of an unlabelled feature are kept (AlignPS's code: 64)
    momentum: float = Field(default=0.5, ge=0, lt=1)  # share of the old row when an identity is seen again
    unit_rows: bool = True  # rows of the table are normalised after each update (AlignPS's TriQueue heads: not)
    focal_gamma: float = Field(default=0.0, ge=0)  # factor (1 - p)^gamma (AlignPS: 2)
    # an identity's row before its first person: "zero" gives similarity 0; "masked" (GFN's code) -1, and 1 for the identity itself
    empty_rows: EmptyRows = "zero"
    average: Average = "labelled"  # over labelled features, or over all, unlabelled ones counting 0


class OIMLoss(nn.Module):
    """The loss, and its memory: a look-up table of identities and a circular queue of unlabelled people.

    In training mode every call first gives the loss against the memory as it is, then takes the features into it,
    in order: so the authors' backward passes do, and gradients never see their own update.

    Source: Xiao et al. (arXiv 1604.01850), Eq. 1-3; arXiv 2109.00211, Eq. 1-2, with the focal factor of its Sec. IV-A;
        serend1p1ty/SeqNet@edec285 (oim.py), daodaofr/AlignPS@5d62dbc (labeled_matching_layer_queue.py).
    """

    table: Tensor  # (L, D)
    queue: Tensor  # (Q, D)
    tail: Tensor  # () int64, row of the queue that is written next

    def __init__(self, identities: int, dim: int, recipe: OIMRecipe) -> None:
        super().__init__()
        self.recipe = recipe
        self.register_buffer("table", torch.zeros(identities, dim))
        self.register_buffer("queue", torch.zeros(recipe.queue_size, dim))
        self.register_buffer("tail", torch.zeros((), dtype=torch.int64))

    def forward(self, features: Tensor, identities: Tensor) -> Tensor:
        """The mean loss, () float32; 0 if all are unlabelled.

        Args:
            features: (N, D) unit rows.
            identities: (N,) int64, 0..L-1, or -1 for unlabelled people; no background.
        """
        logits = self.logits(features)
        if self.recipe.empty_rows == "masked":
            logits = self._without_empty_rows(logits, identities)
        loss = self.loss(logits, identities)
        if self.training:
            self.remember(features, identities)
        return loss

    def logits(self, features: Tensor) -> Tensor:
        """(N, L + Q) similarities to the memory over the temperature; before softmax (Eq. 1)."""
        recipe = self.recipe
        queue_scale = recipe.scale if recipe.queue_scale is None else recipe.queue_scale
        # scaling copies the memory, so that backward finds it as it was although `remember` writes in place
        memory = torch.cat([self.table * recipe.scale, self.queue * queue_scale])
        with torch.autocast(features.device.type, enabled=False):
            return F.linear(features.to(memory.dtype), memory)

    def _without_empty_rows(self, logits: Tensor, identities: Tensor) -> Tensor:
        """(N, L + Q) logits as if an empty row were opposite to every feature, but equal to the feature of its identity.

        Source: LukeJaffe/GFN@72e8d9e (oim_loss.py).
        """
        empty = torch.cat([self.table, self.queue]).eq(0).all(dim=1)
        scale = logits.new_full((len(empty),), self.recipe.scale)
        if self.recipe.queue_scale is not None:
            scale[len(self.table) :] = self.recipe.queue_scale
        own = identities[:, None] == torch.arange(len(empty), device=identities.device)
        return torch.where(empty, torch.where(own, scale, -scale), logits)

    def loss(self, logits: Tensor, identities: Tensor) -> Tensor:
        """The mean of -(1 - p)^gamma log p of the true identities, where p is the softmax of (N, L + Q) logits."""
        labelled = identities >= 0
        log_p = logits[labelled].log_softmax(dim=1).gather(1, identities[labelled, None])[:, 0]
        losses = -log_p
        if self.recipe.focal_gamma:
            losses = losses * (1 - log_p.exp()) ** self.recipe.focal_gamma
        count = len(identities) if self.recipe.average == "all" else len(log_p)
        return losses.sum() / max(1, count)

    @torch.no_grad()
    def remember(self, features: Tensor, identities: Tensor) -> None:
        """Take the features into the memory, in the order in which they come."""
        rows = features.detach().to(self.table.dtype)
        labelled = identities >= 0
        self._update_table(rows[labelled], identities[labelled])
        self._push(rows[~labelled])

    def _update_table(self, features: Tensor, identities: Tensor) -> None:
        # Sightings of one identity must follow each other; different identities may go at once.
        order = identities.argsort(stable=True)
        identities, features = identities[order], features[order]
        sighting = torch.arange(len(order), device=order.device) - torch.searchsorted(identities, identities)
        for number in range(int(sighting.max()) + 1 if len(order) else 0):
            now = sighting == number
            momentum = self.recipe.momentum
            rows = momentum * self.table[identities[now]] + (1 - momentum) * features[now]
            self.table[identities[now]] = F.normalize(rows, eps=SHORTEST) if self.recipe.unit_rows else rows

    def _push(self, features: Tensor) -> None:
        size, count = len(self.queue), len(features)
        if not size or not count:
            return
        rows = (self.tail + torch.arange(count, device=features.device)) % size
        channels = self.recipe.queue_channels
        self.queue[rows[-size:], :channels] = features[-size:, :channels]
        self.tail.copy_((self.tail + count) % size)

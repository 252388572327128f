"""What GFN learns from: a person's embedding lets through alike the scenes that show the person, and others not.

Source: Jaffe and Zakhor, Gallery Filter Network for Person Search (WACV 2023, arXiv 2210.12903), Sec. 3; LukeJaffe/GFN@72e8d9e (gfn.py:
mode "combined", queries "batch"), which decides where the paper leaves a choice.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from personsearch.options import Settings


class SceneFilterRecipe(Settings):
    """The numbers of GFN's loss; the defaults are the authors'."""

    temperature: float = Field(default=0.1, gt=0)  # cosines are divided by it
    sure_negatives: bool = True  # a scene that shows someone of an unlabelled person's scene is not a negative: the person may be there too
    with_person: int = Field(default=1, ge=0)  # number of remembered scenes to each drawn identity that show the person
    without_person: int = Field(default=1, ge=0)  # number of remembered scenes that show others of the person's scene, but not the person


@dataclass(frozen=True)
class ScenePeople:
    """Scenes and the people in them."""

    scenes: Tensor  # (I, D) rows of whole scenes
    rows: Tensor  # (Q, D) rows of people
    scene_of: Tensor  # (Q,) int64, the person's scene, ascending
    identities: Tensor  # (Q,) int64, -1 unlabelled

    @classmethod
    def of(cls, scenes: Tensor, rows: Tensor, identities: Iterable[Tensor]) -> "ScenePeople":
        """The people of I scenes.

        Args:
            scenes: (I, D).
            rows: (Q, D), scene by scene.
            identities: (Q_i,) of each scene.
        """
        names = list(identities)
        counts = torch.tensor([len(one) for one in names], device=rows.device)
        return cls(scenes, rows, torch.arange(len(names), device=rows.device).repeat_interleave(counts), torch.cat(names))

    def after(self, others: "ScenePeople") -> "ScenePeople":
        """`others`, then these."""
        return ScenePeople(
            torch.cat([others.scenes, self.scenes]),
            torch.cat([others.rows, self.rows]),
            torch.cat([others.scene_of, self.scene_of + len(others.scenes)]),
            torch.cat([others.identities, self.identities]),
        )

    def shown(self) -> Tensor:
        """(I, Q) bool, whether a scene shows a person; of an unlabelled person only the own scene is known to."""
        scenes = torch.arange(len(self.scenes), device=self.scene_of.device)
        own = self.scene_of[None] == scenes[:, None]
        same = (self.identities[:, None] == self.identities[None]) & (self.identities >= 0)
        return own | ((own.float() @ same.float()) > 0)

    def negatives(self, recipe: SceneFilterRecipe) -> Tensor:
        """(I, Q) bool, whether a scene is an example of one without the person."""
        shown = self.shown()
        if not recipe.sure_negatives:
            return ~shown
        own = F.one_hot(self.scene_of, len(self.scenes)).T.float()  # (I, Q)
        related = (shown.float() @ own.T) > 0  # (I, I): one shows somebody of the other
        return ~shown & (~related[:, self.scene_of] | (self.identities >= 0))


def scene_loss(fuse: Callable[[Tensor, Tensor], Tensor], people: ScenePeople, recipe: SceneFilterRecipe) -> Tensor:
    """The contrastive loss, () float32: the mean over pairs of a person and a scene that shows the person, the own scene among them.

    A pair's loss is the cross-entropy of its cosine, over the temperature, among those of the person's negatives. The anchor is what the
    person lets through of the own scene. Where a person has no negatives, a pair counts 0.

    Args:
        fuse: Function of (I, D) scenes and (Q, D) people to (I, Q, D), what each person lets through of each scene.
        people: Scenes and people.
        recipe: Temperature and choice of negatives.
    """
    fused = F.normalize(fuse(people.scenes, people.rows).float(), dim=2)
    anchors = fused[people.scene_of, torch.arange(len(people.rows), device=fused.device)]
    logits = torch.einsum("qd,iqd->iq", anchors, fused) / recipe.temperature
    shown, negatives = people.shown(), people.negatives(recipe)
    some = negatives.any(dim=0)  # the others have a loss of 0, and a logarithm of 0 would have no gradient
    against = logits[:, some].masked_fill(~negatives[:, some], -torch.inf).logsumexp(dim=0)
    losses = F.softplus(against[None] - logits[:, some])[shown[:, some]]
    return losses.sum() / shown.sum().clamp(min=1)


class SceneMemory(nn.Module):
    """The rows of every training picture's last visit, from which a batch gets pictures that show its people and others.

    It is part of a training's state: 8 KB a scene and a person, half a gigabyte for CUHK-SYSU.
    """

    def __init__(self) -> None:
        super().__init__()
        self.pictures: dict[int, tuple[Tensor, Tensor, Tensor]] = {}  # number -> (1, D) scene, (Q, D) people, (Q,) identities

    def get_extra_state(self) -> dict[int, tuple[Tensor, Tensor, Tensor]]:
        """The memory, for the state of a training."""
        return self.pictures

    def set_extra_state(self, state: Any) -> None:
        """Take the memory of a training's state."""
        self.pictures = dict(state)

    def draw(self, pictures: list[int], identities: list[Tensor], recipe: SceneFilterRecipe) -> list[int]:
        """Remembered pictures for a batch, by torch's random numbers.

        As many identities of the batch are drawn as it has pictures. For each, a random picture that shows the person is taken, and one
        that does not, but shows someone else of a picture of the batch with the person.

        Args:
            pictures: Numbers of the batch's pictures, which are not taken.
            identities: (Q_i,) of each.
            recipe: Number of pictures to an identity.
        """
        batch = [set(names[names >= 0].tolist()) for names in identities]
        known = sorted(set().union(*batch))
        order = [list(self.pictures)[i] for i in torch.randperm(len(self.pictures)).tolist()]
        shown = {number: set(self.pictures[number][2].tolist()) - {-1} for number in order if number not in pictures}
        chosen: list[int] = []
        for i in torch.randperm(len(known)).tolist()[: len(pictures)]:
            person = known[i]
            beside = next(names for names in batch if person in names)
            chosen += [number for number, names in shown.items() if person in names][: recipe.with_person]
            shown = {number: names for number, names in shown.items() if number not in chosen}
            chosen += [number for number, names in shown.items() if person not in names and names & beside][: recipe.without_person]
            shown = {number: names for number, names in shown.items() if number not in chosen}
        return chosen

    def people(self, pictures: list[int], device: torch.device) -> ScenePeople:
        """The remembered rows of one picture or more.

        Raises:
            ValueError: `pictures` is empty.
        """
        scenes, rows, names = zip(*(self.pictures[number] for number in pictures), strict=True)
        return ScenePeople.of(torch.cat(scenes).to(device), torch.cat(rows).to(device), [one.to(device) for one in names])

    @torch.no_grad()
    def remember(self, pictures: list[int], people: ScenePeople) -> None:
        """Take the rows of a batch; pictures without people are not remembered."""
        for i, number in enumerate(pictures):
            here = people.scene_of == i
            if here.any():
                rows = people.scenes[i : i + 1], people.rows[here], people.identities[here]
                scene, crowd, names = (one.detach().cpu().clone() for one in rows)
                self.pictures[number] = scene, crowd, names

"""The data of the hybrid pre-training: sets for detection and sets of crops as one, and two views of every picture.

Source: "Divide and Conquer: Hybrid Pre-training for Person Search" (arXiv 2312.07970), Method.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from pydantic import model_validator
from torch import Tensor

from personsearch.errors import ConfigError
from personsearch.options import Settings
from personsearch.training.data.batches import AugmentRecipe, Draw, Prepare, TrainBatch, TrainItem, TrainItems, collate
from personsearch.training.data.dataset import JoinedPeople, PeopleDataset
from personsearch.training.data.readers import NamedFolders, is_crops, read_crops, read_pictures
from personsearch.training.data.unify import UnifyRecipe, unify
from personsearch.training.losses.alignment import AlignmentRecipe
from personsearch.training.losses.simsiam import ContrastRecipe


class PretrainingRecipe(Settings):
    """What a pre-training learns from, and by which losses.

    The defaults are the paper's five sets: 15,000 pictures of CrowdHuman, 21,795 of EuroCity by day, 32,621 crops of MSMT17 (train and
    val), 7,368 of CUHK03 (labelled boxes) and 30,000 of LUPerson are its 106,784.
    """

    detection: tuple[str, ...] = ("crowdhuman", "eurocity")  # readers of whole pictures; their identities are not used
    reid: tuple[str, ...] = ("msmt17", "cuhk03", "luperson-30k")  # readers of crops
    unify: UnifyRecipe = UnifyRecipe()
    contrast: ContrastRecipe | None = ContrastRecipe()  # None: supervised alone
    alignment: AlignmentRecipe | None = AlignmentRecipe()  # None: no alignment (Fig. 6)

    @model_validator(mode="after")
    def _sets(self) -> "PretrainingRecipe":
        if not self.detection and not self.reid:
            raise ValueError("detection and reid are empty; name a data set")
        for name, crops in [*((name, False) for name in self.detection), *((name, True) for name in self.reid)]:
            if is_crops(name) != crops:
                raise ValueError(f"{name} holds {'whole pictures' if crops else 'crops'}; move it to the other list")
        return self


@dataclass(frozen=True)
class SubTask:
    """One data set of the pre-training."""

    people: PeopleDataset
    crops: bool  # a set for re-identification; else for detection
    named: bool  # whether it says who people are


class SubTaskPeople(JoinedPeople):
    """The sets of a pre-training in a row, in the recipe's order."""

    def __init__(self, sets: Sequence[SubTask]) -> None:
        super().__init__([one.people for one in sets])
        self.sets = tuple(sets)

    def set_of(self, index: int) -> int:
        """The number of the set that picture `index` is from."""
        return int(np.searchsorted(self._starts, index, side="right")) - 1


def read_sub_tasks(recipe: PretrainingRecipe, roots: NamedFolders) -> SubTaskPeople:
    """The data sets of a recipe, each read from its folder.

    Every person of a set for detection and of an unlabelled one is an identity of its own.

    Raises:
        ConfigError: the names differ from the recipe's.
        DataError: a data set is missing or broken; the message says what to download.
    """
    expected, names = [*recipe.detection, *recipe.reid], [name for name, _ in roots]
    if sorted(expected) != sorted(names):
        raise ConfigError(f"the recipe learns from {', '.join(expected)}; got {', '.join(names) or 'none'}; pass each with its folder")
    folders: dict[str, list[Path]] = {name: [root for other, root in roots if other == name] for name in expected}
    return SubTaskPeople([_sub_task(name, folders[name].pop(0)) for name in expected])


def _sub_task(name: str, root: Path) -> SubTask:
    if not is_crops(name):
        return SubTask(read_pictures(name, root, individuals=True), crops=False, named=False)
    crops = read_crops(name, root)
    return SubTask(crops, crops=True, named=crops.named)


@dataclass(frozen=True)
class PairItem(TrainItem):
    """One view of a picture, and the other; person k of both is the same."""

    other: TrainItem
    data_set: int  # its number, see `SubTaskPeople`
    named: bool


@dataclass(frozen=True)
class PairBatch(TrainBatch):
    """B pictures as 2B images: one view of each, then the other of each."""

    sets: Tensor  # (2B,) int64, the number of each image's data set
    named: Tensor  # (2B,) bool, whether that set says who people are

    def to(self, device: torch.device) -> "PairBatch":
        """The same on a device."""
        return PairBatch(**vars(super().to(device)), sets=self.sets.to(device), named=self.named.to(device))


class PairItems(TrainItems):
    """Pictures unified, then seen twice. The paper draws both views of a unified picture, so a crop has one canvas in both."""

    def __init__(self, dataset: SubTaskPeople, prepare: Prepare, recipe: AugmentRecipe, seed: int, unification: UnifyRecipe) -> None:
        super().__init__(dataset, prepare, recipe, seed)
        self.people, self.unification = dataset, unification

    def __getitem__(self, draw: Draw) -> PairItem:
        """Both views of a draw (epoch, number)."""
        epoch, number = draw
        rng = np.random.default_rng([self.seed, epoch, number])
        set_number, sample = self.people.set_of(number), self.people[number]
        sub_task = self.people.sets[set_number]
        if sub_task.crops:
            sample = unify(sample, self.unification, rng)
        first, other = self.item(sample, rng), self.item(sample, rng)
        return PairItem(**vars(first), other=other, data_set=set_number, named=sub_task.named)

    def batch(self, items: Sequence[TrainItem]) -> PairBatch:
        """A batch of `PairItem`s."""
        pairs = [item for item in items if isinstance(item, PairItem)]
        views = collate([*pairs, *(item.other for item in pairs)])
        sets = torch.tensor([item.data_set for item in pairs] * 2)
        return PairBatch(**vars(views), sets=sets, named=torch.tensor([item.named for item in pairs] * 2))

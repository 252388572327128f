"""From a data set to batches: augmentation with exact boxes, the network's own preprocessing, padding; all of it repeatable."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from personsearch.boxes import Array
from personsearch.images import opencv
from personsearch.models.scene import SceneBatch, SceneInput
from personsearch.options import Settings
from personsearch.training.data.dataset import PeopleDataset, Sample

cv2 = opencv()

Prepare = Callable[[Array, int, int], SceneInput]  # (RGB uint8 image, short side, long side) -> a network's input
LastBatch = Literal["short", "drop", "fill"]
Draw = tuple[int, int]  # (epoch, picture): what decides all of a picture's randomness


class AugmentRecipe(Settings):
    """How pictures change from epoch to epoch."""

    sizes: tuple[tuple[int, int], ...] = Field(default=((900, 1500),), min_length=1)  # (short side, long side), one is drawn
    flip: float = Field(default=0.5, ge=0, le=1)  # share of mirrored pictures
    brightness: float = Field(default=0.0, ge=0, lt=1)  # pixels times 1 +- so much
    contrast: float = Field(default=0.0, ge=0, lt=1)  # the same around the picture's mean


@dataclass(frozen=True)
class TrainBatch:
    """Images of one padded shape, and everybody in them."""

    scenes: SceneBatch
    boxes: list[Tensor]  # (N, 4) float32 of each image, xyxy pixels of the resized image
    identities: list[Tensor]  # (N,) int64, -1 unlabelled
    pictures: list[int] | None = field(default=None, kw_only=True)  # number of each image in the data set; None: not known

    def to(self, device: torch.device) -> "TrainBatch":
        """The same on a device."""
        scenes = SceneBatch(self.scenes.pixels.to(device), self.scenes.resized, self.scenes.original)
        return TrainBatch(
            scenes, [one.to(device) for one in self.boxes], [one.to(device) for one in self.identities], pictures=self.pictures
        )


@dataclass(frozen=True)
class TrainItem:
    """One image as a network takes it, and everybody in it."""

    scene: SceneInput
    boxes: Tensor  # (N, 4) xyxy pixels of the resized image
    identities: Tensor  # (N,)
    picture: int | None = field(default=None, kw_only=True)  # number in the data set; None outside of one


class TrainItems(torch.utils.data.Dataset[TrainItem]):
    """A data set's pictures augmented and prepared; what is drawn for (epoch, picture) depends on these two and the seed alone."""

    def __init__(self, dataset: PeopleDataset, prepare: Prepare, recipe: AugmentRecipe, seed: int) -> None:
        self.dataset, self.prepare, self.recipe, self.seed = dataset, prepare, recipe, seed

    def __getitem__(self, draw: Draw) -> TrainItem:
        """The picture of a draw (epoch, number)."""
        epoch, number = draw
        return replace(self.item(self.dataset[number], np.random.default_rng([self.seed, epoch, number])), picture=number)

    def item(self, sample: Sample, rng: np.random.Generator) -> TrainItem:
        """The sample augmented and prepared."""
        sample = augment(sample, self.recipe, rng)
        short, long = self.recipe.sizes[int(rng.integers(len(self.recipe.sizes)))]
        scene = self.prepare(sample.image, short, long)
        scale = np.array([scene.resized[1] / scene.original[1], scene.resized[0] / scene.original[0]] * 2, np.float32)
        return TrainItem(scene, torch.from_numpy(sample.boxes * scale), torch.from_numpy(sample.identities))

    def batch(self, items: Sequence[TrainItem]) -> TrainBatch:
        """A batch of items (see `collate`)."""
        return collate(items)


def augment(sample: Sample, recipe: AugmentRecipe, rng: np.random.Generator) -> Sample:
    """The sample in other light, and perhaps mirrored, with its boxes."""
    image, boxes = sample.image, sample.boxes
    gain, spread = (1 + limit * rng.uniform(-1, 1) for limit in (recipe.brightness, recipe.contrast))
    if recipe.brightness or recipe.contrast:
        mean = float(image.mean())
        levels = gain * (mean + spread * (np.arange(256) - mean))
        image = cv2.LUT(image, levels.round().clip(0, 255).astype(np.uint8))
    if rng.random() < recipe.flip:
        width = image.shape[1]
        image = np.ascontiguousarray(image[:, ::-1])
        boxes = np.stack([width - boxes[:, 2], boxes[:, 1], width - boxes[:, 0], boxes[:, 3]], axis=1)
    return Sample(image, boxes, sample.identities, sample.camera)


def collate(items: Sequence[TrainItem]) -> TrainBatch:
    """A batch; smaller images are padded with zeros, right and bottom, to the largest."""
    height = max(item.scene.pixels.shape[1] for item in items)
    width = max(item.scene.pixels.shape[2] for item in items)

    def padded(pixels: Tensor) -> Tensor:
        return F.pad(pixels, (0, width - pixels.shape[2], 0, height - pixels.shape[1]))

    pixels = torch.stack([padded(item.scene.pixels) for item in items])
    scenes = SceneBatch(pixels, [item.scene.resized for item in items], [item.scene.original for item in items])
    numbers = [item.picture for item in items if item.picture is not None]
    return TrainBatch(
        scenes,
        [item.boxes for item in items],
        [item.identities for item in items],
        pictures=numbers if len(numbers) == len(items) else None,
    )


def epoch_batches(
    pictures: int, batch_size: int, seed: int, epoch: int, *, last: LastBatch = "short", groups: Sequence[Array] | None = None
) -> list[list[Draw]]:
    """The batches of one epoch: every picture once, in an order of that epoch.

    Args:
        pictures: Number of pictures.
        batch_size: Pictures of a batch.
        seed: Seed of the order, with the epoch.
        epoch: Number of the epoch, from 0.
        last: What becomes of a batch that the pictures do not fill: it stays "short", is left out ("drop", unless it is the only one), or
            takes further pictures at random ("fill").
        groups: Numbers of the pictures of each group; a batch has pictures of one group. None: one group.
    """
    rng = np.random.default_rng([seed, epoch])
    orders = [rng.permutation(pictures)] if groups is None else [rng.permutation(group) for group in groups if len(group)]
    batches: list[list[Draw]] = []
    for order in orders:
        missing = -len(order) % batch_size
        if last == "drop" and missing and len(order) > batch_size:
            order = order[: len(order) + missing - batch_size]
        elif last == "fill" and missing:
            order = np.concatenate([order, rng.choice(order, missing)])
        numbers = order.tolist()
        batches += [[(epoch, number) for number in numbers[start : start + batch_size]] for start in range(0, len(numbers), batch_size)]
    return batches if groups is None else [batches[i] for i in rng.permutation(len(batches))]


class Loading:
    """Batches of items in a given order, decoded in worker processes if asked for."""

    def __init__(self, items: TrainItems, workers: int) -> None:
        self.items, self.workers = items, workers

    def __call__(self, batches: list[list[Draw]]) -> Iterator[TrainBatch]:
        """One batch after the other."""
        return iter(
            torch.utils.data.DataLoader(
                self.items,
                batch_sampler=batches,
                collate_fn=self.items.batch,
                num_workers=self.workers,
                multiprocessing_context="spawn" if self.workers else None,
            )
        )

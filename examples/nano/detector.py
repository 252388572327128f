"""The detector of the bundled models: learned from random weights, as a student of the detector before it and of labels.

`python -m examples.nano.detector --scenes DIR --photos FILE --teacher MODEL --out DIR --phase stages`, then another `--out` with
`--phase whole --before` the first; each run again to go on. In the first phase each stage sees the teacher's maps and learns the
next one; in the second the whole network learns the teacher's cells, corrected by labels.
"""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from torch import Tensor

import personsearch
from examples.nano.command import run
from examples.nano.detector_losses import cells_like, losses_of
from examples.nano.imitation import distance, match_scales, stage_losses, student, taught_maps, whole
from examples.nano.loop import Learner, Schedule, train
from examples.nano.pictures import Picture, TrainView, listed, mosaic, rendered, view
from personsearch.models.nano.detector import CellPredictions, NanoNetwork, pixels_of
from personsearch.models.nano.model import read_networks
from personsearch.models.nano.options import NanoOptions

OPTIONS = NanoOptions(activation="relu")
RATE = 3e-3
MOSAICS = 0.35  # of the photographs' views
VIEWS = 800  # of the first phase
MAPS = 0.5  # weight of the maps in the second phase


class Phase(StrEnum):
    """What a training does."""

    STAGES = "stages"
    WHOLE = "whole"


BATCH = {Phase.STAGES: (1, 3, 256), Phase.WHOLE: (1, 3, 256)}  # scenes, photographs, side of a view


class DetectorLearner(Learner):
    """The detector and its teacher.

    Args:
        scenes: Rendered pictures; may be empty.
        photos: Photographs.
        teacher: The detector before.
        phase: What it does.
        seed: Of all that is drawn.
    """

    network: NanoNetwork

    def __init__(self, scenes: list[Picture], photos: list[Picture], teacher: NanoNetwork, phase: Phase, *, seed: int = 1) -> None:
        super().__init__()
        self.scenes, self.photos, self.phase, self.seed = scenes, photos, phase, seed
        self.network = student(OPTIONS).to(memory_format=torch.channels_last)
        self.teacher = (teacher.to(memory_format=torch.channels_last).eval().requires_grad_(False),)  # in a tuple: no part of the state
        self.kept: dict[int, list[Tensor]] = {}
        stages, neck, _ = taught_maps(self.teacher[0], pixels_of_views(self.views(0)))
        match_scales(self.network, stages, neck)

    def views(self, step: int) -> list[TrainView]:
        """The batch of a step."""
        rng = np.random.default_rng((self.seed, step))
        scenes, photos, side = BATCH[self.phase]
        if not self.scenes:
            scenes, photos = 0, scenes + photos
        views = [view(self.scenes[rng.integers(len(self.scenes))], rng, side) for _ in range(scenes)]
        for _ in range(photos):
            count = 4 if rng.random() < MOSAICS else 1
            chosen = [self.photos[i] for i in rng.integers(len(self.photos), size=count)]
            views.append(mosaic(chosen, rng, side) if count > 1 else view(chosen[0], rng, side))
        return views

    def losses(self, step: int) -> dict[str, Tensor]:
        """Of a batch: `maps`, `score` and `box`; in the first phase `maps` is one for each stage."""
        if self.phase == Phase.STAGES:
            numbers = np.random.default_rng((self.seed, step)).integers(VIEWS, size=sum(BATCH[self.phase][:2]))
            parts = [self._taught(int(number)) for number in numbers]
            pixels, *maps = (
                torch.cat(tensors).float().contiguous(memory_format=torch.channels_last)
                for tensors in zip(*(part[:9] for part in parts), strict=True)
            )
            taught = CellPredictions(*(torch.cat(tensors) for tensors in zip(*(part[9:] for part in parts), strict=True)))
            losses = stage_losses(self.network, pixels, maps[:5], maps[5:])
            return losses | cells_like(self.network.of_maps(maps[5:]), taught)
        views = self.views(step)
        pixels = pixels_of_views(views)
        stages, neck, taught = taught_maps(self.teacher[0], pixels)
        our_stages, our_neck, cells = whole(self.network, pixels)
        return {"maps": MAPS * distance(our_stages + our_neck, stages[2:] + neck)} | losses_of(cells, taught, views)

    def _taught(self, number: int) -> list[Tensor]:
        """Pixels, eight maps, logits and boxes of one view; kept, because the first phase draws from few views."""
        if number not in self.kept:
            pixels = pixels_of_views([self.views(number)[number % sum(BATCH[self.phase][:2])]])
            stages, neck, cells = taught_maps(self.teacher[0], pixels)
            self.kept[number] = [pixels.byte(), *(one.half() for one in stages + neck), cells.logits, cells.boxes]
        return self.kept[number]


def pixels_of_views(views: list[TrainView]) -> Tensor:
    """(B, 3, H, W) as the network takes them."""
    return pixels_of(torch.stack([torch.from_numpy(np.ascontiguousarray(one.canvas)) for one in views]))


def main(
    photos: Annotated[Path, typer.Option(help="photos.json of `examples.nano.pack`.")],
    teacher: Annotated[Path, typer.Option(help="Model folder whose detector is the teacher.")],
    out: Annotated[Path, typer.Option(help="Folder for state and log; a state that is there is gone on with.")],
    phase: Phase,
    scenes: Annotated[Path | None, typer.Option(help="Folder that `personsearch.synthetic` wrote.")] = None,
    before: Annotated[Path | None, typer.Option(help="Folder of the training whose weights this one starts from.")] = None,
    steps: int = 3000,
    rate: float = RATE,
    average: Annotated[float, typer.Option(min=0, max=1, help="Of the running mean: what a step keeps.")] = 0.996,
    cool: Annotated[int, typer.Option(min=0, help="Last steps, in which the rate sinks to nothing.")] = 0,
) -> None:
    """Train the detector."""
    personsearch.keep_freed_memory()
    torch.set_num_threads(1)
    torch.manual_seed(1)
    learner = DetectorLearner(rendered(scenes) if scenes else [], listed(photos), read_networks(teacher)[1], phase)
    train(learner, out, Schedule(steps, rate, cool=cool, average=average, clip=10.0, save_every=100), before=before)


if __name__ == "__main__":
    run(main)

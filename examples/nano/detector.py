"""The detector of the bundled models: backbone and neck learned from random weights, as a student of the detector before it.

`python -m examples.nano.detector --scenes DIR --photos FILE --teacher MODEL --out DIR --phase stages`, then another `--out` with
`--phase whole --before` the first; each run again to go on. In the first phase each stage sees the teacher's maps and learns the
next one; in the second each sees what ours before it make. The heads begin as those of the detector before, which learned here.
"""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from torch import Tensor

import personsearch
from examples.nano.command import run
from examples.nano.detector_losses import cells_like
from examples.nano.imitation import match_scales, neck_losses, read, stage_losses, stages_of, student, taught_maps
from examples.nano.loop import Learner, Schedule, train
from examples.nano.muon import MuonAdam
from examples.nano.pictures import Picture, listed, mosaic, rendered, view
from personsearch.boxes import Array
from personsearch.models.nano.detector import CellPredictions, NanoNetwork, pixels_of
from personsearch.models.nano.model import read_networks
from personsearch.models.nano.options import NanoOptions

OPTIONS = NanoOptions(activation="hardswish")
MOSAICS, SCENES = 0.25, 0.2  # of the views; of the pieces
SHAPES = ((6, 256, 256), (6, 256, 256), (3, 352, 352), (4, 320, 256), (2, 448, 608))  # of the batches in turn: views, height, width
FRONT_EVERY = 3  # steps of the first phase: the first stage has most pixels and learns fastest
CELLS = 5.0  # weight of the teacher's scores and boxes in the second phase
RATES = {"front": 0.0, "middle": 0.35, "deep": 1.0, "heads": 0.3}  # of the second phase, over the rate


class Phase(StrEnum):
    """What a training does."""

    STAGES = "stages"
    WHOLE = "whole"


RATE = {Phase.STAGES: 3e-3, Phase.WHOLE: 7e-4}
MATRICES = 6.0  # rate of the convolutions' matrices over that of all else
DECAY = 0.3  # of these matrices


class DetectorLearner(Learner):
    """The detector and its teacher.

    Args:
        scenes: Rendered pictures; may be empty.
        photos: Photographs.
        teacher: The detector before.
        phase: What it does.
        seed: Seed of all that is drawn.
    """

    network: NanoNetwork

    def __init__(self, scenes: list[Picture], photos: list[Picture], teacher: NanoNetwork, phase: Phase, *, seed: int = 1) -> None:
        super().__init__()
        self.scenes, self.photos, self.phase, self.seed = scenes, photos, phase, seed
        self.network = student(OPTIONS).to(memory_format=torch.channels_last)
        self.network.heads.load_state_dict(teacher.heads.state_dict())
        self.teacher = (teacher.to(memory_format=torch.channels_last).eval().requires_grad_(False),)  # in a tuple: no part of the state
        stages, neck, _ = taught_maps(self.teacher[0], self.pixels(0))
        match_scales(self.network, stages, neck)

    def train(self, mode: bool = True) -> "DetectorLearner":
        """Set the mode; what stays as it is in the second phase stays in eval mode."""
        super().train(mode)
        if self.phase == Phase.WHOLE:
            self.network.backbone.stem.eval()
            self.network.backbone.stage2.eval()
        return self

    def groups(self, rate: float) -> list[dict[str, Any]]:
        """Matrices and all else of each part of the network."""
        groups: dict[tuple[str, bool], dict[str, Any]] = {}
        for name, tensor in self.network.named_parameters():
            part = part_of(name)
            factor = {"front": 1.0, "middle": 1.0, "deep": 1.0, "heads": 0.1} if self.phase == Phase.STAGES else RATES
            matrices = part != "heads" and tensor.ndim == 4 and tensor.shape[1] > 1
            values = {"lr": rate * factor[part] * (MATRICES if matrices else 1.0), "matrices": matrices}
            group = groups.setdefault((part, matrices), {"params": [], **values, **({"weight_decay": DECAY} if matrices else {})})
            group["params"].append(tensor)
        return list(groups.values())

    def optimizer(self, rate: float, decay: float) -> torch.optim.Optimizer:
        """Adam, and Muon for the matrices."""
        return MuonAdam(self.groups(rate), weight_decay=decay, betas=(0.9, 0.99))

    def pixels(self, step: int) -> Tensor:
        """The batch of a step, (B, 3, H, W)."""
        rng = np.random.default_rng((self.seed, step))
        count, *size = SHAPES[step % len(SHAPES)]
        return pixels_of(torch.from_numpy(np.stack([self._view(rng, (size[0], size[1])) for _ in range(count)])))

    def _view(self, rng: np.random.Generator, size: tuple[int, int]) -> Array:
        def picture() -> Picture:
            pictures = self.scenes if self.scenes and rng.random() < SCENES else self.photos
            return pictures[rng.integers(len(pictures))]

        return mosaic([picture() for _ in range(4)], rng, size) if rng.random() < MOSAICS else view(picture(), rng, size)

    def losses(self, step: int) -> dict[str, Tensor]:
        """Of the maps of each stage and of the neck; `read`: what the neck reads of the deepest; `score` and `box` of the cells."""
        pixels = self.pixels(step)
        backbone = self.network.backbone
        stages = stages_of(backbone)
        with torch.autocast("cpu", torch.bfloat16):
            taught, taught_neck, taught_cells = taught_maps(self.teacher[0], pixels)
            if self.phase == Phase.STAGES:
                first = 2 if step % FRONT_EVERY == 0 else 3
                ours = [stage(before) for stage, before in zip(stages, [pixels, *taught[:3]], strict=True)][first - 2 :]
                neck = backbone.neck(taught[1:])
            else:
                first = 3
                with torch.no_grad():
                    x = stages[0](pixels)
                ours = [x := stage(x) for stage in stages[1:]]
                neck = backbone.neck(ours)
            cells = self.network.of_maps(neck)
        scores = taught_cells.logits.float().sigmoid()
        losses = stage_losses(ours, taught[first - 2 :], first) | neck_losses(neck, taught_neck, scores)
        losses["read"] = read(self.teacher[0], ours[-1], taught[-1])
        alike = cells_like(*(CellPredictions(one.logits.float(), one.boxes.float()) for one in (cells, taught_cells)))
        return losses | {name: loss if self.phase == Phase.STAGES else CELLS * loss for name, loss in alike.items()}


def part_of(name: str) -> str:
    """The part of the network whose rate a tensor has: "front", "middle", "deep" or "heads"."""
    if name.startswith("heads"):
        return "heads"
    stage = name.split(".")[1]
    if stage in ("stem", "stage2"):
        return "front"
    return "middle" if stage in ("stage3", "stage4") else "deep"


def main(
    photos: Annotated[Path, typer.Option(help="photos.json of `examples.nano.pack`.")],
    teacher: Annotated[Path, typer.Option(help="Model folder whose detector is the teacher; its heads are the start of ours.")],
    out: Annotated[Path, typer.Option(help="Folder for state and log; a state that is there is gone on with.")],
    phase: Phase,
    scenes: Annotated[Path | None, typer.Option(help="Folder that `personsearch.synthetic` wrote.")] = None,
    before: Annotated[Path | None, typer.Option(help="Folder of the training whose weights this one starts from.")] = None,
    steps: int = 2500,
    rate: Annotated[float | None, typer.Option(help="Learning rate; each phase has its own.")] = None,
    average: Annotated[float, typer.Option(min=0, max=1, help="Of the running mean: what a step keeps.")] = 0.998,
    cool: Annotated[int, typer.Option(min=0, help="Last steps, in which the rate sinks to nothing.")] = 1500,
) -> None:
    """Train the detector."""
    personsearch.keep_freed_memory()
    torch.set_num_threads(1)
    torch.manual_seed(1)
    learner = DetectorLearner(rendered(scenes) if scenes else [], listed(photos), read_networks(teacher)[1], phase)
    train(learner, out, Schedule(steps, rate or RATE[phase], cool=cool, average=average, clip=10.0, save_every=100), before=before)


if __name__ == "__main__":
    run(main)

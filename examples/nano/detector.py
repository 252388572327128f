"""The detector of the bundled models: backbone and neck learned from random weights, as a student of the detector before it.

`python -m examples.nano.detector stages --photos FILE --scenes DIR --teacher MODEL --out DIR`, then `deepest` and `whole`, each with
`--before` (the folder of the phase before it) and an `--out` of its own. A phase that was stopped resumes when it is run again.

* `stages`: each stage and the neck learn what the teacher's make of the teacher's maps.
* `deepest`: the fifth stage, which has the fewest cells to learn from, learns from many pictures at once.
* `whole`: the network learns in sequence, each part from the maps of our part before it.

The heads begin as those of the detector before, which learned here.
"""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from torch import Tensor, nn

import personsearch
from examples.nano.command import run
from examples.nano.detector_losses import cells_like
from examples.nano.imitation import distance, match_scales, neck_losses, stage_losses, stages_of, student, taught_maps
from examples.nano.loop import Learner, Schedule, train
from examples.nano.muon import MuonAdam
from examples.nano.pictures import Picture, listed, mosaic, rendered, view
from personsearch.boxes import Array
from personsearch.errors import ConfigError
from personsearch.models.nano.detector import CellPredictions, NanoNetwork, pixels_of
from personsearch.models.nano.model import read_networks
from personsearch.models.nano.options import NanoOptions
from personsearch.training.checkpoint import STATE_FILE

OPTIONS = NanoOptions(activation="hardswish")
MOSAICS, SCENES = 0.25, 0.2  # of the views; of the pieces
SHAPES = ((6, 256, 256), (6, 256, 256), (3, 352, 352), (4, 320, 256), (2, 448, 608))  # of the batches in turn: views, height, width
LARGE = (2, 448, 608)  # of every batch of the later phases: a small view has too few cells for the fifth stage
CACHED, DRAWN = 1000, 16  # large batches that the fifth stage learns from, and maps of a step
FIFTH = 0.3  # weight of the fifth stage's map in the first phase; what the neck reads of it has weight 1
CELLS = 4.0  # weight of the teacher's scores and boxes in the last phase
DECAY = 0.3  # of matrices


class Phase(StrEnum):
    """Phase of the training."""

    STAGES = "stages"
    DEEPEST = "deepest"
    WHOLE = "whole"


RATE = {Phase.STAGES: 3e-3, Phase.DEEPEST: 2e-3, Phase.WHOLE: 3e-4}
MATRICES = {Phase.STAGES: 7.0, Phase.DEEPEST: 10.0, Phase.WHOLE: 5.0}  # rate of the convolutions' matrices over that of all else
RATES = {  # of a part of the network, over the rate
    Phase.STAGES: {"front": 1.0, "fifth": 1.0, "neck": 1.0, "heads": 0.33},
    Phase.DEEPEST: {"front": 0.0, "fifth": 1.0, "neck": 0.0, "heads": 0.0},
    Phase.WHOLE: {"front": 0.3, "fifth": 0.3, "neck": 1.0, "heads": 0.3},
}


class DetectorLearner(Learner):
    """The detector and its teacher.

    Args:
        scenes: Rendered pictures; may be empty.
        photos: Photographs.
        teacher: The detector before.
        phase: Phase of the training.
        seed: Seed of all that is drawn.
    """

    network: NanoNetwork

    def __init__(self, scenes: list[Picture], photos: list[Picture], teacher: NanoNetwork, phase: Phase, *, seed: int = 1) -> None:
        super().__init__()
        self.scenes, self.photos, self.phase, self.seed = scenes, photos, phase, seed
        self.network = student(OPTIONS).to(memory_format=torch.channels_last)
        self.network.heads.load_state_dict(teacher.heads.state_dict())
        self.teacher = (teacher.to(memory_format=torch.channels_last).eval().requires_grad_(False),)  # in a tuple: no part of the state
        self._cache: dict[int, tuple[Tensor, Tensor]] = {}
        stages, neck, _ = taught_maps(self.teacher[0], self.pixels(0))
        match_scales(self.network, stages, neck)

    def train(self, mode: bool = True) -> "DetectorLearner":
        """Set the mode; a batch norm that has its statistics from an earlier phase keeps them."""
        super().train(mode)
        if self.phase != Phase.STAGES:
            kept = [module for module in self.network.modules() if isinstance(module, nn.BatchNorm2d)]
            if self.phase == Phase.DEEPEST:
                learning = set(nn.ModuleList(self._fifth()).modules())
                kept = [module for module in kept if module not in learning]
            for module in kept:
                module.eval()
        return self

    def groups(self, rate: float) -> list[dict[str, Any]]:
        """Matrices and all else of each part of the network."""
        groups: dict[tuple[str, bool], dict[str, Any]] = {}
        for name, tensor in self.network.named_parameters():
            part = part_of(name)
            matrices = part != "heads" and tensor.ndim == 4 and tensor.shape[1] > 1
            factor = RATES[self.phase][part] * (MATRICES[self.phase] if matrices else 1.0)
            values = {"lr": rate * factor, "matrices": matrices} | ({"weight_decay": DECAY} if matrices else {})
            groups.setdefault((part, matrices), {"params": [], **values})["params"].append(tensor)
        return list(groups.values())

    def optimizer(self, rate: float, decay: float) -> torch.optim.Optimizer:
        """Adam, and Muon for the matrices."""
        return MuonAdam(self.groups(rate), weight_decay=decay, betas=(0.9, 0.99))

    def pixels(self, step: int) -> Tensor:
        """The batch of a step, (B, 3, H, W)."""
        rng = np.random.default_rng((self.seed, abs(step), step < 0))
        count, *size = SHAPES[step % len(SHAPES)] if self.phase == Phase.STAGES else LARGE
        return pixels_of(torch.from_numpy(np.stack([self._view(rng, (size[0], size[1])) for _ in range(count)])))

    def _view(self, rng: np.random.Generator, size: tuple[int, int]) -> Array:
        def picture() -> Picture:
            pictures = self.scenes if self.scenes and rng.random() < SCENES else self.photos
            return pictures[rng.integers(len(pictures))]

        return mosaic([picture() for _ in range(4)], rng, size) if rng.random() < MOSAICS else view(picture(), rng, size)

    def losses(self, step: int) -> dict[str, Tensor]:
        """Losses of the stages' and the neck's maps; `read`: of what the neck reads of the fifth stage; `score` and `box` of the cells."""
        if self.phase == Phase.DEEPEST:
            return {"read": self._read_of_many(step)}
        pixels, backbone = self.pixels(step), self.network.backbone
        with torch.autocast("cpu", torch.bfloat16):
            taught, taught_neck, taught_cells = taught_maps(self.teacher[0], pixels)
            before, ours = [pixels, *taught[:3]], list[Tensor]()
            for number, stage in enumerate(stages_of(backbone)):
                ours.append(stage(before[number] if self.phase == Phase.STAGES or not ours else ours[-1]))
            neck = backbone.neck(taught[1:] if self.phase == Phase.STAGES else ours[1:])
            cells = self.network.of_maps(neck)
            read = distance(backbone.lateral5(ours[3]), self._lateral(taught[3]))
        scores = taught_cells.logits.float().sigmoid()
        alike = cells_like(*(CellPredictions(one.logits.float(), one.boxes.float()) for one in (cells, taught_cells)))
        losses = stage_losses(ours, taught) | {"read": read} | neck_losses(neck, taught_neck, scores) | alike
        weights = {"stage5": FIFTH} if self.phase == Phase.STAGES else {"stage5": 0.0, "score": CELLS, "box": CELLS}
        return {name: weights.get(name, 1.0) * loss for name, loss in losses.items()}

    def _read_of_many(self, step: int) -> Tensor:
        """How far what the neck reads of the fifth stage is from what the teacher's reads, for maps of many pictures."""
        rng = np.random.default_rng((self.seed, step))
        views = LARGE[0]
        drawn = [(self._maps(number // views), number % views) for number in rng.integers(CACHED * views, size=DRAWN).tolist()]
        maps, targets = (torch.stack([pair[part][row] for pair, row in drawn]).float() for part in (0, 1))
        if rng.random() < 0.5:
            maps, targets = maps.flip(3), targets.flip(3)
        stage5, lateral5 = self._fifth()
        with torch.autocast("cpu", torch.bfloat16):
            return distance(lateral5(stage5(maps)), targets)

    @torch.no_grad()
    def _maps(self, number: int) -> tuple[Tensor, Tensor]:
        """Our fourth stage's maps of one of `CACHED` batches, and what the teacher's neck reads of its fifth; float16, computed once."""
        if number not in self._cache:
            maps = pixels = self.pixels(-1 - number)
            with torch.autocast("cpu", torch.bfloat16):
                for stage in stages_of(self.network.backbone)[:3]:
                    maps = stage(maps)
                taught, _, _ = taught_maps(self.teacher[0], pixels)
                self._cache[number] = maps.half(), self._lateral(taught[3]).half()
        return self._cache[number]

    def _lateral(self, taught: Tensor) -> Tensor:
        with torch.no_grad():
            read: Tensor = self.teacher[0].backbone.lateral5(taught)
        return read

    def _fifth(self) -> tuple[nn.Module, nn.Module]:
        return self.network.backbone.stage5, self.network.backbone.lateral5


def part_of(name: str) -> str:
    """The part of the network whose rate a tensor has: "front", "fifth", "neck" or "heads"."""
    if name.startswith("heads"):
        return "heads"
    place = name.split(".")[1]
    if place in ("stage5", "lateral5"):
        return "fifth"
    return "front" if place == "stem" or place.startswith("stage") else "neck"


def main(
    photos: Annotated[Path, typer.Option(help="photos.json of `examples.nano.pack`.")],
    teacher: Annotated[Path, typer.Option(help="Model folder whose detector is the teacher; its heads are the start of ours.")],
    out: Annotated[Path, typer.Option(help="Folder for state and log; an existing state is resumed.")],
    phase: Annotated[Phase, typer.Argument(help="What to train; deepest and whole need --before.")],
    scenes: Annotated[Path | None, typer.Option(help="Folder that `personsearch.synthetic` wrote.")] = None,
    before: Annotated[Path | None, typer.Option(help="Folder of the training whose weights this one starts from.")] = None,
    steps: Annotated[int, typer.Option(min=1, help="Steps in all.")] = 2500,
    rate: Annotated[float | None, typer.Option(help="Learning rate; each phase has its own.")] = None,
    average: Annotated[float, typer.Option(min=0, max=1, help="Of the running mean: what a step keeps.")] = 0.998,
    cool: Annotated[int, typer.Option(min=0, help="Last steps, in which the rate sinks to nothing.")] = 1500,
) -> None:
    """Train the detector."""
    if phase != Phase.STAGES and before is None and not (out / STATE_FILE).exists():
        raise ConfigError(f"{phase} starts from the weights of an earlier phase; pass its folder with --before")
    personsearch.keep_freed_memory()
    torch.set_num_threads(1)
    torch.manual_seed(1)
    learner = DetectorLearner(rendered(scenes) if scenes else [], listed(photos), read_networks(teacher)[1], phase)
    train(learner, out, Schedule(steps, rate or RATE[phase], cool=cool, average=average, clip=10.0, save_every=100), before=before)


if __name__ == "__main__":
    run(main)

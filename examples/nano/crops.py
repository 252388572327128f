"""The crop network's stages imitate those of one public network: first each alone, from the teacher's own maps, then one behind the other.

`python -m examples.nano.crops --pool DIR --real DIR --teachers DIR --out DIR`; run again to go on where it stopped.
Every cell of a map is a sample, so that small batches teach much. Pictures are drawn and shown to the teacher as they are needed.

Sources: Romero et al., FitNets (arXiv 1412.6550), Sec. 2.2; Li et al., Blockwisely Supervised Neural Architecture Search with Knowledge
Distillation (arXiv 1911.13053), Sec. 3.2 (each block alone, from the teacher's maps).
"""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
import typer
from torch import Tensor

import personsearch
from examples.nano.command import run
from examples.nano.draw import Pictures
from examples.nano.loop import Learner, Schedule, train
from examples.nano.muon import MuonAdam
from examples.nano.targets import DIM
from examples.nano.teachers import REID, REID_SIZE, compiled
from personsearch.boxes import Array
from personsearch.errors import WeightsError
from personsearch.models.config import CROP, OMNI
from personsearch.models.parts.crop_backbone import CropBackbone
from personsearch.models.parts.omni_backbone import EXTRA_BLOCKS, OmniBackbone
from personsearch.models.reid import ReidConfig, ReidNetwork
from personsearch.models.scene_input import RGB_MEAN, RGB_STD
from personsearch.training.checkpoint import load_state

BATCH = 16
NODES = ("754", "941", "1126", "1147")  # of the teacher: its map after each stage, and its row before the last activation
FITTED = 12  # batches that the scales of the maps are taken from
LEAST_SCALE = 0.1  # of a channel, over the mean of all
RATE = 2e-3
MATRICES, DECAY = 10.0, 0.05  # rate of the matrices over that of all else, and their weight decay
SMALL_SIDE = 12  # a convolution with as few inputs or outputs is a vector for the optimizer
ALONE, TOGETHER = (1.0, 1.0, 1.0, 2.0), (0.3, 0.3, 0.5, 4.0)  # weights of the three maps and of the row


class Backbone(StrEnum):
    """Backbones of a crop network."""

    CROP = CROP
    OMNI = OMNI


def config(height: int, width: int, backbone: str = CROP) -> ReidConfig:
    """The network for crops of a size."""
    values = {"name": "nano", "backbone": {"name": backbone}, "height": height, "width": width, "embedding_dim": DIM, "last_stride": 2}
    return ReidConfig.model_validate(values | {"pooling": "weighted", "bnneck": False})


class Teacher:
    """A re-id network with its maps after each stage.

    Args:
        folder: Folder with its .xml and .bin.
        count: Number of pictures of a run.
    """

    def __init__(self, folder: Path, count: int = BATCH) -> None:
        self._network = compiled(folder / f"{REID[0]}.xml", (count, 3, *REID_SIZE), 1, outputs=NODES)

    def look(self, pictures: list[Array]) -> tuple[list[Tensor], Tensor]:
        """Maps (N, C, h, w) after each stage, and rows (N, 256) of any length, float32, of N uint8 RGB pictures (H, W, 3)."""
        inputs = [cv2.resize(picture, REID_SIZE[::-1])[..., ::-1].transpose(2, 0, 1) for picture in pictures]
        # The network's own output comes first, then NODES in their order
        _, *maps, row = (torch.from_numpy(np.array(output)) for output in self._network(np.stack(inputs).astype(np.float32)).values())
        return maps, row.reshape(len(pictures), -1)


@dataclass(frozen=True)
class Truth:
    """What a network should make of a batch: its maps after each stage (N, C, h, w), and its unit rows (N, D)."""

    maps: list[Tensor]
    rows: Tensor


class CropLearner(Learner):
    """The crop network and its teacher.

    Args:
        network: Network to train; its crops have its size.
        teacher: Teacher of the maps and rows.
        pictures: Source of the pictures.
        together: First step in which every stage gets the map of the stage before instead of the teacher's.
        bfloat16: Whether the network computes in bfloat16, for CPUs that have it.
        seed: Seed of all that is drawn.
    """

    network: ReidNetwork
    mean_row: Tensor

    def __init__(
        self, network: ReidNetwork, teacher: Teacher, pictures: Pictures, *, together: int = 0, bfloat16: bool = False, seed: int = 3
    ) -> None:
        super().__init__()
        self.network = network.to(memory_format=torch.channels_last)
        self.backbone = backbone_of(network)
        self.teacher, self.pictures, self.together, self.in_bfloat16, self.seed = teacher, pictures, together, bfloat16, seed
        for number, channels in self.backbone.channels.items():
            self.register_buffer(f"scale{number}", torch.ones(channels))
        self.register_buffer("mean_row", torch.zeros(DIM))

    def groups(self, rate: float) -> list[dict[str, Any]]:
        """Vectors and small convolutions; then matrices, among them the pooling's weights."""
        parts: dict[bool, list[Tensor]] = {False: [], True: []}
        for tensor in self.network.parameters():
            parts[tensor.ndim == 3 or (tensor.ndim > 1 and min(tensor.shape[:2]) > SMALL_SIDE)].append(tensor)
        vectors = {"params": parts[False], "lr": rate, "weight_decay": 0.0}
        return [vectors, {"params": parts[True], "lr": rate * MATRICES, "matrices": True, "weight_decay": DECAY}]

    def optimizer(self, rate: float, decay: float) -> torch.optim.Optimizer:
        """Adam, and Muon for the matrices."""
        return MuonAdam(self.groups(rate), weight_decay=decay, betas=(0.9, 0.99))

    def fit(self) -> None:
        """Take the scale of each channel of the maps, and the mean row, of the first pictures."""
        looks = [self.teacher.look(self.pictures.draw(BATCH, self.network.size, self._rng(-1 - k))) for k in range(FITTED)]
        for number in self.backbone.channels:
            scale = torch.cat([maps[number - 1] for maps, _ in looks]).std(dim=(0, 2, 3))
            self.get_buffer(f"scale{number}").copy_(scale.clamp_min(LEAST_SCALE * float(scale.mean())))
        self.mean_row.copy_(torch.cat([rows for _, rows in looks]).mean(dim=0))

    def truth(self, pictures: list[Array]) -> Truth:
        """The teacher's maps, with channels of one scale and in the size of the network's, and its rows without the mean."""
        maps, rows = self.teacher.look(pictures)
        sizes = [-(-self.network.size[0] // stride) for stride in (4, 8, 8)]
        widths = [-(-self.network.size[1] // stride) for stride in (4, 8, 8)]
        scaled = [one / self.get_buffer(f"scale{number}")[:, None, None] for number, one in enumerate(maps, start=1)]
        fitted = [F.adaptive_avg_pool2d(one, size) for one, size in zip(scaled, zip(sizes, widths, strict=True), strict=True)]
        return Truth(fitted, F.normalize(rows - self.mean_row))

    def losses(self, step: int) -> dict[str, Tensor]:
        """`map1` to `map3`: squared distance of each stage's map, in variances; `row`: 1 - cosine."""
        pictures = self.pictures.draw(BATCH, self.network.size, self._rng(step))
        alone = step < self.together
        crops = normalised(pictures).contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16, enabled=self.in_bfloat16):
            far = self.distances(crops, self.truth(pictures), alone=alone)
        return {name: weight * loss for (name, loss), weight in zip(far.items(), ALONE if alone else TOGETHER, strict=True)}

    def distances(self, crops: Tensor, truth: Truth, *, alone: bool) -> dict[str, Tensor]:
        """The losses without weights of normalised crops (N, 3, H, W); `alone`: every stage gets the teacher's map."""
        network, far = self.network, {}
        x = self.backbone.stem(crops)
        for number, (stage, target) in enumerate(zip(self.backbone.stages(), truth.maps, strict=True), start=1):
            ours = stage(x)
            far[f"map{number}"] = F.mse_loss(ours.float(), target)
            x = target if alone else ours
        rows = F.normalize(network.neck(network.pool(x)).float())
        return far | {"row": (1 - (rows * truth.rows).sum(dim=1)).mean()}

    def _rng(self, step: int) -> np.random.Generator:
        return np.random.default_rng((self.seed, step + FITTED + 1))


def backbone_of(network: ReidNetwork) -> CropBackbone:
    """The backbone of a crop network.

    Raises:
        TypeError: It is another network's.
    """
    if not isinstance(network.backbone, CropBackbone):
        raise TypeError(f"a crop network has the backbone {CROP} or {OMNI}, got {type(network.backbone).__name__}; make it by `config`")
    return network.backbone


def trained_network(folder: Path, height: int, width: int, backbone: str) -> ReidNetwork:
    """The running mean of a training, in eval mode.

    Raises:
        WeightsError: It was a training of another network, or of crops of another size.
        DataError: The folder has no training.
    """
    network = ReidNetwork(config(height, width, backbone)).eval()
    try:
        network.load_state_dict(load_state(folder)["mean"])
    except RuntimeError as error:
        wanted = f"a crop network with the backbone {backbone} for crops of {height} x {width}"
        raise WeightsError(f"{folder} is not a training of {wanted}; give the backbone and the size that it was trained with") from error
    return network


def normalised(pictures: list[Array]) -> Tensor:
    """(N, 3, H, W) float32, channels-last, of N uint8 pictures (H, W, 3)."""
    pixels = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float() / 255
    return (pixels - torch.tensor(RGB_MEAN)[:, None, None]) / torch.tensor(RGB_STD)[:, None, None]


def begin_from(learner: CropLearner, before: Path) -> None:
    """Start with the scales of the maps and the running mean of another training, maybe of crops of another size, whose pooling is resized.

    A network with `OmniBackbone` takes stem and first stage of one with `CropBackbone`; what that lacks begins as it is.

    Raises:
        WeightsError: It was a training of another network, or of another command.
    """
    state = load_state(before)
    if "learner" not in state:
        raise WeightsError(f"{before} has weights without the scales of the maps; give the --out folder of this command")
    scales = {name: tensor for name, tensor in state["learner"].items() if name.startswith("scale")}
    weights, own = dict(state["mean"]), learner.network.state_dict()
    if isinstance(learner.backbone, OmniBackbone) and not any("streams" in name for name in weights) and first_stage(weights):
        weights = own | first_stage(weights)
    if missing := sorted(set(own) - set(weights)):
        raise WeightsError(f"{before} is a training of another network: {len(missing)} tensors are missing, such as {missing[0]}")
    weights["pool.weight"] = resized_pool(weights["pool.weight"], own["pool.weight"].shape[1:])
    learner.network.load_state_dict(weights)
    learner.load_state_dict(learner.state_dict() | scales)


def first_stage(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The stem and first stage of a network with `CropBackbone`, by the names that `OmniBackbone` has for them."""
    last = "backbone.stage1.2."
    parts = {name: tensor for name, tensor in weights.items() if name.startswith(("backbone.stem.", "backbone.stage1."))}
    return {name.replace(last, f"backbone.stage1.{2 + EXTRA_BLOCKS}."): tensor for name, tensor in parts.items()}


def resized_pool(weight: Tensor, cells: torch.Size) -> Tensor:
    """Weights (C, h, w) of a pooling for a map of other `cells`, with the same sum."""
    if weight.shape[1:] == cells:
        return weight
    resized = F.interpolate(weight[None], tuple(cells), mode="area")[0]
    return resized * (weight[0].numel() / resized[0].numel())


def main(
    pool: Annotated[Path, typer.Option(help="Folder that `examples.nano.pool` wrote.")],
    real: Annotated[Path, typer.Option(help="Folder that `examples.nano.real_people` wrote.")],
    teachers: Annotated[Path, typer.Option(help="Folder of the teachers' OpenVINO files.")],
    out: Annotated[Path, typer.Option(help="Folder for state and log; an existing state is resumed.")],
    before: Annotated[Path | None, typer.Option(help="Folder of the training whose weights this one starts from.")] = None,
    height: int = 128,
    width: int = 64,
    steps: int = 14_000,
    together: Annotated[int, typer.Option(min=0, help="Number of first steps in which every stage learns alone.")] = 2000,
    rate: float = RATE,
    average: Annotated[float, typer.Option(min=0, max=1, help="Share of the running mean that a step keeps.")] = Schedule.average,
    threads: Annotated[int, typer.Option(min=1, help="CPU cores.")] = 1,
    backbone: Annotated[Backbone, typer.Option(help="Backbone of the crop network.")] = Backbone.CROP,
    bfloat16: Annotated[bool, typer.Option(help="Compute in bfloat16, for CPUs that have it.")] = False,
) -> None:
    """Train the crop network."""
    personsearch.keep_freed_memory()
    torch.set_num_threads(threads)
    cv2.setNumThreads(threads)
    torch.manual_seed(1)
    network = ReidNetwork(config(height, width, backbone))
    learner = CropLearner(network, Teacher(teachers), Pictures(pool, real), together=together, bfloat16=bfloat16)
    learner.fit()
    if before is not None:
        begin_from(learner, before)
    train(learner, out, Schedule(steps, rate, warmup=200, cosine=True, average=average, save_every=500))


if __name__ == "__main__":
    run(main)

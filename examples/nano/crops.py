"""The crop network of the bundled models learns what two public networks say about the same changed pictures.

`python -m examples.nano.crops --pool DIR --start FEATURES --out DIR`; run again to go on where it stopped. The pool may grow meanwhile.
"""

from copy import deepcopy
from functools import cached_property
from pathlib import Path
from typing import Annotated, cast

import cv2
import numpy as np
import torch
import torch.nn.functional as F
import typer
from torch import Tensor, nn
from torchvision.models import mobilenet_v2

import personsearch
from examples.nano.command import run
from examples.nano.draw import Pool
from examples.nano.hints import HINTS
from examples.nano.loop import Learner, Schedule, train
from examples.nano.targets import DIM, Targets
from personsearch.boxes import Array
from personsearch.errors import WeightsError
from personsearch.models.fast.fuse import optimize_for_inference
from personsearch.models.parts.resnet import MobileNet
from personsearch.models.reid import ReidConfig, ReidNetwork
from personsearch.models.scene_input import RGB_MEAN, RGB_STD
from personsearch.training.checkpoint import load_state

PAIRS, BANK = 32, 1024  # of a batch: pairs of pictures, and rows of other pictures to compare with
SHARPNESS = 15.0  # of the cosines that are compared
RELATION = 0.5  # weight of the comparison
FITTED = 10_000  # rows that the targets are fitted to
REFRESH = 100  # steps between two looks for new parts
RATE = 1e-3
HINT_WEIGHT = 0.5
POOL_WEIGHT = "pool.weight"  # name of the tensor that a network with mean pooling lacks
LAYERS = [hint.layer for hint in HINTS]


def config(height: int, width: int) -> ReidConfig:
    """The network for crops of a size."""
    values = {"name": "nano", "backbone": {"name": "mobilenet"}, "height": height, "width": width, "embedding_dim": DIM, "last_stride": 2}
    values |= {"crop_norm": True, "pooling": "weighted"}
    return ReidConfig.model_validate(values)


class CropLearner(Learner):
    """The crop network, the targets of its rows, and what reads hints from its layers.

    Args:
        network: Network to train; its crops have its size.
        pool: Pictures, teachers' rows and hints.
        frozen: How many first layers stay as they are: their maps are large and dear.
        seed: Seed of all that is drawn.
    """

    network: ReidNetwork

    def __init__(self, network: ReidNetwork, pool: Pool, *, frozen: int = 0, seed: int = 1) -> None:
        super().__init__()
        self.network, self.frozen = network.to(memory_format=torch.channels_last), frozen
        self.targets = Targets(pool.rows[0].shape[1])
        self.targets.fit(np.concatenate([rows[: -(-FITTED // len(pool.rows))] for rows in pool.rows]).astype(np.float32))
        layers = features_of(network)
        self.readers = nn.ModuleList(nn.Conv2d(channels_after(layers, hint.layer), hint.dim, 1) for hint in HINTS)
        layers[:frozen].requires_grad_(False)
        self.pool, self.seed = pool, seed

    @cached_property
    def stem(self) -> tuple[nn.Sequential]:
        """The frozen layers with merged batch norms, as they are at the first step; in a tuple: no part of the state."""
        return (optimize_for_inference(deepcopy(features_of(self.network)[: self.frozen]).eval()),)

    def train(self, mode: bool = True) -> "CropLearner":
        """Set the mode; frozen layers stay in eval mode."""
        super().train(mode)
        features_of(self.network)[: self.frozen].eval()
        return self

    def losses(self, step: int) -> dict[str, Tensor]:
        """`cosine`: how far the rows are from the targets; `relation`: their neighbours; `hint`: the inner maps."""
        if step % REFRESH == 0:
            self.pool.refresh()
        rng = np.random.default_rng((self.seed, step))
        pictures, rows, hints = self.pool.draw(PAIRS, rng)
        mirrored = rng.random(len(pictures)) < 0.5
        target, bank = self.targets(torch.from_numpy(rows)), self.targets(torch.from_numpy(self.pool.bank(BANK, rng)))
        ours, maps = self.rows_and_maps(batch_of(pictures, self.network.size, mirrored))
        losses = {"cosine": (1 - (ours * target).sum(dim=1)).mean(), "relation": RELATION * relation(ours, target, bank)}
        far = [F.mse_loss(reader(inner), turned(hint, mirrored)) for reader, inner, hint in zip(self.readers, maps, hints, strict=True)]
        return losses | {"hint": HINT_WEIGHT * torch.stack(far).mean()}

    def rows_and_maps(self, batch: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Unit rows (N, D) of normalised crops, and the maps that hints are read from."""
        network, maps = self.network, []
        with torch.no_grad():
            x = self.stem[0](network.crop_norm(batch))
        for number, layer in enumerate(features_of(network)[self.frozen :]):
            x = layer(x)
            if number + self.frozen in LAYERS:
                maps.append(x)
        return F.normalize(network.neck(network.pool(x)).float()), maps


def channels_after(layers: nn.Sequential, number: int) -> int:
    """Channels of a MobileNet's layer."""
    layer = layers[number]
    return cast(int, layer.out_channels)


def turned(maps: Array, mirrored: Array) -> Tensor:
    """(N, C, h, w) float32 of hints (N, h, w, C), those of mirrored pictures mirrored."""
    tensor = torch.from_numpy(maps.astype(np.float32)).permute(0, 3, 1, 2)
    return torch.where(torch.from_numpy(mirrored)[:, None, None, None], tensor.flip(3), tensor)


def batch_of(pictures: list[Array], size: tuple[int, int], mirrored: Array) -> Tensor:
    """Normalised (N, 3, height, width) of uint8 RGB pictures (h, w, 3), some of them mirrored."""
    return normalised([one[:, ::-1] if turned else one for one, turned in zip(resized(pictures, size), mirrored, strict=True)])


def resized(pictures: list[Array], size: tuple[int, int]) -> list[Array]:
    """Pictures of one (height, width)."""
    flags = cv2.INTER_AREA if pictures[0].shape[0] > size[0] else cv2.INTER_LINEAR
    return [cv2.resize(picture, size[::-1], interpolation=flags) for picture in pictures]


def normalised(pictures: list[Array]) -> Tensor:
    """(N, 3, H, W) float32, channels-last, of N uint8 pictures (H, W, 3)."""
    pixels = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float() / 255
    return (pixels - torch.tensor(RGB_MEAN)[:, None, None]) / torch.tensor(RGB_STD)[:, None, None]


def relation(ours: Tensor, target: Tensor, bank: Tensor) -> Tensor:
    """How far the neighbours of unit rows (N, D) among (M, D) are from those of their targets (N, D): a KL divergence.

    Source: Fang et al., SEED (arXiv 2101.04731), Eq. 4, the two temperatures equal.
    """
    wanted = F.log_softmax(SHARPNESS * target @ bank.T, dim=1)
    return F.kl_div(F.log_softmax(SHARPNESS * ours @ bank.T, dim=1), wanted, reduction="batchmean", log_target=True)


def features_of(network: ReidNetwork) -> nn.Sequential:
    """The layers of the MobileNet."""
    return cast(MobileNet, network.backbone).features


def begin_from(learner: CropLearner, before: Path) -> None:
    """Start with the targets and the running mean of another training, maybe of a network with mean pooling and batch norms alone.

    Raises:
        WeightsError: It was a training of another network.
    """
    state = load_state(before)
    prefix = "targets."
    learner.targets.load_state_dict({name.removeprefix(prefix): part for name, part in state["learner"].items() if name.startswith(prefix)})
    ours = learner.network.state_dict()
    same = {name: tensor for name, tensor in state["mean"].items() if name in ours and tensor.shape == ours[name].shape}
    if missing := sorted(set(ours) - set(same) - {POOL_WEIGHT}):
        raise WeightsError(f"{before} is a training of another network: {len(missing)} tensors are missing, such as {missing[0]}")
    learner.network.load_state_dict(ours | same)


def load_features(network: ReidNetwork, file: Path) -> None:
    """Start from MobileNet v2 features, whose tensors stand in the same order under other names; of the wider last layer, from a part."""
    theirs = torch.load(file, map_location="cpu", weights_only=True)
    batch_norms = mobilenet_v2().features.state_dict()
    named = dict(zip(batch_norms, theirs.values(), strict=True))
    wanted = features_of(network).state_dict()  # without the statistics of a first layer with instance norm
    features_of(network).load_state_dict({name: named[name][: len(mine)] if mine.ndim else named[name] for name, mine in wanted.items()})


def main(
    pool: Annotated[Path, typer.Option(help="Folder that `examples.nano.pool` wrote.")],
    hints: Annotated[Path, typer.Option(help="Folder that `examples.nano.hints` wrote.")],
    out: Annotated[Path, typer.Option(help="Folder for state and log; a state that is there is gone on with.")],
    start: Annotated[Path | None, typer.Option(help="ImageNet features of MobileNet v2; of the first training only.")] = None,
    before: Annotated[Path | None, typer.Option(help="Folder of the training whose weights this one starts from.")] = None,
    height: int = 160,
    width: int = 80,
    steps: int = 10_000,
    rate: float = RATE,
    average: Annotated[float, typer.Option(min=0, max=1, help="Of the running mean: what a step keeps.")] = Schedule.average,
    cool: Annotated[int, typer.Option(min=0, help="Last steps, in which the rate sinks to nothing.")] = 0,
    frozen: Annotated[int, typer.Option(min=0, max=min(LAYERS), help="First layers that stay as they are.")] = 0,
    street: Annotated[float, typer.Option(min=0, max=1, help="Share of pictures from the parts with the colours of a street.")] = 0.0,
    threads: Annotated[int, typer.Option(min=1, help="CPU cores.")] = 1,
) -> None:
    """Train the crop network."""
    personsearch.keep_freed_memory()
    torch.set_num_threads(threads)
    cv2.setNumThreads(threads)
    torch.manual_seed(1)
    learner = CropLearner(ReidNetwork(config(height, width)), Pool(pool, hints, street=street), frozen=frozen)
    if before is not None:
        begin_from(learner, before)
    elif start is not None:
        load_features(learner.network, start)
    train(learner, out, Schedule(steps, rate, cool=cool, average=average))


if __name__ == "__main__":
    run(main)

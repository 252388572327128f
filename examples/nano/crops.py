"""The crop network of the bundled models learns what two public networks say about the same changed pictures.

`python -m examples.nano.crops --pool DIR --start FEATURES --out DIR`; run again to go on where it stopped. The pool may grow meanwhile.
"""

from copy import deepcopy
from pathlib import Path
from typing import Annotated, cast

import cv2
import numpy as np
import torch
import torch.nn.functional as F
import typer
from torch import Tensor, nn

from examples.nano.command import run
from examples.nano.draw import MapPool, Pool
from examples.nano.loop import Learner, Schedule, train
from examples.nano.targets import DIM, Targets
from personsearch.boxes import Array
from personsearch.memory import keep_freed_memory
from personsearch.models.fast.fuse import optimize_for_inference
from personsearch.models.parts.resnet import MobileNet
from personsearch.models.rcnn import RGB_MEAN, RGB_STD
from personsearch.models.reid import ReidConfig, ReidNetwork
from personsearch.training.checkpoint import STATE_FILE, load_state

PAIRS, BANK = 32, 1024  # of a batch: pairs of pictures, and rows of other pictures to compare with
SHARPNESS = 15.0  # of the cosines that are compared
RELATION = 0.5  # weight of the comparison
FITTED = 10_000  # rows that the targets are fitted to
REFRESH = 100  # steps between two looks for new parts
RATE = 1e-3


def config(height: int, width: int) -> ReidConfig:
    """The network for crops of a size."""
    values = {"name": "nano", "backbone": {"name": "mobilenet"}, "height": height, "width": width, "embedding_dim": DIM, "last_stride": 2}
    return ReidConfig.model_validate(values)


class CropLearner(Learner):
    """The crop network, and the targets of its rows.

    Args:
        network: the network; its crops have its size.
        pool: the pictures and teachers' rows.
        seed: of all that is drawn.
    """

    network: ReidNetwork

    def __init__(self, network: ReidNetwork, pool: Pool, *, seed: int = 1) -> None:
        super().__init__()
        self.network = network.to(memory_format=torch.channels_last)
        self.targets = Targets(pool.rows[0].shape[1])
        self.targets.fit(np.concatenate([rows[: -(-FITTED // len(pool.rows))] for rows in pool.rows]).astype(np.float32))
        self.pool, self.seed = pool, seed

    def losses(self, step: int) -> dict[str, Tensor]:
        """`cosine`: how far the rows are from the targets; `relation`: whether they have the same neighbours."""
        if step % REFRESH == 0:
            self.pool.refresh()
        rng = np.random.default_rng((self.seed, step))
        pictures, rows = self.pool.draw(PAIRS, rng)
        target, bank = self.targets(torch.from_numpy(rows)), self.targets(torch.from_numpy(self.pool.bank(BANK, rng)))
        ours = self.rows(pictures, rng)
        return {"cosine": (1 - (ours * target).sum(dim=1)).mean(), "relation": RELATION * relation(ours, target, bank)}

    def rows(self, pictures: list[Array], rng: np.random.Generator) -> Tensor:
        """Unit rows of pictures (h, w, 3), half of them mirrored."""
        rows: Tensor = self.network(batch_of(pictures, self.network.size, rng))
        return rows


class TopLearner(CropLearner):
    """Learns from the maps of the first layers, which stay as they are: a third of the time of a step.

    Args:
        network: with the first layers' weights.
        pool: folder of the pool.
        maps: folder for the maps.
        frozen: how many layers stay as they are.
    """

    def __init__(self, network: ReidNetwork, pool: Path, maps: Path, *, frozen: int) -> None:
        layers = features_of(network)
        self.stem = (optimize_for_inference(deepcopy(layers[:frozen]).eval()),)  # in a tuple: no part of the state
        self.size = network.size
        super().__init__(network, MapPool(pool, maps, self.maps))
        layers[:frozen].requires_grad_(False)
        self.frozen = frozen

    def maps(self, pictures: Array) -> Array:
        """(N, h, w, C) float16 of pictures (N, H, W, 3), which are not mirrored."""
        with torch.inference_mode():
            maps = self.stem[0](normalised(resized(list(pictures), self.size)))
        made: Array = maps.permute(0, 2, 3, 1).half().numpy()
        return made

    def rows(self, pictures: list[Array], rng: np.random.Generator) -> Tensor:
        """Unit rows of maps (h, w, C)."""
        maps = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float()
        top = features_of(self.network)[self.frozen :](maps)
        return F.normalize(self.network.neck(top.mean(dim=(2, 3))).float())

    def train(self, mode: bool = True) -> "TopLearner":
        """Set the mode; frozen layers stay in eval mode."""
        super().train(mode)
        features_of(self.network)[: self.frozen].eval()
        return self


def batch_of(pictures: list[Array], size: tuple[int, int], rng: np.random.Generator) -> Tensor:
    """Normalised (N, 3, height, width) of uint8 RGB pictures (h, w, 3), half of them mirrored."""
    mirrored = rng.random(len(pictures)) < 0.5
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


def load_features(network: ReidNetwork, file: Path) -> None:
    """Start from MobileNet v2 features, whose tensors stand in the same order under other names; of the wider last layer, from a part."""
    theirs = torch.load(file, map_location="cpu", weights_only=True)
    ours = features_of(network)
    wanted = ours.state_dict()
    ours.load_state_dict(
        {name: tensor[: len(wanted[name])] if tensor.ndim else tensor for name, tensor in zip(wanted, theirs.values(), strict=True)}
    )


def main(
    pool: Annotated[Path, typer.Option(help="Folder that `examples.nano.pool` wrote.")],
    out: Annotated[Path, typer.Option(help="Folder for state and log; a state that is there is gone on with.")],
    start: Annotated[Path | None, typer.Option(help="ImageNet features of MobileNet v2; of the first training only.")] = None,
    before: Annotated[Path | None, typer.Option(help="Folder of the training whose weights this one starts from.")] = None,
    height: int = 160,
    width: int = 80,
    steps: int = 10_000,
    rate: float = RATE,
    average: Annotated[float, typer.Option(min=0, max=1, help="Of the running mean: what a step keeps.")] = Schedule.average,
    cool: Annotated[int, typer.Option(min=0, help="Last steps, in which the rate sinks to nothing.")] = 0,
    frozen: Annotated[int, typer.Option(min=0, help="First layers that stay as they are; their maps are made once.")] = 0,
    threads: Annotated[int, typer.Option(min=1, help="CPU cores.")] = 1,
) -> None:
    """Train the crop network."""
    keep_freed_memory()
    torch.set_num_threads(threads)
    cv2.setNumThreads(threads)
    torch.manual_seed(1)
    network = ReidNetwork(config(height, width))
    earlier = out if (out / STATE_FILE).exists() else before
    if earlier is not None:
        network.load_state_dict(load_state(earlier)["mean"])
    elif start is not None:
        load_features(network, start)
    learner = TopLearner(network, pool, out / "maps", frozen=frozen) if frozen else CropLearner(network, Pool(pool))
    train(learner, out, Schedule(steps, rate, cool=cool, average=average), before=before)


if __name__ == "__main__":
    run(main)

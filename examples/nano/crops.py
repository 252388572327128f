"""The crop network of the bundled models learns what two public networks say about the same changed pictures.

`python -m examples.nano.crops --pool DIR --start FEATURES --out DIR`; run again to go on where it stopped. The pool may grow meanwhile.
"""

from pathlib import Path
from typing import Annotated, cast

import cv2
import numpy as np
import torch
import torch.nn.functional as F
import typer
from torch import Tensor, nn

from examples.nano.command import run
from examples.nano.loop import Learner, Schedule, train
from examples.nano.targets import DIM, Pool, Targets
from personsearch.boxes import Array
from personsearch.memory import keep_freed_memory
from personsearch.models.parts.resnet import MobileNet
from personsearch.models.rcnn import RGB_MEAN, RGB_STD
from personsearch.models.reid import ReidConfig, ReidNetwork
from personsearch.training.checkpoint import STATE_FILE

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
        frozen: how many of the first layers stay as they are.
        seed: of all that is drawn.
    """

    network: ReidNetwork

    def __init__(self, network: ReidNetwork, pool: Pool, *, frozen: int = 0, seed: int = 1) -> None:
        super().__init__()
        self.network = network.to(memory_format=torch.channels_last)
        self.targets = Targets(pool.rows[0].shape[1])
        self.targets.fit(np.concatenate([rows[: FITTED // len(pool.rows)] for rows in pool.rows]).astype(np.float32))
        self.pool, self.seed = pool, seed
        self.frozen = list(features_of(network)[:frozen])
        for layer in self.frozen:
            layer.requires_grad_(False)

    def train(self, mode: bool = True) -> "CropLearner":
        """Set the mode; frozen layers stay in eval mode."""
        super().train(mode)
        for layer in self.frozen:
            layer.eval()
        return self

    def losses(self, step: int) -> dict[str, Tensor]:
        """`cosine`: how far the rows are from the targets; `relation`: whether they have the same neighbours."""
        if step % REFRESH == 0:
            self.pool.refresh()
        rng = np.random.default_rng((self.seed, step))
        pictures, rows = self.pool.draw(PAIRS, rng)
        target, bank = self.targets(torch.from_numpy(rows)), self.targets(torch.from_numpy(self.pool.bank(BANK, rng)))
        ours = self.network(batch_of(pictures, self.network.size, rng))
        return {"cosine": (1 - (ours * target).sum(dim=1)).mean(), "relation": RELATION * relation(ours, target, bank)}


def batch_of(pictures: list[Array], size: tuple[int, int], rng: np.random.Generator) -> Tensor:
    """Normalised (N, 3, height, width) of uint8 RGB pictures (h, w, 3), half of them mirrored."""
    shrinks = pictures[0].shape[0] > size[0]
    flags = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    resized = [cv2.resize(picture, size[::-1], interpolation=flags) for picture in pictures]
    batch = np.stack([one[:, ::-1] if mirrored else one for one, mirrored in zip(resized, rng.random(len(resized)) < 0.5, strict=True)])
    pixels = torch.from_numpy(batch).permute(0, 3, 1, 2).float() / 255
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
    """Start from MobileNet v2 features, whose tensors stand in the same order under other names."""
    theirs = torch.load(file, map_location="cpu", weights_only=True)
    ours = features_of(network)
    ours.load_state_dict(dict(zip(ours.state_dict(), theirs.values(), strict=True)))


def main(
    pool: Annotated[Path, typer.Option(help="Folder that `examples.nano.pool` wrote.")],
    out: Annotated[Path, typer.Option(help="Folder for state and log; a state that is there is gone on with.")],
    start: Annotated[Path | None, typer.Option(help="ImageNet features of MobileNet v2; of the first training only.")] = None,
    before: Annotated[Path | None, typer.Option(help="Folder of the training whose weights this one starts from.")] = None,
    height: int = 160,
    width: int = 80,
    steps: int = 10_000,
    rate: float = RATE,
    cool: Annotated[int, typer.Option(min=0, help="Last steps, in which the rate sinks to nothing.")] = 0,
    frozen: Annotated[int, typer.Option(min=0, help="First layers that stay as they are.")] = 0,
    threads: Annotated[int, typer.Option(min=1, help="CPU cores.")] = 1,
) -> None:
    """Train the crop network."""
    keep_freed_memory()
    torch.set_num_threads(threads)
    cv2.setNumThreads(threads)
    torch.manual_seed(1)
    network = ReidNetwork(config(height, width))
    if start is not None and not (out / STATE_FILE).exists():
        load_features(network, start)
    learner = CropLearner(network, Pool(pool), frozen=frozen)
    train(learner, out, Schedule(steps, rate, cool=cool), before=before)


if __name__ == "__main__":
    run(main)

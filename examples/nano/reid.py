"""The crop network of the bundled model: rendered identities, and a public network's features as a second teacher.

`python -m examples.nano.reid --pack DIR --out DIR`; run again to go on where it stopped.
"""

import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import torch.nn.functional as F
import typer
from torch import Generator, Tensor, nn

from examples.nano.command import run
from examples.nano.crop_changes import change
from personsearch.boxes import Array
from personsearch.models.reid import ReidConfig, ReidNetwork
from personsearch.synthetic.world import DOUBLES
from personsearch.training.checkpoint import STATE_FILE, Log, load_state, save_state

DIM = 256
PAIRS, VIEWS = 8, 4  # of a batch: pairs of identities, crops of each identity
SCALE, SMOOTHING = 20.0, 0.1  # of the classifier's cosines
DECAY, WARMUP = 0.05, 200
AVERAGE = 0.998  # of the running mean of the weights, which is what is shipped

CONFIG = ReidConfig.model_validate(
    {
        "name": "bundled",
        "backbone": {"name": "shufflenet", "width": 1.0},
        "height": 128,
        "width": 64,
        "embedding_dim": DIM,
        "last_stride": 2,
    }
)


@dataclass(frozen=True)
class Phase:
    """What differs between the first training and the second, which goes on from its weights."""

    steps: int
    rate: float = 3e-3
    real: int = 16  # real crops of a batch, which nobody named
    teacher: float = 2.0  # weight of the teacher's features
    relation: float = 0.0  # weight of the teacher's cosines between real crops


@dataclass(frozen=True)
class Pack:
    """What the network learns from."""

    crops: Array  # (L, V, 128, 64, 3) uint8 RGB, V views of L rendered identities
    features: Array  # (L * V, T) float32 unit rows, the teacher's
    real: Array  # (R, 128, 64, 3) uint8
    real_features: Array  # (R, T)


class CropLearner(nn.Module):
    """The network, a classifier of the rendered identities, and a projection to the teacher's features."""

    def __init__(self, identities: int, teacher_dim: int) -> None:
        super().__init__()
        self.network = ReidNetwork(CONFIG)
        self.classes = nn.Parameter(torch.randn(identities, DIM) * 0.1)
        self.project = nn.Linear(DIM, teacher_dim)

    def forward(self, crops: Tensor, identities: Tensor, teacher: Tensor, phase: Phase) -> dict[str, Tensor]:
        """Weighted losses of (N, 3, H, W) crops; identities (K,) belong to the first K, teacher's rows (N, T) to all."""
        features = self.network.features(crops)
        rows = F.normalize(features[: len(identities)])
        logits = SCALE * rows @ F.normalize(self.classes).T
        taught = 1 - F.cosine_similarity(self.project(features), teacher).mean()
        losses = {
            "class": F.cross_entropy(logits, identities, label_smoothing=SMOOTHING),
            "triplet": batch_hard(rows, identities),
            "teacher": phase.teacher * taught,
        }
        if phase.relation:
            real = F.normalize(features[len(identities) :])
            losses["relation"] = phase.relation * relation(real, teacher[len(identities) :])
        return losses


def relation(rows: Tensor, teacher: Tensor) -> Tensor:
    """Mean squared difference between the cosines of unit rows (N, D) and those of the teacher's (N, T)."""
    return (rows @ rows.T - teacher @ teacher.T).square().mean()


def batch_hard(rows: Tensor, identities: Tensor) -> Tensor:
    """The mean over rows of softplus(4 * (farthest of the same identity - nearest of another)) / 4, in distances of unit rows.

    The 4 is ours: distances of unit rows differ by less than 1, where the paper's softplus is nearly straight.

    Source: Hermans et al., In Defense of the Triplet Loss (arXiv 1703.07737), Eq. 5 with the soft margin.
    """
    distances = (2 - 2 * rows @ rows.T).clamp(min=1e-6).sqrt()
    same = identities[:, None] == identities
    farthest = distances.masked_fill(~same, -1).amax(dim=1)
    nearest = distances.masked_fill(same, 3).amin(dim=1)
    return F.softplus((farthest - nearest) * 4).mean() / 4


def draw(pack: Pack, rng: np.random.Generator, real_crops: int) -> tuple[Tensor, Tensor, Tensor]:
    """Crops (N, 3, H, W) uint8, identities (K,) of the first K, teacher rows (N, T).

    Half of the identities come with the one that differs from them in a single item.
    """
    count, views = pack.crops.shape[:2]
    doubles = rng.choice(count // DOUBLES, PAIRS // 2, replace=False) * DOUBLES + DOUBLES - 1
    others = rng.choice(count, PAIRS, replace=False)
    identities = np.unique(np.concatenate([doubles, doubles - 1, others]))
    names = np.repeat(identities, VIEWS)
    seen = np.concatenate([rng.choice(views, VIEWS, replace=False) for _ in identities])
    real = rng.integers(len(pack.real), size=real_crops)
    crops = np.concatenate([pack.crops[names, seen], pack.real[real]])
    teacher = np.concatenate([pack.features[names * views + seen], pack.real_features[real]])
    return torch.from_numpy(crops).permute(0, 3, 1, 2), torch.from_numpy(names), torch.from_numpy(teacher)


def rate_at(step: int, phase: Phase) -> float:
    """Learning rate: linear warm-up, then a cosine to nothing."""
    steps = phase.steps
    return phase.rate * min(1.0, (step + 1) / WARMUP) * (1 + math.cos(math.pi * step / steps)) / 2


def train(pack: Pack, out: Path, phase: Phase, *, before: Path | None = None, save_every: int = 200, seed: int = 1) -> ReidNetwork:
    """Train a phase, or go on with it; the running mean of the weights, in eval mode. State and log stand in `out`.

    Args:
        pack: what to learn from.
        out: the phase's folder.
        phase: how long, and what counts how much.
        before: folder of the phase before; None for the first.
        save_every: steps between two states.
        seed: of all that is drawn.
    """
    torch.manual_seed(seed)
    learner = CropLearner(len(pack.crops), pack.features.shape[1]).to(memory_format=torch.channels_last)
    mean = ReidNetwork(CONFIG).eval()
    mean.load_state_dict(learner.network.state_dict())
    optimizer = torch.optim.AdamW(learner.parameters(), lr=phase.rate, weight_decay=DECAY)
    start = 0
    if (out / STATE_FILE).exists():
        saved = load_state(out)
        learner.load_state_dict(saved["learner"])
        mean.load_state_dict(saved["mean"])
        optimizer.load_state_dict(saved["optimizer"])
        start = saved["step"]
    elif before is not None:
        saved = load_state(before)
        learner.load_state_dict(saved["learner"])
        mean.load_state_dict(saved["mean"])
        learner.network.load_state_dict(saved["mean"])
    lines = Log(out, start)
    sums: dict[str, float] = {}
    began = time.perf_counter()
    for step in range(start, phase.steps):
        crops, identities, teacher = draw(pack, np.random.default_rng([seed, step]), phase.real)
        optimizer.param_groups[0]["lr"] = rate_at(step, phase)
        losses = learner.train()(change(crops, Generator().manual_seed(seed * 10**6 + step)), identities, teacher, phase)
        optimizer.zero_grad(set_to_none=True)
        torch.stack(list(losses.values())).sum().backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(learner.parameters(), 5.0)
        optimizer.step()
        follow(mean, learner.network, min(AVERAGE, (step + 1) / (step + 10)))
        for name, loss in losses.items():
            sums[name] = sums.get(name, 0.0) + float(loss.detach()) / save_every
        if (step + 1) % save_every == 0 or step + 1 == phase.steps:
            lines.write(step=step + 1, **sums, seconds=time.perf_counter() - began)
            sums = {}
            content = {"learner": learner.state_dict(), "mean": mean.state_dict(), "optimizer": optimizer.state_dict(), "step": step + 1}
            save_state(out, content)
    return mean


@torch.no_grad()
def follow(mean: nn.Module, network: nn.Module, keep: float) -> None:
    """Move the running mean towards the network; counters and statistics of batch norm too."""
    for old, new in zip(mean.state_dict().values(), network.state_dict().values(), strict=True):
        if old.is_floating_point():
            old.lerp_(new, 1 - keep)


def read_pack(folder: Path) -> Pack:
    """The pack of a folder, its rendered crops mapped, not read."""
    return Pack(
        np.load(folder / "train_images.npy", mmap_mode="r"),
        np.load(folder / "train_feats.npy"),
        np.load(folder / "real_images.npy"),
        np.load(folder / "real_feats.npy"),
    )


def main(
    pack: Annotated[Path, typer.Option(help="Folder that `examples.nano.pack` wrote.")],
    out: Annotated[Path, typer.Option(help="Folder for state and log; a state that is there is gone on with.")],
    steps: int = 6000,
    before: Annotated[Path | None, typer.Option(help="Folder of a finished phase, whose weights a second phase goes on from.")] = None,
) -> None:
    """Train the crop network."""
    phase = Phase(steps) if before is None else Phase(steps, rate=1.5e-3, real=40, teacher=4.0, relation=8.0)
    train(read_pack(pack), out, phase, before=before)


if __name__ == "__main__":
    run(main)

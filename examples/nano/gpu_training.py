"""The loop of the training on a GPU: batches are drawn, resized and mirrored on the device, and time decides the rate."""

import math
import time
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from examples.nano.crops import config
from examples.nano.draw import Parts
from examples.nano.loop import follow
from examples.nano.targets import Targets
from personsearch.errors import DataError
from personsearch.models.config import OMNI
from personsearch.models.reid import ReidNetwork
from personsearch.models.scene_input import RGB_MEAN, RGB_STD
from personsearch.training.checkpoint import STATE_FILE, load_state, save_state

WARMUP, COOL = 100, 0.4  # first steps, and share of the time at its end in which the rate sinks to nothing
AVERAGE, DECAY, CLIP = 0.998, 0.02, 5.0
SAVE, LOOK = 30.0, 2.0  # seconds between two states, and between two looks for new parts
SEED = 1
RATE = 1e-3
SHARPNESS = 15.0  # of the cosines that are compared
RELATION = 0.5  # weight of the comparison


@dataclass(frozen=True)
class Size:
    """Size of the crops and of a batch, and the network's backbone."""

    height: int = 128
    width: int = 64
    pairs: int = 256
    bank: int = 4096
    backbone: str = OMNI


class DevicePool:
    """The parts of the pool that are complete, on the device.

    Args:
        folder: Folder of the pool.
        device: Device that holds them.
    """

    def __init__(self, folder: Path, device: str) -> None:
        self.parts, self.device = Parts(folder), device
        self.pictures: list[Tensor] = []
        self.rows: list[Tensor] = []
        self.refresh()

    def refresh(self) -> int:
        """Copy the parts that are new; their number now."""
        for part in range(len(self.rows), self.parts.refresh()):
            self.pictures.append(torch.from_numpy(np.array(self.parts.pictures[part])).to(self.device))
            self.rows.append(torch.from_numpy(np.array(self.parts.rows[part])).float().to(self.device))
        return len(self.rows)

    def draw(self, size: Size, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Pictures (2 * pairs, 3, height, width) 0..255, half of them mirrored, their rows, and (bank, T) rows to compare with."""
        parts = rng.integers(len(self.rows), size=size.pairs)
        firsts = [2 * int(rng.integers(len(self.rows[part]) // 2)) for part in parts]
        pictures = torch.cat([self.pictures[part][first : first + 2] for part, first in zip(parts, firsts, strict=True)])
        rows = torch.cat([self.rows[part][first : first + 2] for part, first in zip(parts, firsts, strict=True)])
        batch = F.interpolate(pictures.permute(0, 3, 1, 2).float(), (size.height, size.width), mode="bilinear", antialias=True)
        mirrored = torch.from_numpy(rng.random(len(batch)) < 0.5).to(self.device)
        bank = self.rows[int(rng.integers(len(self.rows)))]
        chosen = torch.from_numpy(rng.integers(len(bank), size=size.bank)).to(self.device)
        return torch.where(mirrored[:, None, None, None], batch.flip(3), batch), rows, bank[chosen]


def train_for(seconds: float, out: Path, size: Size, *, device: str, alive: Callable[[], bool], most_steps: float = math.inf) -> int:
    """Train until all runs together took so long; steps so far. `out/state` has the state, `out/weights` the running mean of the weights.

    Args:
        seconds: Seconds of all runs together; waiting for the first part counts.
        out: Folder of the pool, the state and the weights.
        size: Size of the crops and of a batch, and the network's backbone.
        device: Device to train on.
        alive: Whether a process still writes parts.
        most_steps: Steps of all runs together, if the time allows them.

    Raises:
        DataError: the processes that write parts have ended before the first one.
    """
    began = time.perf_counter()
    pool = DevicePool(out / "pool", device)
    while not pool.refresh():
        if not alive():
            raise DataError(f"{out / 'pool'}: the processes that render have ended without a part; their errors are above")
        time.sleep(0.2)
    torch.manual_seed(SEED)
    network, targets = ReidNetwork(config(size.height, size.width, size.backbone)), Targets(pool.rows[0].shape[1])
    targets.fit(pool.rows[0].cpu().numpy())
    network.to(device).to(memory_format=torch.channels_last)
    targets.to(device)
    mean = deepcopy(network).eval()
    optimizer = torch.optim.AdamW(network.parameters(), RATE, weight_decay=DECAY)
    parts: dict[str, Any] = {"network": network, "mean": mean, "optimizer": optimizer, "targets": targets}
    step, spent = _resumed(out / "state", parts)
    saved = looked = time.perf_counter()
    while ((now := spent + time.perf_counter() - began) < seconds and step < most_steps) or step == 0:
        for group in optimizer.param_groups:
            group["lr"] = RATE * factor(step, now / max(seconds, 1e-9))
        _step(network, targets, optimizer, pool.draw(size, np.random.default_rng((SEED, step))), device)
        follow(mean, network, min(AVERAGE, (step + 1) / (step + 10)))
        step += 1
        if time.perf_counter() - looked > LOOK:
            looked = time.perf_counter()
            pool.refresh()
        if time.perf_counter() - saved > SAVE:
            saved = time.perf_counter()
            _save(out, parts, step, now)
    _save(out, parts, step, spent + time.perf_counter() - began)
    return step


def factor(step: int, share: float) -> float:
    """Share of the rate at a step and a share of the time."""
    return max(0.0, min(1.0, (step + 1) / WARMUP, (1 - share) / COOL))


def relation(ours: Tensor, target: Tensor, bank: Tensor) -> Tensor:
    """How far the neighbours of unit rows (N, D) among (M, D) are from those of their targets (N, D): a KL divergence.

    Source: Fang et al., SEED (arXiv 2101.04731), Eq. 4, the two temperatures equal.
    """
    wanted = F.log_softmax(SHARPNESS * target @ bank.T, dim=1)
    return F.kl_div(F.log_softmax(SHARPNESS * ours @ bank.T, dim=1), wanted, reduction="batchmean", log_target=True)


def _step(
    network: ReidNetwork, targets: Targets, optimizer: torch.optim.Optimizer, drawn: tuple[Tensor, Tensor, Tensor], device: str
) -> None:
    pictures, rows, bank = drawn
    mean, std = (torch.tensor(values, device=device)[:, None, None] for values in (RGB_MEAN, RGB_STD))
    batch = ((pictures / 255 - mean) / std).contiguous(memory_format=torch.channels_last)
    target, others = targets(rows), targets(bank)
    with torch.autocast("cuda", torch.bfloat16, enabled=device != "cpu"):
        ours = network.train()(batch)
    ours = F.normalize(ours.float())
    loss = (1 - (ours * target).sum(dim=1)).mean() + RELATION * relation(ours, target, others)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(network.parameters(), CLIP)
    optimizer.step()


def _resumed(folder: Path, parts: dict[str, Any]) -> tuple[int, float]:
    """Load a state that is there; steps and seconds so far."""
    if not (folder / STATE_FILE).exists():
        return 0, 0.0
    state = load_state(folder)
    for name, part in parts.items():
        part.load_state_dict(state[name])
    return state["step"], state["seconds"]


def _save(out: Path, parts: dict[str, Any], step: int, seconds: float) -> None:
    save_state(out / "state", {name: part.state_dict() for name, part in parts.items()} | {"step": step, "seconds": seconds})
    mean = {name: tensor.cpu() for name, tensor in parts["mean"].state_dict().items()}
    save_state(out / "weights", {"mean": mean, "step": step})

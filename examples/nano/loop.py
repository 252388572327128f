"""The loop that all trainings of the bundled models share: steps, running mean of the weights, log, state to resume from."""

import math
import time
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from personsearch.training.checkpoint import STATE_FILE, Log, load_state, save_state


class Learner(nn.Module):
    """A network with all that it needs in order to learn.

    Attributes:
        network: Network whose running mean a model ships.
    """

    network: nn.Module

    def losses(self, step: int) -> dict[str, Tensor]:
        """Weighted losses of a step's batch, which depends on nothing but the step."""
        raise NotImplementedError

    def groups(self, rate: float) -> list[dict[str, Any]]:
        """The optimizer's parameter groups, each with its `lr`."""
        return [{"params": list(self.parameters()), "lr": rate}]

    def optimizer(self, rate: float, decay: float) -> torch.optim.Optimizer:
        """The optimizer of the groups; `decay` is the weight decay of groups without their own."""
        return torch.optim.AdamW(self.groups(rate), weight_decay=decay)


@dataclass(frozen=True)
class Schedule:
    """How long and how fast; the rate stays as it is after the warm-up, and sinks in a line to nothing in the last `cool` steps."""

    steps: int
    rate: float
    warmup: int = 100
    cool: int = 0
    cosine: bool = False  # whether the rate sinks along a cosine, from the first step to the last, instead
    decay: float = 0.02
    average: float = 0.998  # of the running mean, per step
    clip: float = 5.0  # of the gradients' norm
    save_every: int = 200

    def factor(self, step: int) -> float:
        """Share of the rate at a step."""
        if self.cosine:
            return min(1.0, (step + 1) / self.warmup) * (1 + math.cos(math.pi * step / self.steps)) / 2
        return min(1.0, (step + 1) / self.warmup, (self.steps - step) / self.cool if self.cool else 1.0)


def train(learner: Learner, out: Path, schedule: Schedule, *, before: Path | None = None) -> nn.Module:
    """Train up to `schedule.steps`, or resume; returns the running mean of the network, in eval mode. State and log are in `out`.

    Args:
        learner: Learner to train.
        out: Folder of state and log. A line of the log has the mean losses since the line before.
        schedule: How long and how fast.
        before: Folder of another training of the same networks, whose weights this one starts from.
    """
    mean = deepcopy(learner.network).eval()
    optimizer = learner.optimizer(schedule.rate, schedule.decay)
    rates = [group["lr"] for group in optimizer.param_groups]
    start = _resume(learner, mean, optimizer, out, before)
    log, sums, summed, began = Log(out, start), dict[str, float](), 0, time.perf_counter()
    for step in range(start, schedule.steps):
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate * schedule.factor(step)
        losses = learner.train().losses(step)
        optimizer.zero_grad(set_to_none=True)
        torch.stack(list(losses.values())).sum().backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(learner.parameters(), schedule.clip)
        optimizer.step()
        follow(mean, learner.network, min(schedule.average, (step + 1) / (step + 10)))
        for name, loss in losses.items():
            sums[name] = sums.get(name, 0.0) + float(loss.detach())
        summed += 1
        if (step + 1) % schedule.save_every == 0 or step + 1 == schedule.steps:
            means = {name: total / summed for name, total in sums.items()}
            log.write(step=step + 1, **means, seconds=time.perf_counter() - began)
            sums, summed = {}, 0
            parts: dict[str, Any] = {"learner": learner, "mean": mean, "optimizer": optimizer}
            save_state(out, {name: part.state_dict() for name, part in parts.items()} | {"step": step + 1})
    return mean


def _resume(learner: Learner, mean: nn.Module, optimizer: torch.optim.Optimizer, out: Path, before: Path | None) -> int:
    """Load the state in `out`, or the weights of `before`; returns the step to resume from."""
    if (out / STATE_FILE).exists():
        saved = load_state(out)
        optimizer.load_state_dict(saved["optimizer"])
        start: int = saved["step"]
    elif before is not None:
        saved, start = load_state(before), 0
    else:
        return 0
    learner.load_state_dict(saved["learner"])
    mean.load_state_dict(saved["mean"])
    if start == 0:
        learner.network.load_state_dict(saved["mean"])
    return start


@torch.no_grad()
def follow(mean: nn.Module, network: nn.Module, keep: float) -> None:
    """Move the running mean towards the network; statistics of batch norm too."""
    for old, new in zip(mean.state_dict().values(), network.state_dict().values(), strict=True):
        if old.is_floating_point():
            old.lerp_(new, 1 - keep)

"""The training loop: any device, mixed precision, accumulated gradients, and the same numbers after a break as without."""

import copy
import logging
import math
import time
from collections.abc import Callable, Iterator
from itertools import chain, islice
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from personsearch.errors import ConfigError, DataError, TrainingError
from personsearch.models.base import PersonModel
from personsearch.options import from_json
from personsearch.training.checkpoint import MODEL_FOLDER, Log, load_state, open_board, save_state, save_trained
from personsearch.training.data.aspects import by_aspect
from personsearch.training.data.batches import Draw, Loading, TrainBatch, epoch_batches
from personsearch.training.data.dataset import PeopleDataset
from personsearch.training.learners.base import Learner
from personsearch.training.optimize import build_optimizer, rate_factor, set_rate
from personsearch.training.recipes.schema import Recipe

log = logging.getLogger(__name__)

Evaluate = Callable[[PersonModel], dict[str, float]]
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
STATE = {"recipe": str, "data": list, "step": int, "learner": dict, "optimizer": dict, "scaler": dict}  # what is saved, by name
UNKNOWN = "0" * 64  # fingerprint of a network that is still learning; its galleries are never kept


class Trainer:
    """One training, in a folder of its own: `training.pt` to resume, `model/` to search with, `log.jsonl` to plot.

    A step's randomness comes from the recipe's seed and the step's number alone, and a picture's from the seed, the epoch and
    its number. So a training that is stopped and resumed gives the same numbers as one that is not: bit for bit on a CPU with
    the same threads and workers; on a GPU up to the order in which some of its operators add.

    Args:
        recipe: recipe to follow.
        learner: built of the recipe for the data set's identities; moved to `device`.
        dataset: data to learn from.
        out: folder of the training.
        device: "cpu", "cuda" or "cuda:1".
        workers: processes that decode pictures; 0 decodes in this one.
        evaluate: function that measures the model every `recipe.evaluate_every` epochs and at the end; its numbers go to the log.
        save_every: steps between two states, besides the one after each epoch; None for no more than those.
        progress: show a bar on stderr.
        tensorboard: also write the log's numbers for TensorBoard.
    """

    def __init__(
        self,
        recipe: Recipe,
        learner: Learner,
        dataset: PeopleDataset,
        out: Path,
        *,
        device: str = "cpu",
        workers: int = 0,
        evaluate: Evaluate | None = None,
        save_every: int | None = None,
        progress: bool = False,
        tensorboard: bool = False,
    ) -> None:
        if not len(dataset):
            raise ConfigError("the data set has no pictures; pass one with pictures")
        self.recipe, self.learner, self.out = recipe, learner.to(device), out
        self.device = torch.device(device)
        self.evaluate, self.save_every, self.progress = evaluate, save_every, progress
        self.tensorboard = tensorboard
        self.pictures, self.identities = len(dataset), dataset.identities
        self.loading = Loading(learner.items(dataset, recipe.augment, recipe.seed), workers)
        self.optimizer = build_optimizer(learner, recipe.optimizer)
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=recipe.precision == "float16")
        self.step = 0
        self.groups = by_aspect(dataset) if recipe.by_aspect else None
        self.steps_per_epoch = math.ceil(len(self._batches(0)) / recipe.accumulate)

    @property
    def last_step(self) -> int:
        """Steps of the whole training."""
        return self.steps_per_epoch * self.recipe.epochs

    def resume(self) -> None:
        """Continue from the folder's state.

        Raises:
            DataError: the state is missing or damaged.
            ConfigError: the state is of another recipe.
        """
        state = load_state(self.out)
        wrong = [name for name, kind in STATE.items() if not isinstance(state.get(name), kind)]
        if wrong:
            raise DataError(f"the state in {self.out} lacks {', '.join(wrong)}, or has it in another form; start again")
        same_recipe = from_json(state["recipe"], f"the recipe in {self.out}", error=DataError) == self.recipe.model_dump(mode="json")
        if not same_recipe or state["data"] != [self.pictures, self.identities]:
            raise ConfigError(f"{self.out} holds a training by another recipe or on other data; pass its own, or another folder")
        try:
            self.learner.load_state_dict(state["learner"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.scaler.load_state_dict(state["scaler"])
        except (RuntimeError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(f"the state in {self.out} does not fit the recipe's network ({error!r:.300}); start again") from error
        if not 0 <= state["step"] <= self.last_step:
            raise DataError(f"the state in {self.out} is of step {state['step']}, the training has {self.last_step}; start again")
        self.step = state["step"]

    def run(self, until: int | None = None) -> None:
        """Train up to step `until`, by default to the end; leaves state, model and log in the folder.

        Raises:
            TrainingError: a loss is not finite.
        """
        end = self.last_step if until is None else min(until, self.last_step)
        board = open_board(self.out, self.step) if self.tensorboard else None
        devices = [self.device] if self.device.type == "cuda" else []
        with (
            Log(self.out, self.step, board) as lines,
            torch.random.fork_rng(devices=devices),
            tqdm(total=self.last_step, initial=self.step, desc=self.recipe.name, disable=not self.progress) as bar,
        ):
            if self.step and self.step % self.steps_per_epoch == 0 and not lines.measured(self.step):
                self._measure(self.step // self.steps_per_epoch - 1, lines)  # the run before was cut off in it
            while self.step < end:
                self._epoch(end, lines, bar)

    def model(self) -> PersonModel:
        """A copy of the network as it is now, ready to search with."""
        return self.learner.model(copy.deepcopy(self.learner.network).eval(), UNKNOWN, str(self.device))

    def _epoch(self, end: int, lines: Log, bar: "tqdm[None]") -> None:
        """What is left of the epoch of this step, or up to step `end`."""
        epoch = self.step // self.steps_per_epoch
        for batches in islice(self._groups(epoch), end - self.step):
            started = time.perf_counter()
            losses = self._learn(batches)
            self.step += 1
            total = sum(losses.values())
            rate = self.optimizer.param_groups[0]["lr"]
            lines.write(step=self.step, epoch=epoch, rate=rate, loss=total, **losses, seconds=time.perf_counter() - started)
            bar.update()
            bar.set_postfix(loss=f"{total:.3f}")
            if self.save_every and self.step % self.save_every == 0 and self.step % self.steps_per_epoch:
                self._save()
        self._save()  # before the measurement, which can take long: a run that is cut off in it has only that to do again
        if self.step % self.steps_per_epoch == 0:
            self._measure(epoch, lines)

    def _groups(self, epoch: int) -> Iterator[list[TrainBatch]]:
        """The batches of each step that is left of an epoch."""
        batches = self._batches(epoch)
        size = self.recipe.accumulate
        groups: list[list[list[Draw]]] = [batches[start : start + size] for start in range(0, len(batches), size)]
        left = groups[self.step % self.steps_per_epoch :]
        loaded = self.loading(list(chain.from_iterable(left)))
        return ([next(loaded) for _ in group] for group in left)

    def _batches(self, epoch: int) -> list[list[Draw]]:
        recipe = self.recipe
        return epoch_batches(self.pictures, recipe.batch_size, recipe.seed, epoch, last=recipe.last_batch, groups=self.groups)

    def _learn(self, batches: list[TrainBatch]) -> dict[str, float]:
        """One step of the optimizer; the mean of each loss over the batches."""
        recipe = self.recipe
        torch.manual_seed(int(np.random.SeedSequence([recipe.seed, self.step]).generate_state(1)[0]))
        set_rate(self.optimizer, rate_factor(self.step, self.steps_per_epoch, recipe.epochs, recipe.optimizer))
        self.learner.train()
        self.optimizer.zero_grad(set_to_none=True)
        sums: dict[str, float] = {}
        for batch in batches:
            with torch.autocast(self.device.type, DTYPES[recipe.precision], enabled=recipe.precision != "float32"):
                losses: dict[str, Tensor] = self.learner(batch.to(self.device))
            total = torch.stack(list(losses.values())).sum() / len(batches)
            self.scaler.scale(total).backward()  # type: ignore[no-untyped-call]
            for name, loss in losses.items():
                sums[name] = sums.get(name, 0.0) + float(loss.detach()) / len(batches)
        self._check(sums)
        self.scaler.unscale_(self.optimizer)
        if recipe.optimizer.clip is not None:
            torch.nn.utils.clip_grad_norm_(self.learner.parameters(), recipe.optimizer.clip)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        return sums

    def _check(self, losses: dict[str, float]) -> None:
        for name, loss in losses.items():
            if not math.isfinite(loss):
                raise TrainingError(f"step {self.step + 1}: {name} is {loss}; resume with a lower learning rate or clip")

    def _measure(self, epoch: int, lines: Log) -> None:
        last = self.step == self.last_step
        if self.evaluate is not None and (last or (epoch + 1) % self.recipe.evaluate_every == 0):
            numbers = self.evaluate(self.model())
            lines.write(step=self.step, epoch=epoch, **numbers)
            log.info("epoch %d: %s", epoch + 1, ", ".join(f"{name} {value:.4f}" for name, value in numbers.items()))

    def _save(self) -> None:
        save_trained(self.out / MODEL_FOLDER, *self.learner.exported())
        save_state(
            self.out,
            {
                "recipe": self.recipe.model_dump_json(),
                "data": [self.pictures, self.identities],
                "step": self.step,
                "learner": self.learner.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "scaler": self.scaler.state_dict(),
            },
        )

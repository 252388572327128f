"""The loop of all trainings of the bundled models: rates, the running mean, going on bit for bit."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from examples.nano.loop import Learner, Schedule, follow, train
from personsearch.training.checkpoint import LOG_FILE, STATE_FILE
from tests.helpers.bundled_files import assert_goes_on

pytestmark = pytest.mark.usefixtures("one_thread")


class Line(Learner):
    """Learns to double numbers; each step has its own."""

    def __init__(self) -> None:
        super().__init__()
        self.network = nn.Linear(1, 1)
        nn.init.zeros_(self.network.weight)
        nn.init.zeros_(self.network.bias)

    def losses(self, step: int) -> dict[str, Tensor]:
        x = torch.rand(8, 1, generator=torch.Generator().manual_seed(step))
        return {"square": (self.network(x) - 2 * x).square().mean()}


def test_the_rate_rises_stays_and_sinks() -> None:
    schedule = Schedule(1000, 0.1, warmup=10, cool=100)
    assert [schedule.factor(step) for step in (0, 4, 9, 500, 900, 950, 999)] == pytest.approx([0.1, 0.5, 1, 1, 1, 0.5, 0.01])
    assert Schedule(1000, 0.1, warmup=10).factor(999) == 1  # without an end it stays


def test_the_mean_follows_the_network() -> None:
    mean, network = nn.BatchNorm1d(1), nn.BatchNorm1d(1)
    network.weight.data.fill_(3)
    network.running_mean.fill_(10)
    network.num_batches_tracked.fill_(5)
    follow(mean, network, 0.75)
    assert (mean.weight.item(), mean.running_mean.item(), mean.num_batches_tracked.item()) == (1.5, 2.5, 0)


def test_a_training_learns_and_logs(tmp_path: Path) -> None:
    mean = train(Line(), tmp_path, Schedule(300, 0.05, warmup=1, decay=0, average=0.9, save_every=100))
    assert mean(torch.tensor([[0.5]])).item() == pytest.approx(1, abs=0.05)
    lines = [json.loads(line) for line in (tmp_path / LOG_FILE).read_text().splitlines()]
    assert [line["step"] for line in lines] == [100, 200, 300]
    assert lines[0]["square"] > 10 * lines[2]["square"]


def test_the_last_line_of_a_log_was_a_share_of_its_mean(tmp_path: Path) -> None:
    """Losses of fewer steps than there are between two states were divided by the larger number."""
    train(Line(), tmp_path, Schedule(5, 0.0, save_every=2, warmup=1))  # at a rate of 0 a step's loss does not depend on those before
    lines = [json.loads(line) for line in (tmp_path / LOG_FILE).read_text().splitlines()]
    expected = [Line().losses(step)["square"].item() for step in range(5)]
    means = [(expected[0] + expected[1]) / 2, (expected[2] + expected[3]) / 2, expected[4]]
    assert [line["square"] for line in lines] == pytest.approx(means)


def test_a_training_goes_on_where_it_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(out: Path) -> Any:
        return train(Line(), out, Schedule(2, 0.1, warmup=1, save_every=1))

    assert_goes_on(run, tmp_path, monkeypatch)


def test_a_training_starts_from_the_one_before(tmp_path: Path) -> None:
    """It takes the mean as the network's weights, counts its steps from 0, and leaves the other's state alone."""
    before = train(Line(), tmp_path / "one", Schedule(20, 0.1, warmup=1))
    saved = (tmp_path / "one" / STATE_FILE).read_bytes()
    learner = Line()
    after = train(learner, tmp_path / "two", Schedule(0, 0.1), before=tmp_path / "one")
    assert torch.equal(after.weight, before.weight)
    assert torch.equal(learner.network.weight, before.weight)
    assert (tmp_path / "one" / STATE_FILE).read_bytes() == saved

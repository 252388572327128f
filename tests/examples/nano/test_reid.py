"""How the small crop network is trained: losses by hand, batches that belong together, a training that goes on bit for bit."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Generator, nn

from examples.nano import reid
from examples.nano.assemble import assemble
from examples.nano.crop_changes import change
from examples.nano.reid import Pack, Phase, batch_hard, draw, follow, rate_at, relation
from personsearch.models import open_folder
from personsearch.models.nano.detector import NanoNetwork, NanoOptions
from personsearch.training.checkpoint import STATE_FILE, save_state
from tests.helpers.bundled_files import assert_goes_on

pytestmark = pytest.mark.usefixtures("one_thread")


def test_batch_hard_by_hand() -> None:
    """Rows at 0, 60, 90 and 180 degrees are 1, sqrt 2, 2, ... apart; each has its farthest own and its nearest other."""
    angles = torch.deg2rad(torch.tensor([0.0, 60, 90, 180], dtype=torch.float64))
    rows = torch.stack([angles.cos(), angles.sin()], dim=1)
    chord = lambda degrees: 2 * math.sin(math.radians(degrees) / 2)  # noqa: E731
    hard = [chord(60) - chord(90), chord(60) - chord(30), chord(90) - chord(30), chord(90) - chord(120)]
    expected = np.mean([math.log1p(math.exp(4 * one)) / 4 for one in hard])
    assert batch_hard(rows, torch.tensor([0, 0, 1, 1])).item() == pytest.approx(expected)


def test_batch_hard_pulls_together_and_pushes_apart() -> None:
    angles = torch.tensor([0.0, 1.0, 1.5, 3.0], dtype=torch.float64, requires_grad=True)
    batch_hard(torch.stack([angles.cos(), angles.sin()], dim=1), torch.tensor([0, 0, 1, 1])).backward()
    assert angles.grad[1] > 0  # towards its own at 0 and away from the other at 1.5
    assert angles.grad[2] < 0
    equal = torch.ones(4, 2, dtype=torch.float64).div(math.sqrt(2)).requires_grad_()
    batch_hard(equal, torch.tensor([0, 0, 1, 1])).backward()
    assert equal.grad.isfinite().all()  # the root of a distance of nothing has no slope


def test_the_relation_counts_as_much_as_the_phase_says() -> None:
    torch.manual_seed(0)
    learner = reid.CropLearner(3, 5).eval()
    crops, teacher = torch.randn(6, 3, 128, 64), torch.nn.functional.normalize(torch.randn(6, 5))

    def losses(weight: float) -> dict[str, torch.Tensor]:
        return learner(crops, torch.tensor([0, 0, 1, 1]), teacher, Phase(1, relation=weight))

    with torch.no_grad():
        none, once, twice = losses(0), losses(1), losses(2)
        real = torch.nn.functional.normalize(learner.network.features(crops)[4:])
    assert "relation" not in none
    assert once["relation"].item() == pytest.approx(relation(real, teacher[4:]).item(), rel=1e-4)
    assert twice["relation"].item() == pytest.approx(2 * once["relation"].item())
    assert once["relation"] > 0


def test_relation_by_hand() -> None:
    """Cosines 1 and 0 here, 1 and 0.6 there: the two pairs that are not of a row with itself are 0.6 off."""
    ours, theirs = torch.eye(2), torch.tensor([[1.0, 0.0], [0.6, 0.8]])
    assert relation(ours, theirs).item() == pytest.approx(2 * 0.36 / 4)
    assert relation(theirs, theirs).item() == 0


def test_changed_crops() -> None:
    crops = torch.randint(0, 255, (8, 3, 128, 64), dtype=torch.uint8, generator=Generator().manual_seed(0))
    first, again, other = (change(crops, Generator().manual_seed(seed)) for seed in (0, 0, 1))
    assert (first.shape, first.dtype) == ((8, 3, 128, 64), torch.float32)
    assert first.isfinite().all()
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert (first[0] - first[1]).abs().mean() > 0.1  # each in its own way


def test_rates() -> None:
    """Up in a line, down in a cosine."""
    phase = Phase(6000, rate=0.01)
    assert rate_at(0, phase) == pytest.approx(0.01 / reid.WARMUP)
    assert rate_at(3000, phase) == pytest.approx(0.005)
    assert rate_at(6000, phase) == pytest.approx(0)


def test_the_mean_follows_the_network() -> None:
    mean, network = nn.BatchNorm1d(1), nn.BatchNorm1d(1)
    network.weight.data.fill_(3)
    network.running_mean.fill_(10)
    network.num_batches_tracked.fill_(5)
    follow(mean, network, 0.75)
    assert (mean.weight.item(), mean.running_mean.item(), mean.num_batches_tracked.item()) == (1.5, 2.5, 0)


def pack(identities: int = 16, views: int = 5) -> Pack:
    """Crops whose first pixel is their identity and view, as their features are."""
    rng = np.random.default_rng(0)
    crops = rng.integers(0, 255, (identities, views, 128, 64, 3), dtype=np.uint8)
    crops[:, :, 0, 0, 0], crops[:, :, 0, 0, 1] = np.arange(identities)[:, None], np.arange(views)
    real = rng.integers(0, 255, (6, 128, 64, 3), dtype=np.uint8)
    real[:, 0, 0, 0], real[:, 0, 0, 1] = 200 + np.arange(6), 99
    features = np.concatenate([crops[:, :, 0, 0, :2].reshape(-1, 2), np.zeros((0, 2))]).astype(np.float32) + 1
    return Pack(crops, features, real, real[:, 0, 0, :2].astype(np.float32) + 1)


def test_what_is_drawn_belongs_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reid, "PAIRS", 4)
    crops, identities, teacher = draw(pack(), np.random.default_rng(0), 5)
    assert crops[:, :2, 0, 0].tolist() == (teacher - 1).tolist()
    assert crops[: len(identities), 0, 0, 0].tolist() == identities.tolist()
    assert (crops[len(identities) :, 0, 0, 0] >= 200).all()
    assert len(crops) == len(identities) + 5
    names, counts = identities.unique(return_counts=True)
    assert (counts == reid.VIEWS).all()
    doubles = [name for name in names.tolist() if name % 4 == 3 and name - 1 in names]
    assert len(doubles) >= 2


def test_trainings_go_on_where_they_stopped_and_make_a_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PAIRS", "VIEWS"):
        monkeypatch.setattr(reid, name, 2)
    data = pack()

    def train(out: Path, **options: Any) -> Any:
        return reid.train(data, out, Phase(2, real=2, **options), save_every=1)

    first = assert_goes_on(train, reid, tmp_path, monkeypatch)
    mean = reid.train(data, tmp_path / "second", Phase(0), before=first)
    assert not (tmp_path / "second" / STATE_FILE).exists()
    saved = torch.load(first / STATE_FILE, weights_only=True)["mean"]
    assert all(torch.equal(tensor, saved[name]) for name, tensor in mean.state_dict().items() if tensor.is_floating_point())

    save_state(tmp_path / "detector", {"mean": NanoNetwork(NanoOptions()).state_dict(), "step": 0})
    model = open_folder(assemble(first, tmp_path / "detector", tmp_path / "model", min_score=0.3), "cpu")
    assert (model.name, model.min_score, model.embedding_dim) == ("nano", 0.3, 256)
    rows = model.embed_crops([np.full((60, 30, 3), 90, np.uint8)])
    assert np.linalg.norm(rows, axis=1) == pytest.approx(1, abs=1e-4)

"""How the small detector is trained: losses by hand, views, a training that goes on bit for bit."""

import json
import math
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from examples.nano import detector, pictures
from examples.nano.detector import MATRICES, OPTIONS, RATES, DetectorLearner, Phase, part_of
from examples.nano.detector_losses import cells_like, quality_focal
from examples.nano.imitation import distance, neck_losses, stage_losses, stages_of, student, taught_maps, without_norms
from examples.nano.loop import Schedule
from examples.nano.loop import train as train_with
from examples.nano.pictures import Picture, listed, mosaic, rendered, view
from personsearch.errors import ConfigError
from personsearch.models.nano.detector import CellPredictions, NanoNetwork
from personsearch.models.nano.options import NanoOptions
from tests.helpers.bundled_files import assert_goes_on
from tests.helpers.nano_models import lively

pytestmark = pytest.mark.usefixtures("one_thread")
RED, BLUE = (255, 0, 0), (0, 0, 255)
PERSON = (300, 150, 420, 330)


# ---- losses ----


def test_quality_focal_by_hand_and_its_gradient() -> None:
    """Half sure: (target - .5)^2 x ln 2; the squared distance is a weight, so the gradient is distance^2 x (.5 - target)."""
    logits = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    loss = quality_focal(logits, torch.tensor([1.0, 0.0, 0.8], dtype=torch.float64))
    assert loss.tolist() == pytest.approx([0.25 * math.log(2), 0.25 * math.log(2), 0.09 * math.log(2)])
    loss.sum().backward()
    assert logits.grad.tolist() == pytest.approx([0.25 * -0.5, 0.25 * 0.5, 0.09 * -0.3])


def test_quality_focal_ends_at_the_target() -> None:
    """A score that is its target costs nothing, whatever the target."""
    target = torch.tensor([0.2, 0.5, 0.9])
    assert quality_focal(target.logit(), target).abs().max() < 1e-6


# ---- pictures ----


@pytest.fixture
def drawn(tmp_path: Path) -> Picture:
    """A red person on blue, 640 x 480."""
    image = np.full((480, 640, 3), BLUE, np.uint8)
    left, top, right, bottom = PERSON
    image[top:bottom, left:right] = RED
    cv2.imwrite(str(tmp_path / "drawn.png"), image[..., ::-1])
    return Picture(tmp_path / "drawn.png", np.float32([PERSON]))


def reds(canvas: Any) -> int:
    return int(((canvas[..., 0] > 128) & (canvas[..., 2] < 100)).sum())


def test_half_of_the_pieces_lie_around_a_person(drawn: Picture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "_light", lambda canvas, rng: canvas)  # so that red is red
    for near, least in ((1.0, 1), (0.0, 0)):
        monkeypatch.setattr(pictures, "NEAR", near)
        counts = [reds(view(drawn, np.random.default_rng(seed), (64, 96))) for seed in range(30)]
        assert min(counts) >= least
        assert (min(counts) == 0) == (near == 0)


def test_a_view_is_the_same_for_the_same_numbers(drawn: Picture) -> None:
    first, again, other = (view(drawn, np.random.default_rng(seed), (128, 160)) for seed in (0, 0, 1))
    assert first.shape == (128, 160, 3)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_lists_of_pictures(tmp_path: Path) -> None:
    rows = [{"path": "a.jpg", "boxes": [[1, 2, 3, 4]], "unsure": []}, {"path": "b.jpg", "boxes": [], "unsure": [[5, 6, 7, 8]]}]
    (tmp_path / "photos.json").write_text(json.dumps(rows))
    first, second = listed(tmp_path / "photos.json")
    assert (first.path, first.boxes.tolist(), second.boxes.shape) == (Path("a.jpg"), [[1, 2, 3, 4]], (0, 4))
    (tmp_path / "images").mkdir()
    for name in ("y.jpg", "x.jpg"):
        (tmp_path / "images" / name).touch()
    assert [scene.path.name for scene in rendered(tmp_path)] == ["x.jpg", "y.jpg"]


def test_a_mosaic_has_pieces_of_four_pictures(drawn: Picture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "_light", lambda canvas, rng: canvas)
    monkeypatch.setattr(pictures, "NEAR", 1.0)
    one = mosaic([drawn] * 4, np.random.default_rng(2), (128, 160))
    assert one.shape == (128, 160, 3)
    assert all(reds(one[top : top + 64, left : left + 80]) for top in (0, 64) for left in (0, 80))


# ---- the training ----


TEACHER = NanoOptions(width=8, channels=8)


def test_a_batch_norm_is_merged_without_a_change() -> None:
    torch.manual_seed(0)
    network = lively(student(TEACHER))
    pixels = torch.rand(1, 3, 64, 64) * 255
    with torch.inference_mode():
        before, after = network(pixels), without_norms(network, TEACHER)(pixels)
    assert network.state_dict().keys() != NanoNetwork(TEACHER).state_dict().keys()
    torch.testing.assert_close(after.boxes, before.boxes, rtol=1e-4, atol=1e-2)  # sums in another order
    torch.testing.assert_close(after.logits, before.logits, rtol=1e-4, atol=1e-3)


def test_the_teacher_itself_is_no_distance_away() -> None:
    """Of its own maps each stage makes the next one; another network does not."""
    teacher, other = (lively(NanoNetwork(TEACHER)) for _ in range(2))
    for parameter in other.parameters():
        parameter.data *= 1.5
    pixels = torch.rand(1, 3, 64, 64) * 255
    stages, neck, cells = taught_maps(teacher, pixels)

    def losses(network: Any) -> dict[str, Tensor]:
        ours = [stage(before) for stage, before in zip(stages_of(network.backbone), [pixels, *stages[:3]], strict=True)]
        return stage_losses(ours, stages) | neck_losses(network.backbone.neck(stages[1:]), neck, cells.logits.sigmoid())

    with torch.no_grad():
        assert set(losses(teacher)) == {"stage2", "stage3", "stage4", "stage5", "neck3", "neck4", "neck5"}
        assert all(float(loss) == pytest.approx(0, abs=1e-5) for loss in (losses(teacher) | cells_like(cells, cells)).values())
        assert min(float(loss) for loss in losses(other).values()) > 1e-3


def test_a_map_that_knows_the_means_only_is_at_distance_one() -> None:
    torch.manual_seed(0)
    taught = torch.randn(2, 3, 40, 40) * torch.tensor([1.0, 5.0, 20.0])[:, None, None] + 3
    means = taught.mean(dim=(0, 2, 3), keepdim=True).expand_as(taught)
    assert float(distance(taught, taught)) == 0
    assert 0.5 < float(distance(means, taught)) <= 1  # faint channels count less
    left = torch.zeros(2, 1, 40, 40)
    left[..., :20] = 1
    half = torch.where(left > 0, taught, means)
    assert float(distance(half, taught, left)) == 0
    assert float(distance(half, taught, 1 - left)) == pytest.approx(2 * float(distance(half, taught)))


def test_cells_learn_scores_and_boxes_by_hand() -> None:
    """One person of score .8 whose box is half covered: 2 x .3^2 x the cross-entropy, and 1.5 x (1 - IoU), each over .8."""
    taught = CellPredictions(torch.tensor([[0.8]]).logit(), torch.tensor([[[0.0, 0, 10, 10]]]))
    ours = CellPredictions(torch.zeros(1, 1), torch.tensor([[[0.0, 0, 10, 5]]]))
    losses = cells_like(ours, taught)
    assert float(losses["score"]) == pytest.approx(2 * 0.09 * math.log(2))  # over at least 1
    assert float(losses["box"]) == pytest.approx(1.5 * 0.5 * 0.8)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detector, "OPTIONS", OPTIONS.model_copy(update={"width": 8, "channels": 8}))
    monkeypatch.setattr(detector, "SHAPES", ((2, 128, 128),))
    monkeypatch.setattr(detector, "LARGE", (2, 128, 128))
    monkeypatch.setattr(detector, "CACHED", 2)
    monkeypatch.setattr(detector, "DRAWN", 3)


def made(phase: Phase, drawn: Picture) -> DetectorLearner:
    torch.manual_seed(1)
    return DetectorLearner([drawn], [drawn], lively(NanoNetwork(TEACHER)), phase)  # type: ignore[arg-type]


@pytest.mark.parametrize("phase", list(Phase))
def test_each_tensor_has_the_rate_of_its_part(phase: Phase, drawn: Picture, small: None) -> None:
    learner = made(phase, drawn)
    groups = learner.groups(1.0)
    assert sum(len(group["params"]) for group in groups) == len(list(learner.network.parameters()))
    parts = RATES[phase]
    assert {group["lr"] for group in groups if not group["matrices"]} == set(parts.values())
    assert {group["lr"] for group in groups if group["matrices"]} == {parts[part] * MATRICES[phase] for part in parts if part != "heads"}
    assert all(tensor.ndim == 4 for group in groups if group["matrices"] for tensor in group["params"])


@pytest.mark.parametrize("phase", list(Phase))
def test_a_phase_teaches_its_parts_and_keeps_statistics(phase: Phase, drawn: Picture, small: None) -> None:
    """Only the first phase takes new statistics of all batch norms; the second teaches the fifth stage and what reads it."""
    learner = made(phase, drawn).train()
    before = {name: tensor.clone() for name, tensor in learner.network.named_buffers() if name.endswith("running_mean")}
    losses = learner.losses(0)
    sum(losses.values()).backward()  # type: ignore[union-attr]  # tensors
    taught = {part_of(name) for name, tensor in learner.network.named_parameters() if tensor.grad is not None and tensor.grad.any()}
    changed = {
        part_of(name) for name, tensor in learner.network.named_buffers() if name in before and not torch.equal(tensor, before[name])
    }
    everything = {"front", "fifth", "neck", "heads"}
    assert taught == ({"fifth"} if phase == Phase.DEEPEST else everything)
    assert changed == {Phase.STAGES: everything - {"heads"}, Phase.DEEPEST: {"fifth"}, Phase.WHOLE: set()}[phase]
    assert all(bool(loss.isfinite()) for loss in losses.values())


def test_a_short_training_of_the_fifth_stage_waited_for_all_maps(drawn: Picture, small: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """`--steps 4` computed the maps of 1,000 batches; now those of the drawn ones, each once."""
    monkeypatch.setattr(detector, "CACHED", 1000)
    learner, batches = made(Phase.DEEPEST, drawn), list[int]()
    pixels = learner.pixels
    monkeypatch.setattr(learner, "pixels", lambda step: batches.append(step) or pixels(step))
    first = learner.losses(0)["read"]
    assert 0 < len(batches) <= detector.DRAWN
    assert max(batches) < 0  # no batch of a step of another phase
    assert torch.equal(learner.losses(0)["read"], first)
    assert len(set(batches)) == len(batches)


def test_maps_are_mirrored_with_what_is_read_of_them(drawn: Picture, small: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Layers that return their input have a distance of zero to it, also when the maps are mirrored."""
    learner, maps = made(Phase.DEEPEST, drawn), torch.rand(2, 4, 3, 5)
    mirrored = list[bool]()
    first = nn.Identity()
    first.register_forward_hook(lambda _, inputs, __: mirrored.append(not any(torch.equal(inputs[0][0], one) for one in maps)))
    monkeypatch.setattr(learner, "_maps", lambda _: (maps, maps))
    monkeypatch.setattr(learner, "_fifth", lambda: (first, nn.Identity()))
    assert [float(learner.losses(step)["read"]) for step in range(8)] == [0] * 8
    assert set(mirrored) == {True, False}


@pytest.mark.parametrize("phase", list(Phase))
def test_the_later_phases_see_large_views(phase: Phase, drawn: Picture, small: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detector, "LARGE", (1, 160, 96))
    assert made(phase, drawn).pixels(0).shape == ((2, 3, 128, 128) if phase == Phase.STAGES else (1, 3, 160, 96))


@pytest.mark.parametrize("phase", [Phase.DEEPEST, Phase.WHOLE])
def test_a_later_phase_started_from_random_weights(phase: Phase, tmp_path: Path) -> None:
    """Their batch norms keep the statistics of the phase before, which random weights do not have."""
    with pytest.raises(ConfigError, match=f"{phase} starts .* --before"):
        detector.main(tmp_path / "photos.json", tmp_path / "teacher", tmp_path / "out", phase)


def test_in_the_last_phase_a_stage_sees_ours_before_it(drawn: Picture, small: None) -> None:
    """A change of our third stage changes what comes behind it only where the stages learn in sequence."""
    for phase, changes in ((Phase.STAGES, False), (Phase.WHOLE, True)):
        learner = made(phase, drawn).eval()
        with torch.no_grad():
            before = learner.losses(0)
            learner.network.backbone.stage3[-1].get_submodule("merge.0").weight.mul_(3.0)  # type: ignore[operator]  # a tensor
            after = learner.losses(0)
        assert float(before["stage3"]) != float(after["stage3"])
        assert all((float(before[name]) != float(after[name])) == changes for name in ("stage4", "read", "neck3", "neck5", "score"))


def test_the_last_phase_weighs_the_cells_and_not_the_fifth_map(drawn: Picture, small: None, monkeypatch: pytest.MonkeyPatch) -> None:
    learner = made(Phase.WHOLE, drawn).eval()
    with torch.no_grad():
        once = {name: float(loss) for name, loss in learner.losses(0).items()}
        monkeypatch.setattr(detector, "CELLS", 2 * detector.CELLS)
        twice = {name: float(loss) for name, loss in learner.losses(0).items()}
    assert once["stage5"] == 0 < min(once["read"], once["stage4"])
    assert {name for name in once if twice[name] == pytest.approx(2 * once[name]) and once[name]} == {"score", "box"}


@pytest.mark.slow
@pytest.mark.parametrize("phase", list(Phase))
def test_a_training_goes_on_where_it_stopped(
    phase: Phase, drawn: Picture, small: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def train(out: Path) -> Any:
        return train_with(made(phase, drawn), out, Schedule(2, detector.RATE[phase], warmup=2, save_every=1))

    assert_goes_on(train, tmp_path, monkeypatch)

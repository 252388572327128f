"""How the small detector is trained: losses and targets by hand, views with exact boxes, a training that goes on bit for bit."""

import json
import math
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from examples.nano import detector, pictures
from examples.nano.detector import OPTIONS, DetectorLearner, Phase
from examples.nano.detector_losses import assign, best_overlap, cell_middles, cells_like, losses_of, quality_focal, seen_at_best
from examples.nano.imitation import distance, stage_losses, student, taught_maps, without_norms
from examples.nano.loop import Schedule
from examples.nano.loop import train as train_with
from examples.nano.pictures import SIDE, Picture, TrainView, listed, mosaic, rendered, view
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


def judged(logit: float, teacher_score: float, true: list[list[float]]) -> dict[str, float]:
    """The losses of a view where cell 0 has this logit, and a box that the teacher has too; all other cells say nothing."""
    count = len(cell_middles(SIDE)[0])
    boxes = torch.tensor([0.0, 0, 1, 1]).repeat(1, count, 1)
    boxes[0, 0] = torch.tensor([100.0, 100, 150, 250])
    logits, taught = (torch.full((1, count), -20.0) for _ in range(2))
    logits[0, 0], taught[0, 0] = logit, math.log(teacher_score / (1 - teacher_score))
    one = TrainView(np.zeros((SIDE, SIDE, 3), np.uint8), np.array(true, np.float32).reshape(-1, 4), np.zeros((0, 4), np.float32))
    return {name: float(loss) for name, loss in losses_of(CellPredictions(logits, boxes), CellPredictions(taught, boxes), [one]).items()}


def test_the_teacher_is_right_where_somebody_stands_and_wrong_where_nobody_does() -> None:
    sure = math.log(9)  # a score of 0.9, as the teacher's
    assert judged(sure, 0.9, [[100, 100, 150, 250]]) == pytest.approx({"score": 0, "box": 0}, abs=1e-5)
    # no person: the target is 0, so 2 x 0.9^2 x -ln 0.1, over at least 1
    assert judged(sure, 0.9, []) == pytest.approx({"score": 2 * 0.81 * math.log(10), "box": 0}, abs=1e-4)


def test_a_person_whom_the_teacher_hardly_sees_has_the_cells_of_the_middle() -> None:
    person = [[100, 100, 150, 250]]
    middles, levels = cell_middles(SIDE)
    own = assign(middles, levels, torch.tensor(person, dtype=torch.float32)) >= 0
    boxes = torch.where(own[:, None], torch.tensor(person[0], dtype=torch.float32), torch.tensor([0.0, 0, 1, 1]))[None]
    silent = torch.full((1, len(own)), -20.0)
    one = TrainView(np.zeros((SIDE, SIDE, 3), np.uint8), np.array(person, np.float32), np.zeros((0, 4), np.float32))
    losses = losses_of(CellPredictions(silent, boxes), CellPredictions(silent, torch.zeros_like(boxes)), [one])
    # every cell of the person should say 1 and says nothing: 2 x 20 each, over as many
    assert float(losses["score"]) == pytest.approx(40, rel=1e-3)
    assert float(losses["box"]) == pytest.approx(0, abs=1e-4)


def test_quality_focal_ends_at_the_target() -> None:
    """A score that is its target costs nothing, whatever the target."""
    target = torch.tensor([0.2, 0.5, 0.9])
    assert quality_focal(target.logit(), target).abs().max() < 1e-6


# ---- what the cells learn ----


def test_cells_of_a_view_in_the_order_of_the_network() -> None:
    middles, levels = cell_middles(64)
    assert levels.bincount().tolist() == [64, 16, 4]
    assert middles[:2].tolist() == [[4, 4], [12, 4]]
    assert middles[64 + 16 :].tolist() == [[16, 16], [48, 16], [16, 48], [48, 48]]


def test_assigning_by_hand() -> None:
    """A box of 16 x 40 around (32, 32) is of level 0: narrow, so that only the cells left and right of its middle are inside."""
    middles, levels = cell_middles(64)
    person = assign(middles, levels, torch.tensor([[24.0, 12, 40, 52]]))
    found = middles[person == 0].tolist()
    assert found == [[28, 28], [36, 28], [28, 36], [36, 36]]
    assert (levels[person == 0] == 0).all()


def test_the_size_decides_the_level_and_the_smallest_box_wins() -> None:
    middles, levels = cell_middles(416)
    boxes = torch.tensor([[100.0, 100, 160, 227], [100, 100, 160, 229], [100, 50, 160, 350], [110, 120, 150, 200]])
    alone = [levels[assign(middles, levels, box[None]) == 0].unique().tolist() for box in boxes]
    assert alone == [[0], [1], [2], [0]]
    both = assign(middles, levels, boxes[[0, 3]])
    small = assign(middles, levels, boxes[[3]])
    assert (both[small == 0] == 1).all()


def test_nobody_has_a_cell_in_an_empty_view() -> None:
    middles, levels = cell_middles(64)
    assert (assign(middles, levels, torch.zeros(0, 4)) == -1).all()


def test_overlaps_and_what_the_teacher_sees() -> None:
    """Boxes of 10 x 10: the first is the person's, the second covers a third of the union, the third is elsewhere."""
    boxes, people = torch.tensor([[0.0, 0, 10, 10], [5, 0, 15, 10], [50, 50, 60, 60]]), torch.tensor([[0.0, 0, 10, 10]])
    assert best_overlap(boxes, people).tolist() == pytest.approx([1, 1 / 3, 0])
    assert best_overlap(boxes, people[:0]).tolist() == [0, 0, 0]
    assert seen_at_best(torch.tensor([0.3, 0.8, 0.9]), boxes, people).tolist() == pytest.approx([0.3])
    assert seen_at_best(torch.ones(3), boxes, people[:0]).shape == (0,)


# ---- pictures ----


@pytest.fixture
def drawn(tmp_path: Path) -> Picture:
    """A red person with a green left half of the head's height, on blue, 640 x 480."""
    image = np.full((480, 640, 3), BLUE, np.uint8)
    left, top, right, bottom = PERSON
    image[top:bottom, left:right] = RED
    image[top:bottom, left : (left + right) // 2, 1] = 255
    cv2.imwrite(str(tmp_path / "drawn.png"), image[..., ::-1])
    return Picture(tmp_path / "drawn.png", "photo", np.float32([PERSON]), np.zeros((0, 4), np.float32))


def test_boxes_stay_exact_under_crop_mirror_and_scale(drawn: Picture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "_light", lambda canvas, rng: canvas)  # so that red is red
    mirrored, heights = set(), []
    for seed in range(12):
        one = view(drawn, np.random.default_rng(seed))
        assert one.canvas.shape == (SIDE, SIDE, 3)
        red = (one.canvas[..., 0] > 128) & (one.canvas[..., 2] < 128) & ~(one.canvas == 114).all(axis=2)
        boxes = np.concatenate([one.boxes, one.unsure])
        if not red.any():
            continue
        rows, columns = np.flatnonzero(red.any(axis=1)), np.flatnonzero(red.any(axis=0))
        np.testing.assert_allclose(boxes, [[columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]], atol=1)  # half a pixel is blurred
        heights.append(len(rows))
        green = one.canvas[..., 1] > 128
        if len(one.boxes) and (green & red).any() and (red & ~green).any():
            mirrored.add(bool(np.nonzero(green & red)[1].mean() > np.nonzero(red & ~green)[1].mean()))
    assert mirrored == {True, False}
    assert max(heights) > 1.5 * min(heights)


def test_a_view_is_the_same_for_the_same_numbers(drawn: Picture) -> None:
    first, again, other = (view(drawn, np.random.default_rng(seed)) for seed in (0, 0, 1))
    assert np.array_equal(first.canvas, again.canvas)
    assert np.array_equal(first.boxes, again.boxes)
    assert not np.array_equal(first.canvas, other.canvas)


def test_a_person_of_whom_little_is_seen_is_unsure() -> None:
    boxes = np.float32([[-70, 0, 30, 100], [-60, 0, 40, 100], [500, 0, 600, 100], [10, 10, 40, 15]])
    kept, cut = pictures._inside(boxes, SIDE)  # 30 % and 40 % of the first two are inside; the third is outside, the fourth is tiny
    assert kept.tolist() == [[0, 0, 40, 100]]
    assert cut.tolist() == [[0, 0, 30, 100], [10, 10, 40, 15]]


def test_lists_of_pictures(tmp_path: Path) -> None:
    rows = [{"path": "a.jpg", "boxes": [[1, 2, 3, 4]], "unsure": []}, {"path": "b.jpg", "boxes": [], "unsure": [[5, 6, 7, 8]]}]
    (tmp_path / "photos.json").write_text(json.dumps(rows))
    first, second = listed(tmp_path / "photos.json")
    assert (first.path, first.kind, first.boxes.tolist(), first.unsure.shape) == (Path("a.jpg"), "photo", [[1, 2, 3, 4]], (0, 4))
    assert (second.boxes.shape, second.unsure.tolist()) == ((0, 4), [[5, 6, 7, 8]])
    people = [{"image_id": 7, "bbox": [1, 2, 10, 20], "visibility": seen} for seen in (0.9, 0.1)]
    content = {"images": [{"id": 7, "file_name": "images/x.jpg"}, {"id": 8, "file_name": "images/y.jpg"}], "annotations": people}
    (tmp_path / "annotations.json").write_text(json.dumps(content))
    scene, empty = rendered(tmp_path)
    assert (scene.boxes.tolist(), scene.unsure.tolist(), scene.kind) == ([[1, 2, 11, 22]], [[1, 2, 11, 22]], "scene")
    assert (empty.boxes.shape, empty.unsure.shape) == ((0, 4), (0, 4))


def test_a_mosaic_has_the_people_of_four_pictures(drawn: Picture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "_light", lambda canvas, rng: canvas)
    one = mosaic([drawn] * 4, np.random.default_rng(2))
    boxes = np.concatenate([one.boxes, one.unsure])
    assert one.canvas.shape == (SIDE, SIDE, 3)
    red = (one.canvas[..., 0] > 128) & (one.canvas[..., 2] < 128)
    inside = np.zeros_like(red)
    for x1, y1, x2, y2 in boxes.round().astype(int):
        inside[y1:y2, x1:x2] = True
    assert len({tuple(corner) for corner in boxes[:, :2] // (SIDE // 2)}) >= 3  # quarters with a person
    assert red[inside].mean() > 0.9
    assert not red[~inside].any()


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
    with torch.no_grad():
        assert set(stage_losses(teacher, pixels, stages, neck)) == {"stage1", "stage2", "stage3", "stage4", "stage5", "neck"}
        assert float(stage_losses(teacher, pixels, stages, neck)["stage5"]) < float(stage_losses(other, pixels, stages, neck)["stage5"])
    assert all(float(loss) == pytest.approx(0, abs=1e-5) for loss in cells_like(cells, cells).values())
    assert all(float(one.min()) >= 0 for one in stages + neck)


def test_a_map_that_knows_the_means_only_is_at_distance_one() -> None:
    torch.manual_seed(0)
    taught = torch.randn(2, 3, 40, 40) * torch.tensor([1.0, 5.0, 20.0])[:, None, None] + 3
    means = taught.mean(dim=(0, 2, 3), keepdim=True).expand_as(taught)
    assert float(distance([taught], [taught])) == 0
    assert 0.5 < float(distance([means], [taught])) <= 1  # faint channels count less


@pytest.mark.slow
@pytest.mark.parametrize("phase", list(Phase))
def test_a_training_goes_on_where_it_stopped(phase: Phase, drawn: Picture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detector, "OPTIONS", OPTIONS.model_copy(update={"width": 8, "channels": 8}))
    monkeypatch.setitem(detector.BATCH, phase, (1, 1, 128))
    teacher = lively(NanoNetwork(TEACHER))

    def train(out: Path) -> Any:
        torch.manual_seed(1)
        learner = DetectorLearner([drawn], [drawn], teacher, phase)  # type: ignore[arg-type]
        return train_with(learner, out, Schedule(2, detector.RATE, warmup=2, save_every=1))

    assert_goes_on(train, tmp_path, monkeypatch)

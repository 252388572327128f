import math

import numpy as np
import pytest
import torch

from personsearch.models.parts.fcos import LevelMaps
from personsearch.training.losses.dense import (
    DenseOutput,
    DenseRecipe,
    DenseTargets,
    PyramidCells,
    assign,
    cells_of,
    centerness_of,
    dense_losses,
    rows_of,
    targets_of,
)


def maps(batch: int, height: int, width: int, stride: int = 8, dim: int = 3) -> LevelMaps:
    numbers = torch.arange(batch * height * width, dtype=torch.float32).reshape(batch, 1, height, width)
    return LevelMaps(stride, numbers, numbers + 0.5, numbers.expand(-1, 4, -1, -1), numbers.expand(-1, dim, -1, -1))


def grid(height: int, width: int) -> PyramidCells:
    return cells_of([maps(1, height, width)])


def test_cells_by_hand() -> None:
    cells = cells_of([maps(1, 1, 2), maps(1, 1, 1, stride=16)])
    assert cells.centres.tolist() == [[4, 4], [12, 4], [8, 8]]
    assert cells.strides.tolist() == [8, 8, 16]
    assert cells.smallest.tolist() == [-math.inf, -math.inf, 128]
    assert cells.greatest.tolist() == [128, 128, math.inf]


def test_rows_are_images_then_cells() -> None:
    rows = rows_of([maps(2, 2, 3), maps(2, 1, 1, stride=16)])
    assert rows.class_logits.tolist() == [0, 1, 2, 3, 4, 5, 0, 6, 7, 8, 9, 10, 11, 1]
    assert rows.distances.shape == (14, 4)
    assert rows.features[9].tolist() == [8, 8, 8]


def test_center_sampling_by_hand() -> None:
    # a person from x 8 to 56, y 0 to 72, middle (32, 36): cells less than 12 px off along both axes
    person, distances = assign(grid(10, 10), torch.tensor([[8.0, 0.0, 56.0, 72.0]]), 1.5)
    own = (person == 0).reshape(10, 10).nonzero().tolist()
    assert own == [[row, column] for row in (3, 4, 5) for column in (3, 4)]
    cell = 3 * 10 + 3  # centre (28, 28)
    assert distances[cell].tolist() == [20, 28, 28, 44]


def test_center_sampling_stays_inside_a_small_box() -> None:
    person, _ = assign(grid(4, 4), torch.tensor([[9.0, 9.0, 15.0, 23.0]]), 1.5)
    assert (person == 0).reshape(4, 4).nonzero().tolist() == [[1, 1], [2, 1]]


def test_the_smaller_person_has_a_shared_cell() -> None:
    boxes = torch.tensor([[0.0, 0.0, 64.0, 64.0], [24.0, 24.0, 40.0, 40.0]])
    person, _ = assign(grid(8, 8), boxes, 1.5)
    assert person.reshape(8, 8)[3:5, 3:5].tolist() == [[1, 1], [1, 1]]
    assert (person == 1).sum() == 4
    assert (person == 0).sum() == 0  # the larger person's own cells are these four


def test_a_person_belongs_to_the_level_of_its_size() -> None:
    cells = cells_of([maps(1, 60, 20), maps(1, 30, 10, stride=16)])
    fine = 60 * 20
    small, _ = assign(cells, torch.tensor([[10.0, 10.0, 90.0, 200.0]]), 1.5)
    large, _ = assign(cells, torch.tensor([[10.0, 10.0, 150.0, 470.0]]), 1.5)
    assert [(part == 0).any().item() for part in (small[:fine], small[fine:])] == [True, False]
    assert [(part == 0).any().item() for part in (large[:fine], large[fine:])] == [False, True]


def test_an_image_without_people_has_background_only() -> None:
    person, distances = assign(grid(2, 2), torch.zeros(0, 4), 1.5)
    assert person.tolist() == [-1] * 4
    assert distances.shape == (4, 4)


def test_targets_of_a_batch() -> None:
    boxes = [torch.tensor([[0.0, 0.0, 16.0, 16.0]]), torch.zeros(0, 4), torch.tensor([[0.0, 0.0, 8.0, 8.0], [8.0, 8.0, 16.0, 16.0]])]
    identities = [torch.tensor([7]), torch.zeros(0, dtype=torch.int64), torch.tensor([-1, 3])]
    targets = targets_of(grid(2, 2), boxes, identities, 1.5)
    assert targets.positive.tolist() == [True] * 4 + [False] * 4 + [True, False, False, True]
    assert targets.identities.tolist() == [7, 7, 7, 7, -1, 3]
    assert targets.distances[0].tolist() == [0.5, 0.5, 1.5, 1.5]


def test_centerness_by_hand() -> None:
    distances = torch.tensor([[1.0, 2.0, 1.0, 2.0], [1.0, 1.0, 4.0, 9.0]])
    assert centerness_of(distances).tolist() == pytest.approx([1.0, (1 / 4 * 1 / 9) ** 0.5])


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def test_losses_by_hand() -> None:
    output = DenseOutput(
        class_logits=torch.tensor([2.0, -1.0, 0.0]),
        centerness_logits=torch.tensor([0.5, 9.0, 9.0]),
        distances=torch.tensor([[1.0, 1.0, 1.0, 1.0], [0.0] * 4, [0.0] * 4]),
        features=torch.zeros(3, 2),
    )
    targets = DenseTargets(torch.tensor([True, False, False]), torch.tensor([[1.0, 1.0, 1.0, 3.0]]), torch.tensor([0]))
    losses = dense_losses(output, targets, 1, DenseRecipe(box_weight=2.0))
    p, q = sigmoid(2.0), sigmoid(-1.0)
    focal = -0.25 * (1 - p) ** 2 * math.log(p) - 0.75 * q**2 * math.log(1 - q) - 0.75 * 0.5**2 * math.log(0.5)
    assert losses["class"].item() == pytest.approx(focal / 2, rel=1e-5)  # one positive and one image
    # 2 x 2 inside 2 x 4: IoU 1/2, the hull is the larger box; weighting by centerness cancels with one positive
    assert losses["box"].item() == pytest.approx(2.0 * 0.5, rel=1e-5)
    target = (1 / 3) ** 0.5
    expected = -target * math.log(sigmoid(0.5)) - (1 - target) * math.log(1 - sigmoid(0.5))
    assert losses["centerness"].item() == pytest.approx(expected, rel=1e-5)


def test_boxes_off_count_by_the_centerness_of_their_cell() -> None:
    output = DenseOutput(torch.zeros(2), torch.zeros(2), torch.ones(2, 4), torch.zeros(2, 1))
    right, double = [1.0] * 4, [1.0, 1.0, 1.0, 3.0]
    targets = DenseTargets(torch.tensor([True, True]), torch.tensor([right, double]), torch.tensor([0, 0]))
    weight = (1 / 3) ** 0.5
    loss = dense_losses(output, targets, 1, DenseRecipe())["box"].item()
    assert loss == pytest.approx(0.5 * weight / (1 + weight), rel=1e-5)


def test_a_batch_without_people_has_a_class_loss_only() -> None:
    output = DenseOutput(*(torch.zeros(shape, requires_grad=True) for shape in (4, 4, (4, 4), (4, 2))))
    targets = DenseTargets(torch.zeros(4, dtype=torch.bool), torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64))
    losses = dense_losses(output, targets, 2, DenseRecipe())
    assert losses["class"].item() == pytest.approx(4 * 0.75 * 0.25 * math.log(2) / 2, rel=1e-5)
    assert losses["box"].item() == losses["centerness"].item() == 0
    sum(losses.values()).backward()
    assert np.isfinite(output.class_logits.grad.numpy()).all()


def test_gradient() -> None:
    torch.manual_seed(0)
    positive = torch.tensor([True, False, True])
    targets = DenseTargets(positive, torch.rand(2, 4, dtype=torch.float64) + 0.5, torch.tensor([0, 1]))
    inputs = [torch.randn(3, dtype=torch.float64), torch.randn(3, dtype=torch.float64), torch.rand(3, 4, dtype=torch.float64) + 0.5]

    def total(scores: torch.Tensor, centre: torch.Tensor, sides: torch.Tensor) -> torch.Tensor:
        return torch.stack(list(dense_losses(DenseOutput(scores, centre, sides, torch.zeros(3, 1)), targets, 1, DenseRecipe()).values()))

    assert torch.autograd.gradcheck(total, [one.requires_grad_() for one in inputs])

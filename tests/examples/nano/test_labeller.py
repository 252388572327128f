"""The teacher as a labeller: pictures of any size, looked at in several sizes and mirrored, merged into one list of people."""

import math
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from examples.nano.labeller import ALL_SIZES, LEAST_SCORE, Labeller, fitted
from personsearch.boxes import Array
from personsearch.errors import MissingExtraError, WeightsError
from personsearch.models.nano.detector import CellPredictions
from tests.helpers.bundled_files import write_yolox
from tests.helpers.onnx_files import reid

LEFT, RIGHT = (20, 40, 60, 140), (200, 60, 300, 200)  # red and green people of a picture of 208 x 368 pixels


class Eyes:
    """In the place of the teacher: it sees the red person and the green one, with the scores of the canvas's width."""

    def __init__(self, scores: dict[int, tuple[float, float]]) -> None:
        self.scores = scores

    def __call__(self, pixels: torch.Tensor) -> CellPredictions:
        _, green, red = pixels[0] > 170  # BGR
        boxes, logits = [[0.0, 0.0, 1.0, 1.0]], [-20.0]
        for seen, score in zip((red & ~green, green & ~red), self.scores[pixels.shape[3]], strict=True):
            if score:
                rows, columns = (torch.nonzero(seen.any(dim=axis))[:, 0] for axis in (1, 0))
                boxes.append([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1])
                logits.append(math.log(score / (1 - score)))
        return CellPredictions(torch.tensor([logits]), torch.tensor([boxes], dtype=torch.float32))


def labeller(teacher: object) -> Labeller:
    one = Labeller.__new__(Labeller)
    one.teacher = teacher  # type: ignore[assignment]
    return one


def street() -> Array:
    image = np.full((208, 368, 3), 40, np.uint8)
    for (x1, y1, x2, y2), colour in ((LEFT, (255, 0, 0)), (RIGHT, (0, 255, 0))):
        image[y1:y2, x1:x2] = colour
    return image


def test_boxes_are_of_the_picture_and_a_score_must_be_above() -> None:
    """The picture is enlarged twice; a score that is the least is not enough."""
    found = labeller(Eyes({736: (0.25, 0.75)}))
    boxes, scores = found.people(street(), (416, 736), 0.1)
    np.testing.assert_allclose(boxes, [RIGHT, LEFT], atol=0.5)  # best first; half a pixel is blurred
    assert scores == pytest.approx([0.75, 0.25])
    assert boxes.dtype == np.float32
    assert len(found.people(street(), (416, 736), float(scores[1]))[1]) == 1
    assert found.people(street(), (416, 736), 0.8)[0].shape == (0, 4)


def test_overlapping_cells_are_one_person() -> None:
    """Boxes of 100 x 100, moved by 33: 67 / 133 is more than half; by 34: 66 / 134 is less."""
    cells = CellPredictions(torch.tensor([[0.0, 2.0, 1.0]]), torch.tensor([[[34.0, 0, 134, 100], [0, 0, 100, 100], [33, 0, 133, 100]]]))
    boxes, scores = labeller(lambda pixels: cells).people(np.zeros((416, 736, 3), np.uint8), (416, 736), 0.1)
    assert boxes.tolist() == [[0, 0, 100, 100], [34, 0, 134, 100]]
    assert scores == pytest.approx([1 / (1 + math.exp(-2)), 0.5])


def test_all_sizes_and_both_sides_make_one_list() -> None:
    """The red one is seen best in the small size, the green one in the large one only: two people, each with the best score."""
    found = labeller(Eyes({736: (0.9, 0.0), 1120: (0.6, 0.0), 1600: (0.7, 0.8)}))
    boxes, scores = found.people_at_all_sizes(street())
    np.testing.assert_allclose(boxes, [LEFT, RIGHT], atol=0.5)
    assert scores == pytest.approx([0.9, 0.8])


def test_a_person_seen_only_in_the_mirror_is_where_the_person_is() -> None:
    class Once(Eyes):
        def __call__(self, pixels: torch.Tensor) -> CellPredictions:
            shown = (pixels[0, 2] > 170).any(dim=0).nonzero().float().mean() > pixels.shape[3] / 2
            return super().__call__(pixels) if shown else CellPredictions(torch.full((1, 1), -20.0), torch.zeros(1, 1, 4))

    boxes, _ = labeller(Once(dict.fromkeys((736, 1120, 1600), (0.9, 0.0)))).people_at_all_sizes(street())
    np.testing.assert_allclose(boxes, [LEFT], atol=0.5)


def test_nobody_at_any_size() -> None:
    silent = CellPredictions(torch.full((1, 3), LEAST_SCORE).logit() - 1, torch.zeros(1, 3, 4))
    boxes, scores = labeller(lambda pixels: silent).people_at_all_sizes(street())
    assert (boxes.shape, scores.shape) == ((0, 4), (0,))


def test_fitted_by_hand() -> None:
    """100 x 200 into 416 x 736: 3.68 times, 368 x 736, on the 12 x 23 cells of 32 that hold it."""
    view = fitted(np.full((100, 200, 3), 7, np.uint8), (416, 736))
    assert view.canvas.shape == (384, 736, 3)
    assert (view.canvas[:368] == 7).all()
    assert (view.canvas[368:] == 114).all()
    assert view.to_image(np.float32([[0, 0, 736, 368]])).tolist() == [[0, 0, 200, 100]]
    checks = np.indices((832, 368)).sum(axis=0) % 2 * 254  # single pixels of black and white: halved, their mean
    small = fitted(np.repeat(checks[..., None], 3, axis=2).astype(np.uint8), (416, 736))
    assert small.canvas.shape == (416, 192, 3)
    assert (small.canvas[:, :184] == 127).all()
    assert fitted(np.zeros((8, 3000, 3), np.uint8), (416, 736)).resized == (2, 736)


def test_the_true_network_takes_all_sizes(tmp_path: Path) -> None:
    write_yolox(tmp_path / "yolox.onnx")
    boxes, scores = Labeller(tmp_path / "yolox.onnx").people(street(), ALL_SIZES[0], 0.0)
    assert boxes.shape == (len(scores), 4)
    assert len(scores)
    assert (np.diff(scores) <= 0).all()


def test_a_missing_or_other_teacher_is_told(tmp_path: Path) -> None:
    (tmp_path / "text.onnx").write_text("a page that says: file not found")
    files = {
        tmp_path / "none.onnx": "is not a file",
        tmp_path / "text.onnx": "is not an ONNX file",
        reid(tmp_path / "reid.onnx"): r"\(0, not 113, ",
    }
    for file, message in files.items():
        with pytest.raises(WeightsError, match=rf"{file.name}.*{message}.*YOLOX-Nano"):
            Labeller(file)


def test_without_onnx_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(MissingExtraError, match=r"personsearch\[export\]"):
        Labeller(tmp_path / "none.onnx")

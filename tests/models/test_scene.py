"""Batching, thresholds and artificial scenes that all networks for scenes share."""

import numpy as np
import pytest
import torch
from torch import Tensor

from personsearch.boxes import Array
from personsearch.models.exported import OnnxSceneModel
from personsearch.models.scene import SceneBatch, SceneDetections, SceneInput, SceneModel, SceneNetwork
from personsearch.models.scene_input import scene_of_crop


class Echo(SceneNetwork):
    """Gives each image's height and width as a box, and the size of its batch as the score."""

    embedding_dim = 2

    def prepare(self, image: Array) -> SceneInput:
        height, width = image.shape[:2]
        pixels = torch.zeros(3, -height % 32 + height, -width % 32 + width)
        return SceneInput(pixels, (height, width), (height, width))

    def detect(self, batch: SceneBatch) -> list[SceneDetections]:
        count = torch.tensor([len(batch.pixels) / 10, 0.05])
        rows = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
        return [SceneDetections(torch.tensor([[0, 0, w, h], [0, 0, 1, 1.0]]), count, rows) for h, w in batch.original]

    def embed(self, batch: SceneBatch, boxes: list[Tensor]) -> list[Tensor]:
        return [image_boxes[:, :2] for image_boxes in boxes]


def echo(**options) -> SceneModel:
    return SceneModel(Echo(), name="echo", fingerprint="abc", min_score=0.5, **options)


def image(height: int, width: int) -> Array:
    return np.zeros((height, width, 3), np.uint8)


def test_images_are_batched_by_shape_and_keep_their_order() -> None:
    model = echo()
    detections = model.detect([model.prepare(image(*size)) for size in ((30, 60), (90, 20), (20, 40), (32, 64))])
    assert [people.boxes[0].tolist() for people in detections] == [[0, 0, 60, 30], [0, 0, 20, 90], [0, 0, 40, 20], [0, 0, 64, 32]]
    np.testing.assert_allclose([people.scores[0] for people in detections], [0.3, 0.1, 0.3, 0.3])
    assert model.detect([]) == []


def test_people_below_min_score_are_dropped() -> None:
    model = echo()
    (detections,) = model.detect([model.prepare(image(30, 60))], min_score=0.1)
    np.testing.assert_allclose(detections.scores, [0.1])


class Empty(Echo):
    """Gives a box of no height before a whole one, and a row for each."""

    def detect(self, batch: SceneBatch) -> list[SceneDetections]:
        boxes = torch.tensor([[4.0, 30, 9, 30], [1, 2, 9, 20], [7, 2, 7, 20]])
        return [SceneDetections(boxes, torch.tensor([0.9, 0.8, 0.7]), torch.eye(3)[:, :2]) for _ in batch.original]


def test_a_box_without_area_is_not_a_person() -> None:
    """Such a person was stored in galleries, and its hit had no crop: "box (4, 30, 9, 30) is empty"."""
    model = SceneModel(Empty(), name="empty", fingerprint="", min_score=0.5)
    (people,) = model.detect([model.prepare(image(30, 60))])
    assert people.boxes.tolist() == [[1, 2, 9, 20]]
    assert (people.scores.tolist(), people.embeddings.tolist(), people.people) == ([np.float32(0.8)], [[0, 1]], [1])


def test_a_box_without_area_of_an_onnx_file_is_not_a_person() -> None:
    model = object.__new__(OnnxSceneModel)
    three = np.array([[4, 30, 9, 30], [1, 2, 9, 20], [1, 2, 9, 21]], np.float32)
    scores, rows = np.array([0.9, 0.8, 0.1], np.float32), np.eye(3, dtype=np.float32)
    model._run = lambda item, boxes: [three, scores, rows, rows]  # type: ignore[method-assign]
    (people,) = model.detect([None], min_score=0.5)  # type: ignore[list-item]
    assert (people.boxes.tolist(), people.people) == ([[1, 2, 9, 20]], [1])
    assert people.embeddings.tolist() == [[0, 1, 0]]


def test_boxes_stay_with_their_images() -> None:
    model = echo()
    boxes = [np.full((count, 4), count, np.float32) for count in (1, 0, 2)]
    rows = model.embed([model.prepare(image(*size)) for size in ((30, 60), (90, 20), (20, 40))], boxes)
    assert [image_rows.tolist() for image_rows in rows] == [[[1, 1]], [], [[2, 2], [2, 2]]]


def test_a_precision_has_its_own_fingerprint() -> None:
    assert [echo(precision=name).fingerprint for name in ("float32", "bfloat16", "float16")] == ["abc", "abc-bfloat16", "abc-float16"]
    changed = echo()
    changed.precision = "bfloat16"
    assert changed.fingerprint == "abc-bfloat16"


@pytest.mark.parametrize(("height", "width", "scene_width", "left"), [(10, 4, 50, 23), (2, 30, 30, 0), (1, 1, 5, 2)])
def test_the_scene_of_a_crop(height, width, scene_width, left) -> None:
    """The crop is in the middle, a third of the height, on its mean colour."""
    crop = np.zeros((height, width, 3), np.uint8)
    crop[:, :, 0], crop[0, :, 2] = 200, 10 * height
    scene, box = scene_of_crop(crop)
    assert scene.shape == (3 * height, scene_width, 3)
    assert box.tolist() == [left, height, left + width, 2 * height]
    np.testing.assert_array_equal(scene[height : 2 * height, left : left + width], crop)
    assert scene[0, 0].tolist() == [200, 0, 10]
    assert (scene[:height] == scene[0, 0]).all()
    assert (scene[2 * height :] == scene[0, 0]).all()

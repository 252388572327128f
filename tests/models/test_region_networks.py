"""What holds for every network on Faster R-CNN: batches, empty scenes, order and borders of boxes, a query's context."""

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch

from personsearch.boxes import iou
from personsearch.models.scene import SceneModel
from tests.helpers.batches import detections_in_any_batch
from tests.helpers.region_networks import EMPTY, PEOPLE, TALL, detect, tiny_dkd, tiny_rcnn, tiny_seqnet, tiny_trident
from tests.helpers.seqnet_golden import batch_of, picture

NETWORKS: dict[str, Callable[..., SceneModel]] = {"seqnet": tiny_seqnet, "dkd": tiny_dkd, "trident": tiny_trident}
FORMS: dict[str, Callable[..., SceneModel]] = {
    **{kind: partial(tiny_rcnn, kind) for kind in ("oim", "nae", "nae+")},
    "serial nae": partial(tiny_rcnn, serial=True),
    **{f"seqnet on {baseline}": partial(tiny_seqnet, baseline=baseline) for baseline in ("oim", "nae", "nae+")},
    "dkd": tiny_dkd,
    "trident": tiny_trident,
}


@pytest.mark.parametrize("name", FORMS)
def test_detections_do_not_depend_on_the_batch(name: str) -> None:
    images = [PEOPLE, TALL, EMPTY, picture(120, 160, 5), picture(60, 160, 4), picture(118, 160, 6)]
    together = detections_in_any_batch(FORMS[name](), images)
    counts = [len(detections) for detections in together]
    assert counts[0] >= 3
    if name.startswith(("seqnet", "dkd")):  # their weights tell people from an empty scene
        assert counts[2] == 0
        assert min(counts[:2] + counts[3:]) >= 3


@pytest.mark.parametrize("name", [name for name in FORMS if name != "nae+"])  # its best person always scores 1
def test_a_scene_without_people_is_a_result(name: str) -> None:
    model = FORMS[name](keep_score=0.9999999)
    (detections,) = detect(model, PEOPLE)
    dim = model.embedding_dim
    assert (detections.boxes.shape, detections.scores.shape, detections.embeddings.shape) == ((0, 4), (0,), (0, dim))
    assert model.detect([]) == []
    assert model.embed([model.prepare(PEOPLE)], [np.zeros((0, 4), np.float32)])[0].shape == (0, dim)
    assert model.embed_crops([]).shape == (0, dim)


@pytest.mark.parametrize("name", NETWORKS)
def test_people_are_inside_the_image_best_first_with_unit_rows(name: str) -> None:
    model = NETWORKS[name]()
    (detections,) = detect(model, TALL)
    boxes = detections.boxes
    assert len(boxes) >= 3
    assert (boxes >= 0).all()
    assert (boxes <= [120, 160, 120, 160]).all()
    assert (boxes[:, 2:] > boxes[:, :2]).all()
    assert (np.diff(detections.scores) <= 0).all()
    np.testing.assert_allclose(np.linalg.norm(detections.embeddings, axis=1), 1, atol=1e-5)
    overlap = iou(boxes, boxes) - np.eye(len(boxes))
    assert overlap.max() <= model.network.config.nms_iou + 1e-4


@pytest.mark.parametrize("name", NETWORKS)
def test_context_puts_the_query_first_and_drops_overlapping_people(name: str) -> None:
    model = NETWORKS[name]()
    (detections,) = detect(model, PEOPLE)
    batch, box = batch_of(model.prepare(PEOPLE)), torch.from_numpy(detections.boxes[1:2])
    with torch.inference_mode():
        (context,) = model.network.detect_around(batch, [box])
        (row,) = model.network.embed(batch, [box])
    assert len(context.boxes) > 1
    np.testing.assert_allclose(context.boxes[0], detections.boxes[1], atol=1e-3)
    assert context.scores[0] == 1
    torch.testing.assert_close(context.embeddings[:1], row)
    assert (iou(detections.boxes[1:2], context.boxes[1:].numpy()) <= model.network.config.nms_iou + 1e-4).all()

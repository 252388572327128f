from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from personsearch.boxes import Array, iou
from personsearch.errors import ConfigError, WeightsError
from personsearch.models import open_folder
from personsearch.models.config import BackboneConfig
from personsearch.models.dkd import DKD, DKDConfig, ReidHead
from personsearch.models.parts.region_pool import RegionPoolCPU
from personsearch.models.scene import SceneModel
from personsearch.results import Detections
from personsearch.weights import save_model
from tests.helpers.batches import found_alone_and_together
from tests.helpers.seqnet_golden import batch_of, picture

TINY = {
    "backbone": {"name": "resnet18", "width": 0.25},
    "short_side": 160,
    "long_side": 256,
    "embedding_dim": 128,
    "proposals": {"after_nms": 40},
}
PEOPLE, TALL, EMPTY = picture(120, 160, 1), picture(160, 120, 2), np.zeros((120, 160, 3), np.uint8)


def tiny(**changes: Any) -> DKD:
    """A small student that finds people in PEOPLE and TALL, and none in EMPTY; its batch norms are as after training."""
    torch.manual_seed(0)
    network = DKD(DKDConfig(**TINY | changes))
    with torch.no_grad():
        network.detection.classes.bias[1] += 5.5
    for part in network.reid.modules():
        if isinstance(part, nn.BatchNorm1d):
            part.running_mean.normal_(std=0.1)
            part.running_var.uniform_(0.5, 2)
    return network.eval()


def model(**changes: Any) -> SceneModel:
    return SceneModel(tiny(**changes), name="tiny", fingerprint="", min_score=0.5)


def detect(student: SceneModel, *images: Array) -> list[Detections]:
    return student.detect([student.prepare(image) for image in images])


def test_the_papers_student() -> None:
    """ResNet-50, regions of 16 x 8 cells of conv4, two res5 of their own, 2048 numbers with BNNeck alone between."""
    config = DKDConfig()
    assert (config.embedding_dim, config.short_side, config.long_side) == (2048, 800, 1333)
    with torch.device("meta"):
        network = DKD(config)
        regions = network.pool(torch.zeros(1, 1024, 50, 80), [torch.zeros(3, 4)])
        assert regions.shape == (3, 1024, 16, 8)
        assert network.reid(regions).features.shape == (3, 2048)
        assert network.detection(regions).deltas.shape == (3, 4)
    assert [type(layer) for layer in network.reid.neck] == [nn.BatchNorm1d]
    heads = [{name for name, _ in part.named_parameters()} for part in (network.detection.res5, network.reid.res5)]
    assert heads[0] == heads[1]
    assert not {id(one) for one in network.detection.parameters()} & {id(one) for one in network.reid.parameters()}


def test_the_reid_head_by_hand() -> None:
    """Means of the map, less the running mean, over the running deviation; the embedding is that as a unit row."""
    head: Any = ReidHead(BackboneConfig(name="resnet18", width=0.25), 128).eval()
    head.res5 = nn.Identity()
    head.neck[0].running_mean.fill_(1)
    head.neck[0].running_var.fill_(4)
    maps = torch.zeros(1, 128, 2, 1)
    maps[0, :, :, 0] = 1
    maps[0, 0], maps[0, 1] = torch.tensor([[5.0], [9.0]]), torch.tensor([[9.0], [9.0]])  # means 7 and 9
    out = head(maps)
    torch.testing.assert_close(out.features[0, :3], torch.tensor([3.0, 4.0, 0.0]), atol=1e-4, rtol=0)
    torch.testing.assert_close(out.embeddings[0, :3], torch.tensor([0.6, 0.8, 0.0]), atol=1e-4, rtol=0)


def test_a_small_backbone_gets_a_linear_layer() -> None:
    assert [type(layer) for layer in tiny(embedding_dim=16).reid.neck] == [nn.Linear, nn.BatchNorm1d]
    assert model(embedding_dim=16).embed_crops([PEOPLE]).shape == (1, 16)


def test_what_an_image_gives_does_not_depend_on_its_batch() -> None:
    student = model()
    images = [PEOPLE, TALL, EMPTY, picture(120, 160, 5), picture(60, 160, 4), picture(118, 160, 6)]
    together = found_alone_and_together(student, images)
    assert len(together[2]) == 0
    assert min(len(found) for i, found in enumerate(together) if i != 2) >= 3


def test_nobody_is_a_result() -> None:
    student = model()
    (found,) = detect(student, EMPTY)
    assert found.boxes.shape == (0, 4)
    assert found.embeddings.shape == (0, 128)
    assert student.detect([]) == []
    assert student.embed([student.prepare(PEOPLE)], [np.zeros((0, 4), np.float32)])[0].shape == (0, 128)


def test_people_are_inside_the_image_best_first_with_unit_rows() -> None:
    (found,) = detect(model(), TALL)
    assert (found.boxes >= 0).all()
    assert (found.boxes <= [120, 160, 120, 160]).all()
    assert (np.diff(found.scores) <= 0).all()
    np.testing.assert_allclose(np.linalg.norm(found.embeddings, axis=1), 1, atol=1e-5)


def test_people_are_embedded_at_the_boxes_that_are_found() -> None:
    """So a found person and the same box given by hand have one embedding, although the boxes moved from their proposals."""
    student = model()
    nn.init.constant_(student.network.detection.boxes.bias, 0.5)
    (found,) = detect(student, PEOPLE)
    assert len(found) >= 3
    (rows,) = student.embed([student.prepare(PEOPLE)], [found.boxes])
    np.testing.assert_allclose(rows, found.embeddings, atol=1e-4)
    (shifted,) = student.embed([student.prepare(PEOPLE)], [found.boxes + np.float32([9, 0, 9, 0])])
    assert np.abs(shifted - rows).max() > 1e-3


def test_the_detection_head_has_no_say_in_who_somebody_is() -> None:
    plain, other = model(), model()
    for one in other.network.detection.parameters():
        nn.init.normal_(one)
    box = np.array([[10, 10, 60, 110]], np.float32)
    rows = [one.embed([one.prepare(PEOPLE)], [box])[0] for one in (plain, other)]
    np.testing.assert_array_equal(*rows)
    assert detect(plain, PEOPLE)[0].boxes.tolist() != detect(other, PEOPLE)[0].boxes.tolist()


def test_context_puts_the_query_first_and_drops_who_overlaps_it() -> None:
    student = model()
    (found,) = detect(student, PEOPLE)
    batch, box = batch_of(student.prepare(PEOPLE)), torch.from_numpy(found.boxes[1:2])
    with torch.inference_mode():
        (around,) = student.network.detect_around(batch, [box])
        (row,) = student.network.embed(batch, [box])
    np.testing.assert_allclose(around.boxes[0], found.boxes[1], atol=1e-3)
    assert around.scores[0] == 1
    torch.testing.assert_close(around.embeddings[:1], row)
    assert (iou(found.boxes[1:2], around.boxes[1:].numpy()) <= 0.4 + 1e-4).all()


def save(folder: Path, network: DKD) -> Path:
    tensors = {name: one.numpy() for name, one in network.state_dict().items() if not name.endswith("num_batches_tracked")}
    save_model(folder, network.config.model_dump(mode="json"), tensors)
    return folder


def test_a_folder_gives_what_was_saved_and_is_strict(tmp_path) -> None:
    opened: Any = open_folder(save(tmp_path, tiny()), "cpu")
    assert isinstance(opened.network.pool, RegionPoolCPU)
    assert (opened.network.pool.height, opened.network.pool.width) == (16, 8)
    (expected,), (found,) = detect(model(), PEOPLE), detect(opened, PEOPLE)
    np.testing.assert_allclose(found.boxes, expected.boxes, atol=1e-2)  # merged batch norms round otherwise
    np.testing.assert_allclose(found.embeddings, expected.embeddings, atol=1e-3)
    config = tiny().config.model_dump(mode="json")
    tensors = {name: one.numpy() for name, one in tiny().state_dict().items() if not name.endswith("num_batches_tracked")}
    save_model(tmp_path, config, {name: one for name, one in tensors.items() if name != "reid.neck.0.weight"})
    with pytest.raises(WeightsError, match=r"1 missing \(reid\.neck\.0\.weight\)"):
        open_folder(tmp_path, "cpu")
    save_model(tmp_path, config, tensors | {"classifier.weight": np.zeros((4, 128), np.float32)})
    with pytest.raises(WeightsError, match="unexpected"):
        open_folder(tmp_path, "cpu")
    save_model(tmp_path, config | {"teacher": "reid"}, tensors)
    with pytest.raises(ConfigError, match="teacher"):
        open_folder(tmp_path, "cpu")

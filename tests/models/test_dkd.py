"""DKD's student: its layers, its two heads, its folder."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from personsearch.errors import ConfigError, WeightsError
from personsearch.models import open_folder
from personsearch.models.config import BackboneConfig
from personsearch.models.dkd import DKD, DKDConfig, ReidHead
from personsearch.models.parts.region_pool import RegionPoolCPU
from personsearch.weights import save_model
from tests.helpers.region_networks import PEOPLE, detect, dkd_student, save_network, tensors_of, tiny_dkd


def test_the_papers_student() -> None:
    """ResNet-50, regions of 16 x 8 cells of conv4, two separate res5, and 2048 numbers after BNNeck alone."""
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
    assert not {id(weight) for weight in network.detection.parameters()} & {id(weight) for weight in network.reid.parameters()}


def test_the_reid_head_by_hand() -> None:
    """Means of the map, minus the running mean, divided by the running deviation; the embedding is their unit row."""
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
    assert [type(layer) for layer in dkd_student(embedding_dim=16).reid.neck] == [nn.Linear, nn.BatchNorm1d]
    assert tiny_dkd(embedding_dim=16).embed_crops([PEOPLE]).shape == (1, 16)


def test_people_are_embedded_at_their_detected_boxes() -> None:
    """A detection and the same box given by the user have one embedding, although boxes moved from their proposals."""
    student = tiny_dkd()
    nn.init.constant_(student.network.detection.boxes.bias, 0.5)
    (detections,) = detect(student, PEOPLE)
    assert len(detections) >= 3
    (rows,) = student.embed([student.prepare(PEOPLE)], [detections.boxes])
    np.testing.assert_allclose(rows, detections.embeddings, atol=1e-4)
    (shifted,) = student.embed([student.prepare(PEOPLE)], [detections.boxes + np.float32([9, 0, 9, 0])])
    assert np.abs(shifted - rows).max() > 1e-3


def test_the_detection_head_does_not_change_embeddings() -> None:
    plain, other = tiny_dkd(), tiny_dkd()
    for weight in other.network.detection.parameters():
        nn.init.normal_(weight)
    box = np.array([[10, 10, 60, 110]], np.float32)
    rows = [student.embed([student.prepare(PEOPLE)], [box])[0] for student in (plain, other)]
    np.testing.assert_array_equal(*rows)
    assert detect(plain, PEOPLE)[0].boxes.tolist() != detect(other, PEOPLE)[0].boxes.tolist()


def test_a_folder_gives_the_saved_student_and_is_strict(tmp_path) -> None:
    opened: Any = open_folder(save_network(tmp_path, dkd_student(), dkd_student().config.model_dump(mode="json")), "cpu")
    assert isinstance(opened.network.pool, RegionPoolCPU)
    assert (opened.network.pool.height, opened.network.pool.width) == (16, 8)
    (expected,), (detections,) = detect(tiny_dkd(), PEOPLE), detect(opened, PEOPLE)
    np.testing.assert_allclose(detections.boxes, expected.boxes, atol=1e-2)  # merged batch norms round differently
    np.testing.assert_allclose(detections.embeddings, expected.embeddings, atol=1e-3)
    config = dkd_student().config.model_dump(mode="json")
    tensors = tensors_of(dkd_student())
    save_model(tmp_path, config, {name: tensor for name, tensor in tensors.items() if name != "reid.neck.0.weight"})
    with pytest.raises(WeightsError, match=r"1 missing \(reid\.neck\.0\.weight\)"):
        open_folder(tmp_path, "cpu")
    save_model(tmp_path, config, tensors | {"classifier.weight": np.zeros((4, 128), np.float32)})
    with pytest.raises(WeightsError, match="unexpected"):
        open_folder(tmp_path, "cpu")
    save_model(tmp_path, config | {"teacher": "reid"}, tensors)
    with pytest.raises(ConfigError, match="teacher"):
        open_folder(tmp_path, "cpu")

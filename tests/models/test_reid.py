from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from personsearch.boxes import Array
from personsearch.errors import ConfigError, WeightsError
from personsearch.models import open_folder
from personsearch.models.base import PersonModel
from personsearch.models.rcnn import RCNN, RCNNConfig, region_input
from personsearch.models.reid import CropEmbedder, ReidConfig, ReidNetwork, classifier, crops_of, neck
from personsearch.models.scene import SceneModel
from personsearch.models.two_step import TwoStep
from personsearch.models.two_step.combined import CombinedModel
from personsearch.models.two_step.crop_model import WholeImage, crop_model
from personsearch.weights import save_model
from tests.helpers.seqnet_golden import picture

TINY = {"backbone": {"name": "resnet18", "width": 0.25}, "height": 64, "width": 32, "embedding_dim": 128, "identities": 5}
CROPS = [picture(90, 40, 1), picture(64, 32, 2), picture(30, 80, 3)]


def tiny(**changes: Any) -> tuple[ReidNetwork, ReidConfig]:
    torch.manual_seed(0)
    config = ReidConfig(**TINY | changes)
    network = ReidNetwork(config)
    for part in network.modules():  # batch norms as after training
        if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d):
            part.running_mean.normal_(std=0.1)
            part.running_var.uniform_(0.5, 2)
    return network.eval(), config


def model(**changes: Any) -> TwoStep:
    return crop_model(*tiny(**changes), "print", "cpu")


def by_hand(network: ReidNetwork, crop: Array) -> torch.Tensor:
    """The embedding of a crop that already has the network's size, without resizing."""
    mean, std = torch.tensor([0.485, 0.456, 0.406])[:, None, None], torch.tensor([0.229, 0.224, 0.225])[:, None, None]
    with torch.inference_mode():
        maps = network.backbone((torch.from_numpy(crop).permute(2, 0, 1) / 255 - mean)[None] / std)[5]
        pooled, norm = maps.mean(dim=(2, 3)), network.neck[-1]
        rows = (pooled - norm.running_mean) / (norm.running_var + norm.eps).sqrt() * norm.weight
    return rows / rows.norm()


def test_the_papers_teacher() -> None:
    """ResNet-50 on 256 x 128 with a 16 x 8 map (last stride 1) and 2048 numbers, no layer between but BNNeck."""
    with torch.device("meta"):
        network = ReidNetwork(ReidConfig(identities=483))
        assert network.backbone(torch.zeros(2, 3, 256, 128))[5].shape == (2, 2048, 16, 8)
        assert ReidNetwork(ReidConfig(last_stride=2)).backbone(torch.zeros(2, 3, 256, 128))[5].shape == (2, 2048, 8, 4)
    assert [type(layer) for layer in network.neck] == [nn.BatchNorm1d]
    assert network.classifier.weight.shape == (483, 2048)
    assert network.classifier.bias is None


def test_an_embedding_by_hand() -> None:
    network, config = tiny()
    crop = picture(64, 32, 2)
    (row,) = CropEmbedder(network, config, fingerprint="").embed([crop])
    torch.testing.assert_close(torch.from_numpy(row)[None], by_hand(network, crop), atol=1e-5, rtol=0)
    assert np.abs(row - by_hand(network, crop[:, ::-1].copy())[0].numpy()).max() > 1e-3


def test_bnneck_by_hand() -> None:
    """Features 1 and 5 have mean 3 and deviation 2, so -1 and 1; the shift stays 0, the factor learns."""
    layer = neck(1, 1)
    out = layer(torch.tensor([[1.0], [5.0]]))
    torch.testing.assert_close(out, torch.tensor([[-1.0], [1.0]]), atol=1e-5, rtol=0)
    assert {name: p.requires_grad for name, p in layer.named_parameters()} == {"0.weight": True, "0.bias": False}
    assert neck(3, 3, norm=False)(torch.ones(1, 3)).tolist() == [[1, 1, 1]]
    assert [type(layer) for layer in neck(3, 2)] == [nn.Linear, nn.BatchNorm1d]


def test_a_classifier_starts_undecided() -> None:
    torch.manual_seed(0)
    probabilities = classifier(64, 10)(torch.randn(20, 64)).softmax(dim=1)
    assert (probabilities - 0.1).abs().max() < 0.01


def test_without_bnneck_the_pooled_map_is_the_feature() -> None:
    """DKD's Table 6."""
    network, config = tiny(bnneck=False)
    assert len(network.neck) == 0
    crops = torch.rand(2, 3, 64, 32)
    torch.testing.assert_close(network.features(crops), network.backbone(crops)[5].mean(dim=(2, 3)))
    assert config.bnneck is False


def test_crops_of_a_ramp_by_hand() -> None:
    """A box of 4 x 2 pixels from (3, 1) on, to twice its size: cell k covers the half pixel from k / 2 on, so its value is
    that of the ramp at its middle; pixel n has its value at n + 0.5."""
    across = torch.arange(10.0).expand(8, 10)
    pixels = torch.stack([across, across.T[:8, :8].repeat(1, 2)[:, :10], across])[None]
    (crop,) = crops_of(pixels, [torch.tensor([[3.0, 1.0, 7.0, 3.0]])], (4, 8))
    assert crop.shape == (3, 4, 8)
    assert crop[0, 2].tolist() == [3 + (k + 0.5) / 2 - 0.5 for k in range(8)]
    torch.testing.assert_close(crop[1, :, 0], torch.tensor([1 + (k + 0.5) / 2 - 0.5 for k in range(4)]))


def test_large_crops_are_averaged_and_padded_with_the_mean() -> None:
    stripes = torch.tensor([8.0, 0.0, 0.0, 0.0]).repeat(4).expand(3, 8, 16)[None]  # a single sample in the middle would see 0
    (inside,) = crops_of(stripes, [torch.tensor([[0.0, 0.0, 16.0, 8.0]])], (1, 4))
    assert inside[0].tolist() == [[2.0] * 4]
    (beyond,) = crops_of(torch.ones(1, 3, 8, 16), [torch.tensor([[20.0, 0.0, 30.0, 8.0]])], (2, 2))
    assert beyond.abs().max() == 0


def test_crops_follow_their_image() -> None:
    pixels = torch.stack([torch.full((3, 8, 8), value) for value in (1.0, 2.0, 3.0)])
    box = torch.tensor([[1.0, 1.0, 5.0, 7.0]])
    crops = crops_of(pixels, [box, box[:0], box.repeat(2, 1)], (4, 2))
    assert crops[:, 0, 0, 0].tolist() == [1, 3, 3]
    assert crops_of(pixels, [box[:0]] * 3, (4, 2)).shape == (0, 3, 4, 2)


def test_every_image_is_one_person() -> None:
    crop_model = model()
    assert isinstance(crop_model, PersonModel)
    detections = crop_model.detect([crop_model.prepare(crop) for crop in CROPS])
    assert [result.boxes.tolist() for result in detections] == [[[0, 0, 40, 90]], [[0, 0, 32, 64]], [[0, 0, 80, 30]]]
    assert [result.scores.tolist() for result in detections] == [[1]] * 3
    np.testing.assert_allclose(np.concatenate([result.embeddings for result in detections]), crop_model.embed_crops(CROPS), atol=1e-6)


def test_embeddings_are_unit_rows_and_do_not_depend_on_the_batch() -> None:
    crop_model = model()
    rows = crop_model.embed_crops(CROPS)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)
    for crop, row in zip(CROPS, rows, strict=True):
        np.testing.assert_allclose(crop_model.embed_crops([crop])[0], row, atol=1e-5)  # float32 sums in another order
    many = crop_model.embed_crops(CROPS * 12)  # more than go at once
    np.testing.assert_allclose(many, np.tile(rows, (12, 1)), atol=1e-5)
    assert crop_model.embed_crops([]).shape == (0, 128)
    assert crop_model.detect([]) == []


def test_a_crop_embeds_as_its_box_in_the_scene() -> None:
    """[GT; R]: the true boxes' embeddings are those of the crops."""
    crop_model, scene = model(), picture(120, 160, 4)
    boxes = np.array([[10, 20, 60, 110], [0, 0, 160, 120]], np.float32)
    (rows,) = crop_model.embed([crop_model.prepare(scene)], [boxes])
    np.testing.assert_allclose(rows, crop_model.embed_crops([scene[20:110, 10:60], scene]), atol=1e-6)
    assert crop_model.embed([crop_model.prepare(scene)], [boxes[:0]])[0].shape == (0, 128)


def test_a_detector_with_the_crop_network_is_d_and_r() -> None:
    torch.manual_seed(0)
    small = {"backbone": TINY["backbone"], "short_side": 96, "long_side": 160, "keep_score": 0.0, "max_people": 3}
    detector = SceneModel(RCNN(RCNNConfig(**small)), name="D", fingerprint="d", min_score=0.0)
    both, scene = CombinedModel(detector, model()), picture(120, 160, 4)
    (detections,) = both.detect([both.prepare(scene)])
    assert len(detections) == 3
    np.testing.assert_array_equal(detections.boxes, detector.detect([detector.prepare(scene)])[0].boxes)
    crop_model = model()
    np.testing.assert_allclose(detections.embeddings, crop_model.embed([crop_model.prepare(scene)], [detections.boxes])[0], atol=1e-6)


def test_the_network_is_an_embedder_of_two_steps() -> None:
    network, config = tiny()
    both = TwoStep(WholeImage(), CropEmbedder(network, config, fingerprint="r"))
    assert both.detect([both.prepare(CROPS[0])])[0].embeddings.shape == (1, 128)


def save(folder, network: ReidNetwork, config: ReidConfig, **changes: Any) -> None:
    tensors = {name: tensor.numpy() for name, tensor in network.state_dict().items() if not name.endswith("num_batches_tracked")}
    save_model(folder, config.model_dump(mode="json") | changes, tensors)


@pytest.mark.parametrize("changes", [{}, {"bnneck": False}, {"embedding_dim": 16}, {"identities": 0}, {"last_stride": 2}])
def test_a_folder_gives_the_saved_network(changes, tmp_path) -> None:
    network, config = tiny(**changes)
    save(tmp_path, network, config)
    opened = open_folder(tmp_path, "cpu")
    assert (opened.name, opened.embedding_dim) == ("reid", config.embedding_dim)
    np.testing.assert_allclose(opened.embed_crops(CROPS), model(**changes).embed_crops(CROPS), atol=1e-5)


def test_another_networks_folder_is_refused(tmp_path) -> None:
    network, config = tiny()
    save(tmp_path, network, config, identities=6)
    with pytest.raises(WeightsError, match=r"classifier\.weight \(5, 128\), not \(6, 128\)"):
        open_folder(tmp_path, "cpu")
    save(tmp_path, network, config, bneck=True)
    with pytest.raises(ConfigError, match="bneck"):
        open_folder(tmp_path, "cpu")


def test_a_shufflenet_keeps_its_stride() -> None:
    with pytest.raises(ValueError, match="last_stride 1 is for ResNets"):
        ReidConfig(backbone={"name": "shufflenet"})
    network, config = tiny(backbone={"name": "shufflenet", "width": 0.5}, last_stride=2)
    assert CropEmbedder(network, config, fingerprint="").embed(CROPS).shape == (3, 128)


def test_crops_are_normalised_before_resizing() -> None:
    prepared = region_input(CROPS[2], 30, 80)
    assert prepared.resized == (30, 80)
    expected = (CROPS[2][7, 9].astype(np.float64) / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    assert prepared.pixels[:, 7, 9].tolist() == pytest.approx(expected.tolist(), abs=1e-5)

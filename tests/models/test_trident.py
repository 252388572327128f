"""Trident: golden numbers, the head by formula, ranking, its folder."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torchvision.ops import roi_align

from personsearch import PersonSearcher, Query
from personsearch.errors import ConfigError, WeightsError
from personsearch.models import open_folder
from personsearch.models.base import PersonModel
from personsearch.models.config import BackboneConfig
from personsearch.models.parts.region_pool import RegionPool, RegionPoolCPU
from personsearch.models.parts.rpn import frames_of
from personsearch.models.scene import SceneModel
from personsearch.models.trident import Trident, TridentConfig, TridentHead, strongest_of_partitions
from personsearch.models.two_step.combined import CombinedModel
from personsearch.options import parse
from tests.helpers.region_networks import PEOPLE, detect, save_network, tiny_trident, trident_network
from tests.helpers.seqnet_golden import batch_of, picture


def as_model(net: Trident) -> SceneModel:
    return SceneModel(net, name="tiny", fingerprint="f", min_score=0.5)


def saved(folder: Path, net: Trident, config: dict[str, Any] | None = None) -> Path:
    return save_network(folder, net, net.config.model_dump(mode="json") | (config or {}))


def assert_golden(net: Trident) -> None:
    # float32 sums in another order move these by about 1e-6; a wrong detail moves them much more
    (detections,) = detect(as_model(net), PEOPLE)
    assert len(detections) == 20
    np.testing.assert_allclose(detections.scores[[0, 1, 2, -1]], [0.993250, 0.992652, 0.988724, 0.656610], atol=1e-4)
    np.testing.assert_allclose(detections.boxes[0], [77.8811, 0.5512, 97.1578, 17.8373], atol=1e-2)
    np.testing.assert_allclose(detections.embeddings[0, [0, 1, 2, 16, 17, 31]], GOLDEN_ROW, atol=1e-4)


GOLDEN_ROW = [0.101735, 0.322193, -0.320939, -0.152540, -0.076726, -0.175792]


def test_golden_numbers() -> None:
    assert_golden(trident_network())


def test_golden_numbers_do_not_need_the_part_classification() -> None:
    """It is only used in training."""
    assert_golden(trident_network(partitions=None))


def _square_regions(net: Trident) -> None:
    net.pool = RegionPool(24, 24)


def _one_foreground_classifier(net: Trident) -> None:
    nn.init.zeros_(net.head.classes[0].weight)


def _encoders_in_turn(net: Trident) -> None:
    net.head.embedding.forward = lambda features: torch.cat(
        [nn.functional.normalize(encoder(feature)) for encoder, feature in zip(net.head.embedding.projectors, features, strict=True)], dim=1
    )


@pytest.mark.parametrize("spoil", [_square_regions, _one_foreground_classifier, _encoders_in_turn])
def test_one_wrong_detail_misses_the_golden_numbers(spoil) -> None:
    net = trident_network()
    spoil(net)
    with pytest.raises(AssertionError):
        assert_golden(net)


@torch.no_grad()
def test_the_head_by_formula() -> None:
    """Every branch in float64, from the weights by name: RoIAlign of 24 x 8, maximum over cells, one linear layer each."""
    net, boxes = trident_network().double(), torch.tensor([[10.0, 20, 60, 150], [0, 0, 200, 140], [90, 30, 110, 90]], dtype=torch.float64)
    torch.manual_seed(0)
    c4 = torch.randn(1, 64, 9, 13, dtype=torch.float64)
    output = net.head(net.pool(c4, [boxes.float()]).double())
    weights = {name.removeprefix("head."): value for name, value in net.state_dict().items() if name.startswith("head.")}
    before = roi_align(c4.float(), [boxes.float()], (24, 8), 1 / 16, 2, aligned=False).double()
    after = net.head.res5(before)
    assert before.shape[2:] == (24, 8)
    assert after.shape[2:] == (12, 4)
    x, y = before.flatten(2).max(dim=2).values, after.flatten(2).max(dim=2).values
    logits = x @ weights["classes.0.weight"].T + y @ weights["classes.1.weight"].T
    deltas = y @ weights["boxes.weight"].T + weights["boxes.bias"]
    rows = torch.cat(
        [
            feature @ weights[f"embedding.projectors.{i}.0.weight"].T + weights[f"embedding.projectors.{i}.0.bias"]
            for i, feature in enumerate((x, y))
        ],
        dim=1,
    )
    close = {"rtol": 1e-4, "atol": 1e-5}  # the network's outputs are float32
    torch.testing.assert_close(output.class_logits, logits.float(), **close)
    torch.testing.assert_close(output.scores, 1 / (1 + (logits[:, 0] - logits[:, 1]).exp()).float(), **close)
    torch.testing.assert_close(output.deltas, deltas.float(), **close)
    torch.testing.assert_close(output.embeddings, (rows / rows.norm(dim=1, keepdim=True)).float(), **close)
    assert output.embeddings.shape == (3, 32)
    third = after[:, :, 4:6].flatten(2).max(dim=2).values @ weights["parts.weight"].T + weights["parts.bias"]
    assert output.parts is not None
    assert output.parts.shape == (3, 6, 7)
    torch.testing.assert_close(output.parts[:, 2], third.float(), **close)


def test_partitions_by_hand() -> None:
    maps = torch.tensor([[[[1.0, 5], [2, 0], [3, 0], [-1, -2]], [[0.0, 0], [0, 9], [4, 4], [8, 1]]]])
    assert strongest_of_partitions(maps, 2).tolist() == [[[5, 9], [3, 8]]]
    assert strongest_of_partitions(maps, 4)[0, :, 0].tolist() == [5, 2, 3, -1]
    assert strongest_of_partitions(maps[:0], 2).shape == (0, 2, 2)


def test_branches_start_small_and_classifiers_have_no_bias() -> None:
    torch.manual_seed(0)
    head = TridentHead(BackboneConfig(), 256, 6)
    encoders = [projector[0] for projector in head.embedding.projectors]
    assert [(layer.in_features, layer.out_features) for layer in encoders] == [(1024, 128), (2048, 128)]
    assert [(layer.in_features, layer.out_features, layer.bias) for layer in head.classes] == [(1024, 2, None), (2048, 2, None)]
    for layer in [*encoders, *head.classes, head.boxes, head.parts]:
        assert layer.weight.std().item() == pytest.approx(0.01, rel=0.05)
        assert layer.bias is None or not layer.bias.any()


@pytest.mark.parametrize("norm", [True, False])
def test_encoders_have_a_norm_behind_them_if_the_config_says_so(norm: bool) -> None:
    """The recipes that end in -with-norm: as NAE's projectors; the paper's encoders are one linear layer."""
    embedding: Any = trident_network(encoder_norm=norm).head.embedding
    assert any(isinstance(part, nn.BatchNorm1d) for part in embedding.modules()) is norm


def test_a_head_takes_zero_regions() -> None:
    net = trident_network()
    output = net.head(net.pool(torch.rand(2, 64, 8, 8), [torch.zeros(0, 4)] * 2))
    assert (output.scores.shape, output.deltas.shape, output.embeddings.shape, output.parts.shape) == ((0,), (0, 4), (0, 32), (0, 6, 7))


@pytest.mark.parametrize(
    ("values", "word"), [({"partitions": 5}, "partitions"), ({"pixelwise": True}, "pixelwise"), ({"architecture": "nae"}, "arch")]
)
def test_a_wrong_config_names_the_field(values, word, tmp_path) -> None:
    with pytest.raises(ConfigError, match=word):
        parse(TridentConfig, values, tmp_path)


@pytest.mark.parametrize("backbone", [{"name": "resnet50", "width": 0.125}, {"name": "shufflenet", "width": 0.5}])
@pytest.mark.parametrize("norm", ["frozen", "group"])
def test_other_backbones_detect(backbone, norm) -> None:
    (detections,) = detect(tiny_trident(backbone=backbone | {"norm": norm}, keep_score=0.0, max_people=5), PEOPLE)
    assert 1 <= len(detections) <= 5
    np.testing.assert_allclose(np.linalg.norm(detections.embeddings, axis=1), 1, atol=1e-5)


def test_autocast_changes_embeddings_by_rounding_only() -> None:
    """bfloat16 has 8 bits: cosines move by some percent."""
    rows, rough = (
        trident.embed([trident.prepare(PEOPLE)], [np.float32([[10, 10, 60, 110]])])[0]
        for trident in (tiny_trident(), tiny_trident("bfloat16"))
    )
    assert rough.dtype == np.float32
    assert 0.98 < float(rows[0] @ rough[0]) < 1 - 1e-7


def test_trident_detects_for_another_model() -> None:
    trident, other = tiny_trident(), tiny_trident(embedding_dim=16, short_side=128, long_side=200)
    both = CombinedModel(trident, other)
    assert isinstance(trident, PersonModel)
    (alone,), (detections,) = detect(trident, PEOPLE), detect(both, PEOPLE)
    np.testing.assert_array_equal(detections.boxes, alone.boxes)
    assert detections.embeddings.shape == (len(alone), 16)


def test_trident_ranks_by_cosine_times_score(tmp_path: Path) -> None:
    """The weighted similarity of Sec. 4.2 is the default; the cosine alone gives another order."""
    model, gallery, scene = tiny_trident(), tmp_path / "gallery", tmp_path / "scene.png"
    gallery.mkdir()
    Image.fromarray(PEOPLE).save(gallery / "a.png")
    Image.fromarray(picture(120, 160, 5)).save(scene)
    (row,) = model.embed([model.prepare(picture(120, 160, 5))], [np.float32([[10, 10, 60, 110]])])
    (detections,) = detect(model, PEOPLE)
    cosines = (detections.embeddings @ row[0]).astype(float)
    orders = {}
    for chosen in (None, False):
        weighted = chosen is None
        hits = PersonSearcher(model).search(Query(scene, (10, 10, 60, 110)), gallery, top_k=5, confidence_weighted=chosen)
        assert hits.ranked_by == ("cosine x score" if weighted else "cosine")
        expected = np.argsort(-(cosines * detections.scores if weighted else cosines))[:5]
        np.testing.assert_allclose([hit.box for hit in hits], detections.boxes[expected], atol=1e-2)
        np.testing.assert_allclose([hit.similarity for hit in hits], cosines[expected], atol=1e-5)
        orders[weighted] = expected.tolist()
    assert orders[True] != orders[False]


@pytest.mark.parametrize("partitions", [6, None])
def test_a_folder_gives_the_saved_network(partitions, tmp_path) -> None:
    plain = trident_network(partitions=partitions)
    opened: Any = open_folder(saved(tmp_path, trident_network(partitions=partitions)), "cpu")
    assert isinstance(opened.network.pool, RegionPoolCPU)
    assert (opened.network.pool.height, opened.network.pool.width) == (24, 8)
    (expected,), (detections,) = detect(as_model(plain), PEOPLE), detect(opened, PEOPLE)
    np.testing.assert_allclose(detections.boxes, expected.boxes, atol=1e-2)
    np.testing.assert_allclose(detections.scores, expected.scores, atol=1e-4)
    np.testing.assert_allclose(detections.embeddings, expected.embeddings, atol=1e-4)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"partitions": None}, r"2 unexpected \(head\.parts\.bias, head\.parts\.weight\)"),
        ({"partitions": 3}, "head.parts.weight"),
        ({"embedding_dim": 64}, "of another shape"),
    ],
)
def test_the_config_of_another_trident_is_refused(config, message, tmp_path) -> None:
    with pytest.raises(WeightsError, match=message):
        open_folder(saved(tmp_path, trident_network(), config), "cpu")


def test_a_config_with_an_unknown_field_is_refused(tmp_path) -> None:
    saved(tmp_path, trident_network())
    (tmp_path / "config.json").write_text(json.dumps(trident_network().config.model_dump(mode="json") | {"nms_treshold": 0.5}))
    with pytest.raises(ConfigError, match="nms_treshold"):
        open_folder(tmp_path, "cpu")


def test_every_branch_trains() -> None:
    net = trident_network().train()
    batch = batch_of(net.prepare(PEOPLE))
    c4: Tensor = net(batch.pixels)
    logits, deltas = net.rpn.predict(c4)
    output = net.head(net.pool(c4, net.rpn(c4, frames_of(batch.resized, batch.pixels))))
    assert output.parts is not None
    sum(
        output.square().sum() for output in (logits, deltas, output.class_logits, output.deltas, output.embeddings[:, 0], output.parts)
    ).backward()
    assert [name for name, parameter in net.named_parameters() if parameter.grad is None] == []

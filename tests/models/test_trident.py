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
from personsearch.boxes import Array, iou
from personsearch.errors import ConfigError, WeightsError
from personsearch.models import open_folder
from personsearch.models.base import PersonModel
from personsearch.models.config import BackboneConfig
from personsearch.models.parts.region_pool import RegionPool, RegionPoolCPU
from personsearch.models.parts.rpn import frames_of
from personsearch.models.scene import SceneModel
from personsearch.models.trident import Trident, TridentConfig, TridentHead, strongest_of_partitions
from personsearch.models.two_step.combined import CombinedModel
from personsearch.options import Precision, parse
from personsearch.results import Detections
from personsearch.weights import save_model
from tests.data.deterministic_weights import fill
from tests.data.synth_image import synth
from tests.helpers.batches import found_alone_and_together
from tests.helpers.seqnet_golden import batch_of

SMALL = {"backbone": {"name": "resnet18", "width": 0.25}, "short_side": 160, "long_side": 256, "embedding_dim": 32}
TINY = SMALL | {"proposals": {"after_nms": 40}}
EMPTY = np.zeros((120, 160, 3), np.uint8)


def picture(height: int, width: int, seed: int) -> Array:
    return np.ascontiguousarray(synth(height, width, seed)[:, :, ::-1])


PEOPLE = picture(120, 160, 1)


def network(**changes: Any) -> Trident:
    """A small network with the weights of tests/data; it takes nearly everything for a person."""
    built = Trident(TridentConfig(**TINY | changes))
    fill(built.state_dict(), "seqnet")
    return built.eval()


def model(net: Trident, precision: Precision = "float32") -> SceneModel:
    return SceneModel(net, name="tiny", fingerprint="f", min_score=0.5, precision=precision)


def detect(found_by: PersonModel, *images: Array) -> list[Detections]:
    return found_by.detect([found_by.prepare(image) for image in images])


def assert_golden(net: Trident) -> None:
    # float32 sums in another order move these by some 1e-6; a wrong detail by far more
    (found,) = detect(model(net), PEOPLE)
    assert len(found) == 20
    np.testing.assert_allclose(found.scores[[0, 1, 2, -1]], [0.993250, 0.992652, 0.988724, 0.656610], atol=1e-4)
    np.testing.assert_allclose(found.boxes[0], [77.8811, 0.5512, 97.1578, 17.8373], atol=1e-2)
    np.testing.assert_allclose(found.embeddings[0, [0, 1, 2, 16, 17, 31]], GOLDEN_ROW, atol=1e-4)


GOLDEN_ROW = [0.101735, 0.322193, -0.320939, -0.152540, -0.076726, -0.175792]


def test_golden_numbers() -> None:
    assert_golden(network())


def test_golden_numbers_do_not_need_the_part_classification() -> None:
    """It serves training alone."""
    assert_golden(network(partitions=None))


def _square_regions(net: Trident) -> None:
    net.pool = RegionPool(24, 24)


def _one_foreground_classifier(net: Trident) -> None:
    nn.init.zeros_(net.head.classes[0].weight)


def _encoders_in_turn(net: Trident) -> None:
    net.head.embedding.forward = lambda features: torch.cat(
        [nn.functional.normalize(encoder(one)) for encoder, one in zip(net.head.embedding.projectors, features, strict=True)], dim=1
    )


@pytest.mark.parametrize("spoil", [_square_regions, _one_foreground_classifier, _encoders_in_turn])
def test_one_wrong_detail_misses_the_golden_numbers(spoil) -> None:
    net = network()
    spoil(net)
    with pytest.raises(AssertionError):
        assert_golden(net)


@torch.no_grad()
def test_the_head_by_formula() -> None:
    """Every branch in float64, from the weights by name: RoIAlign of 24 x 8, strongest cells, one linear layer each."""
    net, boxes = network().double(), torch.tensor([[10.0, 20, 60, 150], [0, 0, 200, 140], [90, 30, 110, 90]], dtype=torch.float64)
    torch.manual_seed(0)
    c4 = torch.randn(1, 64, 9, 13, dtype=torch.float64)
    seen = net.head(net.pool(c4, [boxes.float()]).double())
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
            one @ weights[f"embedding.projectors.{i}.0.weight"].T + weights[f"embedding.projectors.{i}.0.bias"]
            for i, one in enumerate((x, y))
        ],
        dim=1,
    )
    close = {"rtol": 1e-4, "atol": 1e-5}  # the network's outputs are float32
    torch.testing.assert_close(seen.class_logits, logits.float(), **close)
    torch.testing.assert_close(seen.scores, 1 / (1 + (logits[:, 0] - logits[:, 1]).exp()).float(), **close)
    torch.testing.assert_close(seen.deltas, deltas.float(), **close)
    torch.testing.assert_close(seen.embeddings, (rows / rows.norm(dim=1, keepdim=True)).float(), **close)
    assert seen.embeddings.shape == (3, 32)
    third = after[:, :, 4:6].flatten(2).max(dim=2).values @ weights["parts.weight"].T + weights["parts.bias"]
    assert seen.parts is not None
    assert seen.parts.shape == (3, 6, 7)
    torch.testing.assert_close(seen.parts[:, 2], third.float(), **close)


def test_partitions_by_hand() -> None:
    maps = torch.tensor([[[[1.0, 5], [2, 0], [3, 0], [-1, -2]], [[0.0, 0], [0, 9], [4, 4], [8, 1]]]])
    assert strongest_of_partitions(maps, 2).tolist() == [[[5, 9], [3, 8]]]
    assert strongest_of_partitions(maps, 4)[0, :, 0].tolist() == [5, 2, 3, -1]
    assert strongest_of_partitions(maps[:0], 2).shape == (0, 2, 2)


def test_branches_start_small_and_only_the_foreground_classifiers_have_no_bias() -> None:
    torch.manual_seed(0)
    head = TridentHead(BackboneConfig(), 256, 6)
    encoders = [projector[0] for projector in head.embedding.projectors]
    assert [(one.in_features, one.out_features) for one in encoders] == [(1024, 128), (2048, 128)]
    assert [(one.in_features, one.out_features, one.bias) for one in head.classes] == [(1024, 2, None), (2048, 2, None)]
    for layer in [*encoders, *head.classes, head.boxes, head.parts]:
        assert layer.weight.std().item() == pytest.approx(0.01, rel=0.05)
        assert layer.bias is None or not layer.bias.any()


def test_a_head_takes_no_region_at_all() -> None:
    net = network()
    seen = net.head(net.pool(torch.rand(2, 64, 8, 8), [torch.zeros(0, 4)] * 2))
    assert (seen.scores.shape, seen.deltas.shape, seen.embeddings.shape, seen.parts.shape) == ((0,), (0, 4), (0, 32), (0, 6, 7))


@pytest.mark.parametrize(
    ("values", "word"), [({"partitions": 5}, "partitions"), ({"pixelwise": True}, "pixelwise"), ({"architecture": "nae"}, "arch")]
)
def test_a_wrong_config_names_the_field(values, word, tmp_path) -> None:
    with pytest.raises(ConfigError, match=word):
        parse(TridentConfig, values, tmp_path)


def test_what_an_image_gives_does_not_depend_on_its_batch() -> None:
    finder = model(network())
    images = [PEOPLE, picture(160, 120, 2), EMPTY, picture(120, 160, 5), picture(118, 160, 6)]
    together = found_alone_and_together(finder, images)
    assert max(map(len, together)) >= 3


def test_nobody_above_the_score_is_a_result() -> None:
    finder = model(network(keep_score=0.9999999))
    (found,) = detect(finder, PEOPLE)
    assert (found.boxes.shape, found.scores.shape, found.embeddings.shape) == ((0, 4), (0,), (0, 32))
    assert finder.detect([]) == []
    assert finder.embed([finder.prepare(PEOPLE)], [np.zeros((0, 4), np.float32)])[0].shape == (0, 32)
    assert finder.embed_crops([]).shape == (0, 32)


def test_people_are_inside_the_image_best_first_with_unit_rows() -> None:
    (found,) = detect(model(network()), picture(160, 120, 2))
    assert len(found) > 3
    assert (found.boxes >= 0).all()
    assert (found.boxes <= [120, 160, 120, 160]).all()
    assert (np.diff(found.scores) <= 0).all()
    np.testing.assert_allclose(np.linalg.norm(found.embeddings, axis=1), 1, atol=1e-5)
    overlap = iou(found.boxes, found.boxes) - np.eye(len(found))
    assert overlap.max() <= 0.4 + 1e-4


@pytest.mark.parametrize("backbone", [{"name": "resnet50", "width": 0.125}, {"name": "shufflenet", "width": 0.5}])
@pytest.mark.parametrize("norm", ["frozen", "group"])
def test_other_backbones_detect(backbone, norm) -> None:
    (found,) = detect(model(network(backbone=backbone | {"norm": norm}, keep_score=0.0, max_people=5)), PEOPLE)
    assert 1 <= len(found) <= 5
    np.testing.assert_allclose(np.linalg.norm(found.embeddings, axis=1), 1, atol=1e-5)


def test_autocast_finds_the_same_people_but_for_rounding() -> None:
    """bfloat16 has 8 bits: cosines move by some percent."""
    rows, rough = (
        one.embed([one.prepare(PEOPLE)], [np.float32([[10, 10, 60, 110]])])[0] for one in (model(network()), model(network(), "bfloat16"))
    )
    assert rough.dtype == np.float32
    assert 0.98 < float(rows[0] @ rough[0]) < 1 - 1e-7


def test_context_puts_the_query_first_and_drops_who_overlaps_it() -> None:
    finder = model(network())
    (found,) = detect(finder, PEOPLE)
    batch, box = batch_of(finder.prepare(PEOPLE)), torch.from_numpy(found.boxes[1:2])
    with torch.inference_mode():
        (around,) = finder.network.detect_around(batch, [box])
        (row,) = finder.network.embed(batch, [box])
    np.testing.assert_allclose(around.boxes[0], found.boxes[1], atol=1e-3)
    assert around.scores[0] == 1
    torch.testing.assert_close(around.embeddings[:1], row)
    assert (iou(found.boxes[1:2], around.boxes[1:].numpy()) <= 0.4 + 1e-4).all()


def test_trident_detects_for_another_and_embeds_for_another() -> None:
    one, other = model(network()), model(network(embedding_dim=16, short_side=128, long_side=200))
    both = CombinedModel(one, other)
    assert isinstance(one, PersonModel)
    (alone,), (found,) = detect(one, PEOPLE), detect(both, PEOPLE)
    np.testing.assert_array_equal(found.boxes, alone.boxes)
    assert found.embeddings.shape == (len(alone), 16)


def test_a_search_ranks_by_cosine_times_score_if_asked_to(tmp_path: Path) -> None:
    """The weighted similarity of Sec. 4.2; the cosine alone would rank otherwise."""
    finder, gallery, scene = model(network()), tmp_path / "gallery", tmp_path / "scene.png"
    gallery.mkdir()
    Image.fromarray(PEOPLE).save(gallery / "a.png")
    Image.fromarray(picture(120, 160, 5)).save(scene)
    (row,) = finder.embed([finder.prepare(picture(120, 160, 5))], [np.float32([[10, 10, 60, 110]])])
    (found,) = detect(finder, PEOPLE)
    cosines = (found.embeddings @ row[0]).astype(float)
    orders = {}
    for weighted in (True, False):
        hits = PersonSearcher(finder).search(Query(scene, (10, 10, 60, 110)), gallery, top_k=5, confidence_weighted=weighted)
        expected = np.argsort(-(cosines * found.scores if weighted else cosines))[:5]
        np.testing.assert_allclose([hit.box for hit in hits], found.boxes[expected], atol=1e-2)
        np.testing.assert_allclose([hit.similarity for hit in hits], cosines[expected], atol=1e-5)
        orders[weighted] = expected.tolist()
    assert orders[True] != orders[False]


def saved(folder: Path, net: Trident, config: dict[str, Any] | None = None) -> Path:
    tensors = {name: tensor.numpy() for name, tensor in net.state_dict().items() if not name.endswith("num_batches_tracked")}
    save_model(folder, net.config.model_dump(mode="json") | (config or {}), tensors)
    return folder


@pytest.mark.parametrize("partitions", [6, None])
def test_a_folder_gives_what_was_saved(partitions, tmp_path) -> None:
    plain = network(partitions=partitions)
    opened: Any = open_folder(saved(tmp_path, network(partitions=partitions)), "cpu")
    assert isinstance(opened.network.pool, RegionPoolCPU)
    assert (opened.network.pool.height, opened.network.pool.width) == (24, 8)
    (expected,), (found,) = detect(model(plain), PEOPLE), detect(opened, PEOPLE)
    np.testing.assert_allclose(found.boxes, expected.boxes, atol=1e-2)
    np.testing.assert_allclose(found.scores, expected.scores, atol=1e-4)
    np.testing.assert_allclose(found.embeddings, expected.embeddings, atol=1e-4)


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
        open_folder(saved(tmp_path, network(), config), "cpu")


def test_a_config_with_an_unknown_field_is_refused(tmp_path) -> None:
    saved(tmp_path, network())
    (tmp_path / "config.json").write_text(json.dumps(network().config.model_dump(mode="json") | {"nms_treshold": 0.5}))
    with pytest.raises(ConfigError, match="nms_treshold"):
        open_folder(tmp_path, "cpu")


def test_every_branch_trains() -> None:
    net = network().train()
    batch = batch_of(net.prepare(PEOPLE))
    c4: Tensor = net(batch.pixels)
    logits, deltas = net.rpn.predict(c4)
    seen = net.head(net.pool(c4, net.rpn(c4, frames_of(batch.resized, batch.pixels))))
    assert seen.parts is not None
    sum(output.square().sum() for output in (logits, deltas, seen.class_logits, seen.deltas, seen.embeddings[:, 0], seen.parts)).backward()
    assert [name for name, parameter in net.named_parameters() if parameter.grad is None] == []

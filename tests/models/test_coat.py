"""COAT: the authors' numbers, and what every network for scenes keeps."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from personsearch.boxes import Array, iou
from personsearch.models.coat import COAT, COATConfig
from personsearch.models.fast.transformer_cpu import use_cpu_heads
from personsearch.models.parts.region_pool import LazyRegions, RegionPool
from personsearch.models.parts.rpn import frames_of
from personsearch.models.parts.transformer import Scale, TokenBlock
from personsearch.models.scene import SceneBatch, SceneDetections, SceneModel
from personsearch.options import Precision
from tests.helpers.batches import detections_in_any_batch
from tests.helpers.gfn_golden import SMALL, assert_among, opened, sampled
from tests.helpers.seqnet_golden import DATA, assert_people, batch_of, golden, picture

EMBEDDINGS = 1e-5


def detect(net: COAT, image: Array) -> tuple[SceneBatch, SceneDetections]:
    batch = batch_of(net.prepare(image))
    with torch.inference_mode():
        (people,) = net.detect(batch)
    return batch, people


def assert_first_stage(net: COAT, batch: SceneBatch, expected: dict[str, Array]) -> None:
    """Input, map, proposals and the first head's people; what differs first is named."""
    assert tuple(batch.pixels.shape) == tuple(expected["network_input_shape"])
    np.testing.assert_array_equal(sampled(batch.pixels[0]), expected["input_samp"], err_msg="input")
    frame = frames_of(batch.resized, batch.pixels)
    with torch.inference_mode():
        c4 = net(batch.pixels)
        (proposals,) = net.rpn(c4, frame)
        first = net.find_first(c4, proposals, frame[0])
    np.testing.assert_allclose(sampled(c4), expected["res4_samp"], atol=2e-5, rtol=0, err_msg="res4")
    assert len(proposals) == expected["n_proposals"]
    assert_among(proposals, expected["proposals_top16"], 2e-3)
    assert len(first.boxes) == len(expected["stage1_boxes"])
    assert_among(first.boxes, expected["stage1_boxes"], 2e-3)


def assert_query(net: COAT, batch: SceneBatch, expected: dict[str, Array]) -> None:
    """What a query's own box gets."""
    with torch.inference_mode():
        (row,) = net.embed(batch, [torch.from_numpy(expected["query_box"])])
    np.testing.assert_allclose(row, expected["query_embedding"] / 2**0.5, atol=EMBEDDINGS, rtol=0)


def assert_golden(net: COAT, expected: dict[str, Array], image: Array) -> None:
    """What a gallery, a query and a query's context get; embeddings of the authors have a length of sqrt(2) times the score."""
    batch, people = detect(net, image)
    assert_first_stage(net, batch, expected)
    assert_people(people, expected["boxes"], expected["scores"], expected["embeddings"])
    np.testing.assert_allclose(expected["embedding_norms"], 2**0.5 * expected["scores"], atol=1e-5)
    assert_query(net, batch, expected)
    with torch.inference_mode():
        (context,) = net.detect_around(batch, [torch.from_numpy(expected["query_box"])])
    assert len(context.scores) == len(expected["context_scores"])
    assert_among(context.boxes, expected["context_boxes"], 2e-3)
    first = expected["context_embeddings"] / 2**0.5
    order = np.abs(context.boxes.numpy()[None] - expected["context_boxes"][: len(first), None]).max(axis=2).argmin(axis=1)
    np.testing.assert_allclose(context.embeddings.numpy()[order], first, atol=EMBEDDINGS, rtol=0)
    np.testing.assert_allclose(context.scores.numpy()[order], expected["context_scores"][: len(first)], atol=5e-5, rtol=0)


@pytest.mark.slow
def test_golden_numbers() -> None:
    net = opened("coat", **SMALL).network
    assert isinstance(net, COAT)
    assert_golden(net, golden(DATA / "coat_small.npz"), picture(240, 320, 3))


@pytest.mark.extra
def test_golden_numbers_at_the_papers_size(shared: Path) -> None:
    net = opened("coat", 900, 1500).network
    assert isinstance(net, COAT)
    assert_golden(net, golden(shared / "reference" / "goldens" / "coat_full.npz"), picture(900, 1500, 1))


def _residual_from_the_tokens_as_they_came(net: COAT, monkeypatch: pytest.MonkeyPatch) -> None:
    def usual(self: TokenBlock, tokens: torch.Tensor) -> torch.Tensor:
        tokens = tokens + self.attention(self.norm1(tokens))
        return tokens + self.wide(self.norm2(tokens))

    monkeypatch.setattr(TokenBlock, "forward", usual)


def _heads_swapped(net: COAT, monkeypatch: pytest.MonkeyPatch) -> None:
    net.later.second.head, net.later.third.head = net.later.third.head, net.later.second.head


def _one_weight(net: COAT, monkeypatch: pytest.MonkeyPatch) -> None:
    with torch.no_grad():
        net.later.third.head.scales[1].cells.weight[:8] *= 1.05


@pytest.mark.slow
@pytest.mark.parametrize("spoil", [_residual_from_the_tokens_as_they_came, _heads_swapped, _one_weight])
def test_one_wrong_detail_misses_the_golden_numbers(spoil, monkeypatch) -> None:
    """Those of the query, of one box, already; thousands of boxes of the last stages take ten times as long."""
    net, expected = opened("coat", **SMALL).network, golden(DATA / "coat_small.npz")
    assert isinstance(net, COAT)
    spoil(net, monkeypatch)
    with pytest.raises(AssertionError):
        assert_query(net, batch_of(net.prepare(picture(240, 320, 3))), expected)


@pytest.mark.slow
def test_another_second_nms_misses_the_golden_numbers() -> None:
    net, expected = opened("coat", **SMALL).network, golden(DATA / "coat_small.npz")
    assert isinstance(net, COAT)
    net.config = net.config.model_copy(update={"second_nms_iou": 1.0})
    _, people = detect(net, picture(240, 320, 3))
    with pytest.raises(AssertionError):
        assert_people(people, expected["boxes"], expected["scores"], expected["embeddings"])


TINY: dict[str, Any] = {
    "backbone": {"name": "resnet18", "width": 0.25},
    "short_side": 160,
    "long_side": 256,
    "embedding_dim": 32,
    "proposals": {"after_nms": 40},
    "keep_score": 0.0,
}
PEOPLE, TALL, EMPTY = picture(120, 160, 1), picture(160, 120, 2), np.zeros((120, 160, 3), np.uint8)


def tiny(precision: Precision = "float32", **changes: Any) -> SceneModel:
    """A small network that finds people everywhere unless `keep_score` forbids it."""
    torch.manual_seed(0)
    return SceneModel(COAT(COATConfig(**TINY | changes)), name="tiny", fingerprint="", min_score=0.5, precision=precision)


@pytest.mark.slow
def test_what_an_image_gives_does_not_depend_on_its_batch() -> None:
    model = tiny()
    together = detections_in_any_batch(model, [PEOPLE, TALL, EMPTY, picture(120, 160, 5), picture(60, 160, 4), picture(118, 160, 6)])
    assert min(map(len, together)) >= 3


def test_a_scene_of_nobody_is_a_result() -> None:
    model = tiny(keep_score=0.9999)
    (found,) = model.detect([model.prepare(EMPTY)])
    assert found.embeddings.shape == (0, 32)
    with torch.inference_mode():
        (around,) = model.network.detect_around(batch_of(model.prepare(EMPTY)), [torch.tensor([[10.0, 10, 50, 100]])])
    assert around.scores.tolist() == [1]
    np.testing.assert_allclose(around.embeddings.norm(dim=1), 1, atol=1e-5)


def test_rows_are_the_halves_of_both_later_heads() -> None:
    model = tiny()
    (found,) = model.detect([model.prepare(PEOPLE)])
    np.testing.assert_allclose(np.linalg.norm(found.embeddings[:, :16], axis=1), 0.5**0.5, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(found.embeddings[:, 16:], axis=1), 0.5**0.5, atol=1e-5)


def test_autocast_finds_the_same_people_but_for_rounding() -> None:
    """bfloat16 has 8 bits."""
    exact, rough = (tiny(precision) for precision in ("float32", "bfloat16"))
    boxes = [np.array([[10, 10, 60, 110], [80, 0, 160, 120]], np.float32)]
    (one,), (other,) = (model.embed([model.prepare(PEOPLE)], boxes) for model in (exact, rough))
    assert other.dtype == np.float32
    cosines = (one * other).sum(axis=1)
    assert 0.98 < cosines.min() < 1 - 1e-9
    (first,), (second,) = (model.detect([model.prepare(PEOPLE)]) for model in (exact, rough))
    assert (iou(first.boxes[:3], second.boxes).max(axis=1) > 0.8).all()


def test_tokens_that_overlap_are_summed() -> None:
    """Kernel 3 with all weights 0 but the biases 1: a cell gets one for each of the 4, 6 or 9 tokens that cover it."""
    scale = Scale(channels=2, dim=4, heads=2, kernel=3)
    for parameter in scale.cells.parameters():
        nn.init.zeros_(parameter)
    nn.init.ones_(scale.cells.bias)
    added = scale(torch.zeros(1, 2, 4, 4))[0, 0]
    assert added.tolist() == [[4, 6, 6, 4], [6, 9, 9, 6], [6, 9, 9, 6], [4, 6, 6, 4]]


@pytest.mark.parametrize("count", [40, 1])
def test_the_cpu_form_of_the_heads_computes_the_same(count) -> None:
    """Many regions of a small map, where it convolves the map, and one, where it convolves the region."""
    plain, fast = (tiny().network.get_submodule("later.second.head") for _ in range(2))
    use_cpu_heads(nn.Sequential(fast))
    assert type(fast) is not type(plain)
    corners = torch.rand(count, 2) * 200
    boxes = torch.cat([corners, corners + 20 + torch.rand(count, 2) * 60], dim=1)
    c4 = torch.rand(1, 64, 20, 20)
    regions = [LazyRegions(RegionPool(), c4, [boxes]) for _ in range(2)]
    with torch.inference_mode():
        for ours, theirs in zip(fast(regions[0]), plain(regions[1]), strict=True):
            np.testing.assert_allclose(ours, theirs, atol=2e-5, rtol=0)
    assert ("cells" not in vars(regions[0])) == (count == 40)


def test_every_parameter_gets_a_gradient() -> None:
    model = tiny()
    net: Any = model.network.train()
    batch = batch_of(model.prepare(PEOPLE))
    c4 = net(batch.pixels)
    logits, deltas = net.rpn.predict(c4)
    regions = net.pool(c4, net.rpn(c4, frames_of(batch.resized, batch.pixels)))
    first, later = net.first(regions), net.later(regions)
    outputs = [logits, deltas, first.class_logits, first.deltas, net.later.second.move(regions), later.deltas, later.embeddings]
    sum(output.square().sum() + output.sum() for output in outputs).backward()
    assert [name for name, parameter in net.named_parameters() if parameter.grad is None] == []

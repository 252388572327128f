from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from personsearch.boxes import Array, iou
from personsearch.models.parts import heads, region_pool
from personsearch.models.parts.rpn import frames_of
from personsearch.models.scene import SceneBatch, SceneDetections, SceneModel
from personsearch.models.seqnet import SeqNet, SeqNetConfig
from personsearch.options import Precision
from personsearch.results import Detections
from tests.helpers.batches import found_alone_and_together
from tests.helpers.seqnet_golden import DATA, SMALL, assert_people, batch_of, golden, network, opened, picture


def detect_and_keep(net: SeqNet, batch: SceneBatch) -> tuple[SceneDetections, dict[str, Any]]:
    """The people of a batch of one, and what the parts of the network gave on the way."""
    seen: dict[str, Any] = {}
    parts = {"backbone": net.backbone, "rpn": net.rpn, "first": net.first}
    hooks = [part.register_forward_hook(lambda _, __, made, name=name: seen.update({name: made})) for name, part in parts.items()]
    with torch.inference_mode():
        (people,) = net.detect(batch)
    for hook in hooks:
        hook.remove()
    return people, seen


def assert_stages(seen: dict[str, Any], expected: dict[str, Array]) -> None:
    """The first stage that is not the authors' is named."""
    c4 = seen["backbone"][4].contiguous().flatten()
    np.testing.assert_allclose(c4[torch.arange(256) * len(c4) // 256], expected["res4_samp"], atol=2e-5, rtol=0, err_msg="res4")
    (proposals,) = seen["rpn"]
    assert len(proposals) == expected["n_proposals"]
    np.testing.assert_allclose(proposals[:16], expected["proposals_top16"], atol=2e-3, rtol=0, err_msg="proposals")
    # sorted: at the paper's size two proposals whose objectness differs by rounding change places with the number of threads
    scores = np.sort(seen["first"].scores), np.sort(expected["stage1_scores"])
    np.testing.assert_allclose(*scores, atol=5e-5, rtol=0, err_msg="first head")


def assert_golden(net: SeqNet, expected: dict[str, Array], image: Array) -> None:
    """What a gallery, a query and a query's context get, and the stages on the way."""
    batch = batch_of(net.prepare(image))
    assert tuple(batch.pixels.shape) == tuple(expected["network_input_shape"])
    assert batch.resized == [tuple(expected["image_size"])]
    people, seen = detect_and_keep(net, batch)
    assert_stages(seen, expected)
    assert_people(people, expected["boxes"], expected["scores"], expected["embeddings"])
    query = torch.from_numpy(expected["query_box"])
    with torch.inference_mode():
        (row,) = net.embed(batch, [query])
        (context,) = net.detect_around(batch, [query])
    np.testing.assert_allclose(row, expected["query_embedding"], atol=2e-5, rtol=0)
    assert_people(context, expected["context_boxes"], expected["context_scores"], expected["context_embeddings"])


@pytest.mark.slow
def test_golden_numbers() -> None:
    assert_golden(opened(**SMALL).network, golden(DATA / "seqnet_small.npz"), picture(240, 320, 3))


@pytest.mark.slow
def test_golden_people_without_merged_layers() -> None:
    net, expected = network(**SMALL), golden(DATA / "seqnet_small.npz")
    people, seen = detect_and_keep(net, batch_of(net.prepare(picture(240, 320, 3))))
    assert_stages(seen, expected)
    assert_people(people, expected["boxes"], expected["scores"], expected["embeddings"])


@pytest.mark.extra
def test_golden_numbers_at_the_papers_size(shared: Path) -> None:
    expected = golden(shared / "reference" / "goldens" / "seqnet_full.npz")
    assert_golden(opened(900, 1500).network, expected, picture(900, 1500, 1))


def _stride_in_the_first_convolution(monkeypatch: pytest.MonkeyPatch) -> SeqNet:
    return network(**SMALL, backbone={"style": "caffe"})


def _aligned(monkeypatch: pytest.MonkeyPatch) -> SeqNet:
    plain = region_pool.roi_align  # type: ignore[attr-defined]
    monkeypatch.setattr(region_pool, "roi_align", lambda *args, **options: plain(*args, **options | {"aligned": True}))
    return network(**SMALL)


def _average_pooling(monkeypatch: pytest.MonkeyPatch) -> SeqNet:
    monkeypatch.setattr(heads, "strongest", lambda maps: maps.mean(dim=(2, 3)))
    return network(**SMALL)


def _swapped_heads(monkeypatch: pytest.MonkeyPatch) -> SeqNet:
    net = network(**SMALL)
    net.first.res5, net.second.res5 = net.second.res5, net.first.res5
    return net


@pytest.mark.slow
@pytest.mark.parametrize("spoil", [_stride_in_the_first_convolution, _aligned, _average_pooling, _swapped_heads])
def test_one_wrong_detail_misses_the_golden_numbers(spoil, monkeypatch) -> None:
    net, expected = spoil(monkeypatch), golden(DATA / "seqnet_small.npz")
    people, _ = detect_and_keep(net, batch_of(net.prepare(picture(240, 320, 3))))
    with pytest.raises(AssertionError):
        assert_people(people, expected["boxes"], expected["scores"], expected["embeddings"])


TINY = {
    "backbone": {"name": "resnet18", "width": 0.25},
    "short_side": 160,
    "long_side": 256,
    "embedding_dim": 32,
    "proposals": {"after_nms": 40},
}
PEOPLE, TALL, EMPTY = picture(120, 160, 1), picture(160, 120, 2), np.zeros((120, 160, 3), np.uint8)


def tiny(precision: Precision = "float32", **changes: Any) -> SceneModel:
    """A small network that finds people in PEOPLE and TALL, and none in EMPTY."""
    torch.manual_seed(0)
    net = SeqNet(SeqNetConfig(**TINY | changes))
    with torch.no_grad():
        net.first.classes.bias[1] += 5.5
    return SceneModel(net, name="tiny", fingerprint="", min_score=0.5, precision=precision)


def detect(model: SceneModel, *images: Array) -> list[Detections]:
    return model.detect([model.prepare(image) for image in images])


@pytest.mark.parametrize("baseline", ["oim", "nae", "nae+"])
def test_what_an_image_gives_does_not_depend_on_its_batch(baseline) -> None:
    model = tiny(baseline=baseline)
    images = [PEOPLE, TALL, EMPTY, picture(120, 160, 5), picture(60, 160, 4), picture(118, 160, 6)]
    together = found_alone_and_together(model, images)
    assert len(together[2]) == 0
    assert min(len(found) for i, found in enumerate(together) if i != 2) >= 3


def test_a_network_that_mixes_its_batch_is_noticed() -> None:
    model = tiny()
    for layer in model.network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.train()
    with pytest.raises(AssertionError):
        found_alone_and_together(model, [PEOPLE, picture(120, 160, 5)])


def test_embeddings_do_not_depend_on_the_batch() -> None:
    model = tiny()
    boxes = [
        np.array([[10, 10, 60, 110], [80, 0, 160, 120]], np.float32),
        np.zeros((0, 4), np.float32),
        np.array([[5, 5, 50, 100]], np.float32),
    ]
    images = [PEOPLE, EMPTY, TALL]
    together = model.embed([model.prepare(image) for image in images], boxes)
    assert [rows.shape for rows in together] == [(2, 32), (0, 32), (1, 32)]
    for image, box, rows in zip(images, boxes, together, strict=True):
        np.testing.assert_allclose(model.embed([model.prepare(image)], [box])[0], rows, atol=1e-4, rtol=0)


def test_a_scene_of_nobody_is_a_result() -> None:
    (found,) = detect(tiny(), EMPTY)
    assert found.boxes.shape == (0, 4)
    assert found.embeddings.shape == (0, 32)
    assert tiny().detect([]) == []


def test_people_are_inside_the_image_best_first_with_unit_rows() -> None:
    (found,) = detect(tiny(), TALL)
    assert (found.boxes >= 0).all()
    assert (found.boxes <= [120, 160, 120, 160]).all()
    assert (found.boxes[:, 2:] > found.boxes[:, :2]).all()
    assert (np.diff(found.scores) <= 0).all()
    np.testing.assert_allclose(np.linalg.norm(found.embeddings, axis=1), 1, atol=1e-5)


def test_a_detected_box_embeds_as_the_second_head_saw_it_before_it_moved_it() -> None:
    """Without a move of the second head, detecting and embedding the detected boxes is the same."""
    model = tiny()
    nn.init.zeros_(model.network.second.boxes[1].weight)
    (found,) = detect(model, PEOPLE)
    (rows,) = model.embed([model.prepare(PEOPLE)], [found.boxes])
    np.testing.assert_allclose(rows, found.embeddings, atol=1e-4)


def test_autocast_finds_the_same_people_but_for_rounding() -> None:
    """bfloat16 has 8 bits: cosines move by some percent, and boxes stay in float32 pixels."""
    exact, rough = (detect(tiny(precision), PEOPLE)[0] for precision in ("float32", "bfloat16"))
    assert rough.boxes.dtype == rough.scores.dtype == rough.embeddings.dtype == np.float32
    overlap = iou(exact.boxes[:3], rough.boxes)
    assert (overlap.max(axis=1) > 0.8).all()
    assert ((exact.embeddings[:3] * rough.embeddings[overlap.argmax(axis=1)]).sum(axis=1) > 0.9).all()


@pytest.mark.parametrize(
    "backbone", [{"name": "resnet18", "width": 0.25}, {"name": "resnet50", "width": 0.125}, {"name": "shufflenet", "width": 0.5}]
)
@pytest.mark.parametrize("norm", ["frozen", "batch", "group"])
def test_every_backbone_and_norm_detects_and_trains(backbone, norm) -> None:
    model = tiny(backbone=backbone | {"norm": norm}, keep_score=0.0, max_people=5)
    (found,) = detect(model, PEOPLE)
    assert 1 <= len(found) <= 5
    np.testing.assert_allclose(np.linalg.norm(found.embeddings, axis=1), 1, atol=1e-5)
    net = model.network.train()
    batch = batch_of(model.prepare(PEOPLE))
    c4 = net(batch.pixels)
    logits, deltas = net.rpn.predict(c4)
    regions = net.pool(c4, net.rpn(c4, frames_of(batch.resized, batch.pixels)))
    first, second = net.first(regions), net.second(regions)
    outputs = [logits, deltas, first.class_logits, first.deltas, second.logits, second.deltas, second.embeddings]
    sum(output.square().sum() + output.sum() for output in outputs).backward()
    assert [name for name, parameter in net.named_parameters() if parameter.grad is None] == []


def test_without_fcs_the_second_head_scores() -> None:
    """Table 3: the boxes that both heads take are the same, their scores are not."""
    with_fcs, without = detect(tiny(keep_score=0.0), PEOPLE)[0], detect(tiny(keep_score=0.0, first_score=False), PEOPLE)[0]
    model = tiny(keep_score=0.0, first_score=False)
    seen = []
    model.network.second.register_forward_hook(lambda _, __, made: seen.append(made.logits.sigmoid()))
    detect(model, PEOPLE)
    assert set(without.scores.tolist()) <= set(seen[0].tolist())
    assert not set(with_fcs.scores.tolist()) & set(without.scores.tolist())


def test_without_nms_the_second_head_sees_every_likely_proposal() -> None:
    """Table 3: all 40 proposals score above 0, so all go on, `max_people` at most; with NMS fewer do, and no person is seen twice."""
    seen: list[int] = []
    for changes in ({}, {"first_nms": False}, {"first_nms": False, "max_people": 9}):
        model = tiny(keep_score=0.0, **changes)
        model.network.second.register_forward_hook(lambda _, __, made: seen.append(len(made.embeddings)))
        detect(model, PEOPLE)
    assert seen[0] < seen[1] == 40
    assert seen[2] == 9


def test_context_puts_the_query_first_and_drops_who_overlaps_it() -> None:
    model = tiny()
    (found,) = detect(model, PEOPLE)
    batch, box = batch_of(model.prepare(PEOPLE)), torch.from_numpy(found.boxes[1:2])
    with torch.inference_mode():
        (around,) = model.network.detect_around(batch, [box])
        (row,) = model.network.embed(batch, [box])
    np.testing.assert_allclose(around.boxes[0], found.boxes[1], atol=1e-3)
    assert around.scores[0] == 1
    torch.testing.assert_close(around.embeddings[:1], row)
    assert (iou(found.boxes[1:2], around.boxes[1:].numpy()) <= 0.5 + 1e-4).all()


def test_context_of_nobody_is_the_query_alone() -> None:
    model = tiny()
    with torch.inference_mode():
        (around,) = model.network.detect_around(batch_of(model.prepare(EMPTY)), [torch.tensor([[10.0, 10, 50, 100]])])
    torch.testing.assert_close(around.boxes, torch.tensor([[10.0, 10, 50, 100]]))
    assert around.scores.tolist() == [1]


@pytest.mark.extra
def test_cuda_finds_what_the_cpu_finds() -> None:
    torch.backends.cudnn.allow_tf32 = False  # ten bits less would be another arithmetic
    models = [SceneModel(network(**SMALL), name="", fingerprint="", min_score=0.5, device=device) for device in ("cpu", "cuda")]
    (cpu,), (cuda,) = (detect(model, picture(240, 320, 3)) for model in models)
    assert_people(
        SceneDetections(*map(torch.from_numpy, (cuda.boxes, cuda.scores, cuda.embeddings))), cpu.boxes, cpu.scores, cpu.embeddings
    )

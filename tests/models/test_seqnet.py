"""SeqNet: golden numbers of the authors' code, Table 3, backbones, precision, context."""

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
from personsearch.models.seqnet import SeqNet
from tests.helpers.batches import detections_in_any_batch
from tests.helpers.region_networks import EMPTY, PEOPLE, TALL, detect, tiny_seqnet
from tests.helpers.seqnet_golden import DATA, SMALL, assert_people, batch_of, golden, network, opened, picture


def detect_and_record(net: SeqNet, batch: SceneBatch) -> tuple[SceneDetections, dict[str, Any]]:
    """The people of a batch of one, and the outputs of the network's parts."""
    outputs: dict[str, Any] = {}
    parts = {"backbone": net.backbone, "rpn": net.rpn, "first": net.first}
    hooks = [part.register_forward_hook(lambda _, __, output, name=name: outputs.update({name: output})) for name, part in parts.items()]
    with torch.inference_mode():
        (people,) = net.detect(batch)
    for hook in hooks:
        hook.remove()
    return people, outputs


def assert_stages(outputs: dict[str, Any], expected: dict[str, Array]) -> None:
    """Every stage is the authors'; the error names the first that differs."""
    c4 = outputs["backbone"][4].contiguous().flatten()
    np.testing.assert_allclose(c4[torch.arange(256) * len(c4) // 256], expected["res4_samp"], atol=2e-5, rtol=0, err_msg="res4")
    (proposals,) = outputs["rpn"]
    assert len(proposals) == expected["n_proposals"]
    np.testing.assert_allclose(proposals[:16], expected["proposals_top16"], atol=2e-3, rtol=0, err_msg="proposals")
    # sorted: at the paper's size two proposals whose objectness differs by rounding swap ranks with the number of threads
    scores = np.sort(outputs["first"].scores), np.sort(expected["stage1_scores"])
    np.testing.assert_allclose(*scores, atol=5e-5, rtol=0, err_msg="first head")


def assert_golden(net: SeqNet, expected: dict[str, Array], image: Array) -> None:
    """Detections, a query's embedding, its context, and the stages before are the authors'."""
    batch = batch_of(net.prepare(image))
    assert tuple(batch.pixels.shape) == tuple(expected["network_input_shape"])
    assert batch.resized == [tuple(expected["image_size"])]
    people, outputs = detect_and_record(net, batch)
    assert_stages(outputs, expected)
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
    people, outputs = detect_and_record(net, batch_of(net.prepare(picture(240, 320, 3))))
    assert_stages(outputs, expected)
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
    people, _ = detect_and_record(net, batch_of(net.prepare(picture(240, 320, 3))))
    with pytest.raises(AssertionError):
        assert_people(people, expected["boxes"], expected["scores"], expected["embeddings"])


def test_a_network_that_mixes_its_batch_is_noticed() -> None:
    model = tiny_seqnet()
    for layer in model.network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.train()
    with pytest.raises(AssertionError):
        detections_in_any_batch(model, [PEOPLE, picture(120, 160, 5)])


def test_embeddings_do_not_depend_on_the_batch() -> None:
    model = tiny_seqnet()
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


def test_a_detected_box_embeds_as_the_second_head_saw_it() -> None:
    """If the second head does not move boxes, embedding the detected boxes gives the detections' embeddings."""
    model = tiny_seqnet()
    nn.init.zeros_(model.network.second.boxes[1].weight)
    (detections,) = detect(model, PEOPLE)
    (rows,) = model.embed([model.prepare(PEOPLE)], [detections.boxes])
    np.testing.assert_allclose(rows, detections.embeddings, atol=1e-4)


def test_autocast_detects_the_same_people_up_to_rounding() -> None:
    """bfloat16 has 8 bits: cosines move by some percent, and boxes stay in float32 pixels."""
    exact, rough = (detect(tiny_seqnet(precision), PEOPLE)[0] for precision in ("float32", "bfloat16"))
    assert rough.boxes.dtype == rough.scores.dtype == rough.embeddings.dtype == np.float32
    overlap = iou(exact.boxes[:3], rough.boxes)
    assert (overlap.max(axis=1) > 0.8).all()
    assert ((exact.embeddings[:3] * rough.embeddings[overlap.argmax(axis=1)]).sum(axis=1) > 0.9).all()


@pytest.mark.parametrize(
    "backbone", [{"name": "resnet18", "width": 0.25}, {"name": "resnet50", "width": 0.125}, {"name": "shufflenet", "width": 0.5}]
)
@pytest.mark.parametrize("norm", ["frozen", "batch", "group"])
def test_every_backbone_and_norm_detects_and_trains(backbone, norm) -> None:
    model = tiny_seqnet(backbone=backbone | {"norm": norm}, keep_score=0.0, max_people=5)
    (detections,) = detect(model, PEOPLE)
    assert 1 <= len(detections) <= 5
    np.testing.assert_allclose(np.linalg.norm(detections.embeddings, axis=1), 1, atol=1e-5)
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
    """Table 3: both variants have the same boxes with different scores."""
    with_fcs, without = detect(tiny_seqnet(keep_score=0.0), PEOPLE)[0], detect(tiny_seqnet(keep_score=0.0, first_score=False), PEOPLE)[0]
    model = tiny_seqnet(keep_score=0.0, first_score=False)
    scores = []
    model.network.second.register_forward_hook(lambda _, __, output: scores.append(output.logits.sigmoid()))
    detect(model, PEOPLE)
    assert set(without.scores.tolist()) <= set(scores[0].tolist())
    assert not set(with_fcs.scores.tolist()) & set(without.scores.tolist())


@pytest.mark.parametrize("moves", [True, False])
@torch.inference_mode()
def test_a_second_head_that_learned_no_boxes_moves_none(moves: bool) -> None:
    """Table 3: recipes without its box loss leave its regressor as it started."""
    model = tiny_seqnet(keep_score=0.0, second_boxes=moves)
    net: Any = model.network
    batch = batch_of(model.prepare(PEOPLE))
    c4, frames = net(batch.pixels), frames_of(batch.resized, batch.pixels)
    (proposals,) = net.rpn(c4, frames)
    first, people = net.find_first(c4, proposals, frames[0]), net.find(c4, proposals, frames[0])
    assert len(people.boxes) > 0
    assert bool((people.boxes[:, None] == first.boxes).all(dim=2).any(dim=1).all()) is not moves


def test_without_nms_the_second_head_sees_every_likely_proposal() -> None:
    """Table 3: all 40 proposals score above 0, so all go on, at most `max_people`; with NMS fewer do."""
    counts: list[int] = []
    for changes in ({}, {"first_nms": False}, {"first_nms": False, "max_people": 9}):
        model = tiny_seqnet(keep_score=0.0, **changes)
        model.network.second.register_forward_hook(lambda _, __, output: counts.append(len(output.embeddings)))
        detect(model, PEOPLE)
    assert counts[0] < counts[1] == 40
    assert counts[2] == 9


def test_the_context_in_an_empty_scene_is_the_query_alone() -> None:
    model = tiny_seqnet()
    with torch.inference_mode():
        (context,) = model.network.detect_around(batch_of(model.prepare(EMPTY)), [torch.tensor([[10.0, 10, 50, 100]])])
    torch.testing.assert_close(context.boxes, torch.tensor([[10.0, 10, 50, 100]]))
    assert context.scores.tolist() == [1]


@pytest.mark.extra
def test_cuda_detects_what_the_cpu_detects() -> None:
    torch.backends.cudnn.allow_tf32 = False  # TF32 has 13 bits less
    models = [SceneModel(network(**SMALL), name="", fingerprint="", min_score=0.5, device=device) for device in ("cpu", "cuda")]
    (cpu,), (cuda,) = (detect(model, picture(240, 320, 3)) for model in models)
    assert_people(
        SceneDetections(*map(torch.from_numpy, (cuda.boxes, cuda.scores, cuda.embeddings))), cpu.boxes, cpu.scores, cpu.embeddings
    )

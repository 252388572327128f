"""AlignPS and AlignPS+: golden numbers of the authors' code, queries, batches, ablations."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from personsearch.models import alignps
from personsearch.models.alignps import AlignPS, AlignPSConfig, inclusive_iou
from personsearch.models.config import BackboneConfig
from personsearch.models.fast.deform_cpu import use_cpu_form
from personsearch.models.parts.deform import DeformConv
from personsearch.models.parts.fcos_select import DenseDetections, SelectionRules
from personsearch.models.scene import SceneBatch, SceneInput, SceneModel
from personsearch.models.scene_input import scene_of_crop
from personsearch.training.initialise import spread_offsets
from tests.data.synth_image import synth
from tests.helpers.alignps_golden import FORMS, assert_golden, assert_stages, embeddings, golden, model, picture
from tests.helpers.batches import detections_in_any_batch

NAMES = ["alignps", "alignps_plus"]
SMALL = {"backbone": {"name": "resnet18", "width": 0.25, "norm": "group"}, "channels": 32, "short_side": 160, "long_side": 256}


def batch_of(*inputs: SceneInput) -> SceneBatch:
    return SceneBatch(torch.stack([item.pixels for item in inputs]), [item.resized for item in inputs], [item.original for item in inputs])


def small(**changes) -> SceneModel:
    torch.manual_seed(0)
    network = AlignPS(AlignPSConfig(**SMALL | {"min_class_score": 0.0} | changes))
    spread_offsets(network)  # offsets of zero make a deformable convolution a plain one
    return SceneModel(network, name="small", fingerprint="", min_score=0)


def scene(seed: int = 1, height: int = 120, width: int = 200):
    return synth(height, width, seed)[:, :, ::-1].copy()


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", NAMES)
def test_golden_numbers(name, form) -> None:
    opened, expected = model(name, form), golden(name)
    prepared = opened.prepare(picture())
    assert_golden(opened.detect([prepared])[0], expected)
    with torch.inference_mode():
        assert opened.network._dense(batch_of(prepared)).people[0].cells[:, 1:].tolist() == expected["loc_yx"].tolist()
    query = opened.embed([prepared], [expected["query_box"][None]])[0]
    np.testing.assert_allclose(query, embeddings(expected)[expected["query_index"]][None], atol=2e-5, rtol=0)


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", NAMES)
def test_every_stage_equals_the_authors(name, form) -> None:
    assert_stages(model(name, form), golden(name))


def test_the_input_equals_the_authors() -> None:
    expected = golden("alignps")
    prepared = model("alignps", "plain").prepare(picture())
    assert prepared.resized == tuple(expected["img_shape"][:2])
    assert prepared.pixels.shape[1:] == tuple(expected["pad_shape"][:2])
    np.testing.assert_array_equal(prepared.pixels[:, :8, :8], expected["input_corner"])
    np.testing.assert_allclose(prepared.pixels.mean(dim=(1, 2)), expected["input_channel_mean"], rtol=1e-5)  # float32 sum


@pytest.mark.parametrize(
    ("original", "resized", "padded"),
    [
        ((1080, 1920), (844, 1500), (864, 1504)),
        ((480, 640), (900, 1200), (928, 1216)),  # made larger
        ((900, 1500), (900, 1500), (928, 1504)),
        ((1, 1), (900, 900), (928, 928)),
        ((1, 4000), (1, 1500), (32, 1504)),
    ],
)
def test_sizes(original, resized, padded) -> None:
    network = AlignPS(AlignPSConfig(**SMALL | {"short_side": 900, "long_side": 1500}))
    prepared = network.prepare(np.full((*original, 3), 255, np.uint8))
    assert (prepared.resized, prepared.original) == (resized, original)
    assert prepared.pixels.shape == (3, *padded)
    assert prepared.pixels[:, 0, 0].tolist() == pytest.approx([255 - 103.53, 255 - 116.28, 255 - 123.675])  # B, G, R
    assert prepared.pixels[:, resized[0] :].abs().sum() == 0
    assert prepared.pixels[:, :, resized[1] :].abs().sum() == 0


PYTORCH = BackboneConfig(style="pytorch")  # the stride in the 3x3


@pytest.mark.slow
@pytest.mark.parametrize("wrong", [{"backbone": PYTORCH}, {"subtract_mean": False}, {"nms_iou": 0.05}])
def test_golden_numbers_notice_another_network(wrong) -> None:
    opened = model("alignps", "plain", **wrong)
    with pytest.raises(AssertionError):
        assert_golden(opened.detect([opened.prepare(picture())])[0], golden("alignps"))


def test_golden_numbers_notice_a_threshold_after_centerness(monkeypatch) -> None:
    def late(levels, image, resized, original, rules) -> DenseDetections:
        people = select(levels, image, resized, original, replace(rules, min_class_score=0.0))
        likely = people.scores > rules.min_class_score
        return DenseDetections(people.boxes[likely], people.scores[likely], people.features[likely], people.cells[likely])

    select = alignps.select  # type: ignore[attr-defined]
    monkeypatch.setattr(alignps, "select", late)
    opened = model("alignps", "plain")
    with pytest.raises(AssertionError):
        assert_golden(opened.detect([opened.prepare(picture())])[0], golden("alignps"))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["alignps", "roi_alignps"])
def test_detections_do_not_depend_on_the_batch(name) -> None:
    opened = model(name, "fast", short_side=160, long_side=256, min_class_score=0.001)
    pictures = [synth(240, 320, 3), synth(236, 316, 5), synth(240, 500, 6)]  # the last has another padded shape
    together = detections_in_any_batch(opened, pictures)
    assert min(len(detections) for detections in together) > 3


def test_embeddings_do_not_depend_on_the_batch() -> None:
    opened = small()
    prepared = [opened.prepare(scene(seed)) for seed in (1, 2)]
    boxes = [np.array([[50, 60, 90, 110], [0, 0, 10, 10]], np.float32), np.array([[20, 10, 60, 90]], np.float32)]
    for item, box, rows in zip(prepared, boxes, opened.embed(prepared, boxes), strict=True):
        np.testing.assert_allclose(rows, opened.embed([item], [box])[0], atol=1e-4)


@torch.inference_mode()
def test_the_plain_form_does_not_mix_a_batch() -> None:
    opened = small(backbone={"width": 0.25, "style": "caffe", "deformable": [3, 4, 5]}, levels=[3, 5])
    prepared = [opened.prepare(scene(seed)) for seed in (1, 2)]
    network = opened.network.double()  # deformed taps of an untrained network enlarge rounding, too much to bound in float32
    together = network(batch_of(*prepared).pixels.double())[1]
    for image, item in enumerate(prepared):
        for alone, both in zip(network(item.pixels[None].double())[1], together, strict=True):
            for field in ("class_logits", "centerness_logits", "distances", "features"):
                expected = getattr(alone, field)[0]
                torch.testing.assert_close(getattr(both, field)[image], expected, atol=1e-9 * expected.abs().max().item(), rtol=0)


@pytest.mark.slow
def test_a_query_gets_the_detection_that_overlaps_it_most() -> None:
    opened, expected = model("alignps", "fast"), golden("alignps")
    prepared, last = opened.prepare(picture()), len(expected["boxes"]) - 1
    moved = expected["boxes"][last] + np.array([-2, 3, 4, 1], np.float32)
    rows = opened.embed([prepared], [np.stack([moved, expected["boxes"][0]])])[0]
    np.testing.assert_allclose(rows, expected["emb"][[last, 0]], atol=2e-5)


@pytest.mark.parametrize(("share", "matched"), [(0.15, True), (0.05, False)])
def test_a_query_gets_a_detection_from_an_overlap_of_a_tenth_on(share, matched) -> None:
    opened, expected = model("alignps", "fast"), golden("alignps")
    prepared, strip = opened.prepare(picture()), expected["boxes"][:1].copy()
    strip[0, 2] = strip[0, 0] + share * (strip[0, 2] - strip[0, 0])  # a share of the best person, from the left
    overlap = inclusive_iou(torch.from_numpy(strip), torch.from_numpy(expected["boxes"]))[0]
    assert overlap.max() == pytest.approx(share, abs=0.03)
    (row,) = opened.embed([prepared], [strip])[0]
    assert np.allclose(row, expected["emb"][overlap.argmax()], atol=2e-5) == matched


def test_no_boxes_give_no_rows() -> None:
    opened = small()
    assert len(opened.detect([opened.prepare(scene())])[0]) > 0
    assert opened.embed([opened.prepare(scene())], [np.zeros((0, 4), np.float32)])[0].shape == (0, 32)


@pytest.mark.slow
def test_a_query_without_a_detection_gets_the_cell_of_its_centre() -> None:
    opened = model("alignps", "fast")
    prepared = opened.prepare(picture())
    box = np.array([[200, 10, 230, 70]], np.float32)  # centre (215, 40), resized by 1.2: (258, 48), cell (6, 32)
    assert inclusive_iou(torch.from_numpy(box), torch.from_numpy(opened.detect([prepared])[0].boxes)).max() < 0.1
    with torch.inference_mode():
        cell = opened.network(prepared.pixels[None])[1][0].features[0, :, 6, 32].numpy()
    np.testing.assert_allclose(opened.embed([prepared], [box])[0], cell[None] / np.linalg.norm(cell), atol=1e-6)


def test_a_crop_is_embedded_in_an_artificial_scene() -> None:
    opened, crop = model("alignps", "fast"), picture()[50:170, 130:180]
    artificial, box = scene_of_crop(crop)
    row = opened.embed([opened.prepare(artificial)], [box[None]])[0]
    np.testing.assert_array_equal(opened.embed_crops([crop]), row)
    assert opened.embed_crops([]).shape == (0, 256)


def test_a_scene_without_people_is_a_result_and_boxes_embed() -> None:
    opened = small(min_class_score=1.0)
    prepared = opened.prepare(scene())
    (detections,) = opened.detect([prepared])
    assert detections.boxes.shape == (0, 4)
    assert detections.embeddings.shape == (0, 32)
    rows = opened.embed([prepared, prepared], [np.array([[10, 10, 50, 90]], np.float32), np.zeros((0, 4), np.float32)])
    assert [image_rows.shape for image_rows in rows] == [(1, 32), (0, 32)]
    assert np.linalg.norm(rows[0]) == pytest.approx(1)
    assert opened.detect([]) == []


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"backbone": {"name": "resnet18", "width": 0.25, "norm": "batch"}},
        {"backbone": {"name": "shufflenet", "width": 0.5, "norm": "group"}},
        {"backbone": {"width": 0.25, "style": "caffe", "deformable": [3, 4, 5]}},
        {"levels": [4]},
        {"levels": [3, 4, 5]},
        {"lateral_deform": False, "output_deform": False, "aggregation": "sum"},
        {"structure": "T1"},
        {"structure": "T2"},
        {"structure": "T3", "levels": [3, 4]},
        {"subtract_mean": False, "channels": 24},
    ],
)
def test_small_networks_and_ablations_detect_and_embed(changes) -> None:
    opened = small(**changes)
    prepared = [opened.prepare(scene(seed)) for seed in (1, 2)]
    detections = opened.detect(prepared)
    assert all(0 < len(people) <= 100 for people in detections)
    assert np.isfinite(detections[0].boxes).all()
    np.testing.assert_allclose(np.linalg.norm(detections[1].embeddings, axis=1), 1, atol=1e-5)
    rows = opened.embed(prepared, [detections[0].boxes[:2], detections[1].boxes[:1]])
    np.testing.assert_allclose(rows[0][0], detections[0].embeddings[0], atol=1e-5)


@pytest.mark.parametrize("cpu_form", [False, True])
def test_bfloat16_gives_nearly_the_same_embeddings(cpu_form) -> None:
    exact, opened = small(), small()
    if cpu_form:
        use_cpu_form(opened.network)
    opened.precision = "bfloat16"
    prepared, box = exact.prepare(scene()), np.array([[20, 20, 60, 100]], np.float32)
    rules = SelectionRules(min_class_score=1.0)  # without detections both take the box's own cell
    for network in (exact.network, opened.network):
        network.rules = rules  # type: ignore[assignment]
    cosine = (exact.embed([prepared], [box])[0] * opened.embed([prepared], [box])[0]).sum()
    assert 0.98 < cosine < 0.999999  # eight bits of mantissa make a difference, a small one


@pytest.mark.parametrize("deformable", [(), (3,), (3, 4), (3, 4, 5)])
def test_deformable_stages_of_table_5(deformable) -> None:
    network = AlignPS(AlignPSConfig(**SMALL | {"backbone": {"width": 0.25, "style": "caffe", "deformable": deformable}}))
    for level, stage in zip((2, 3, 4, 5), (1, 2, 3, 4), strict=True):
        convs = [block.conv2 for block in getattr(network.backbone, f"layer{stage}")]
        assert {isinstance(conv, DeformConv) for conv in convs} == {level in deformable}


@pytest.mark.parametrize("levels", [[], [4, 3], [3, 3], [6]])
def test_wrong_levels_are_refused(levels) -> None:
    with pytest.raises(ValueError, match="levels"):
        AlignPSConfig(levels=levels)


def test_inclusive_iou_by_hand() -> None:
    a = torch.tensor([[0.0, 0.0, 9.0, 9.0], [0.0, 0.0, 0.0, 0.0]])
    b = torch.tensor([[5.0, 0.0, 14.0, 9.0], [20.0, 20.0, 30.0, 30.0]])
    assert inclusive_iou(a, b)[0].tolist() == pytest.approx([50 / 150, 0])  # 10 x 10 pixels each, 5 x 10 shared
    assert inclusive_iou(a, b)[1].tolist() == [0, 0]
    assert inclusive_iou(a, a).diagonal().tolist() == [1, 1]

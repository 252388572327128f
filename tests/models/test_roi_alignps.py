"""ROI-AlignPS: golden numbers of the authors' code, its branches, queries, region proposals."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision.ops import roi_align

from personsearch.boxes import iou
from personsearch.models import roi_alignps
from personsearch.models.parts.rpn import ProposalConfig
from personsearch.models.roi_alignps import ROIAlignPS, ROIAlignPSConfig
from personsearch.models.scene import SceneModel
from personsearch.models.scene_input import scene_of_crop
from personsearch.training.initialise import spread_offsets
from tests.data.synth_image import synth
from tests.helpers.alignps_golden import BOXES, EMBEDDINGS, FORMS, SCORES, assert_golden, assert_stages, embeddings, golden, model, picture

SMALL = {"backbone": {"name": "resnet18", "width": 0.25, "norm": "group"}, "channels": 32, "short_side": 160, "long_side": 256}


def small(**changes) -> SceneModel:
    torch.manual_seed(0)
    network = ROIAlignPS(ROIAlignPSConfig(**SMALL | {"min_class_score": 0.0} | changes))
    spread_offsets(network)  # offsets of zero make a deformable convolution a plain one
    return SceneModel(network, name="small", fingerprint="", min_score=0)


def scene(seed: int = 1):
    return synth(120, 200, seed)[:, :, ::-1].copy()


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
def test_golden_numbers(form) -> None:
    opened, expected = model("roi_alignps", form), golden("roi_alignps")
    prepared = opened.prepare(picture())
    assert_golden(opened.detect([prepared])[0], expected)
    query = opened.embed([prepared], [expected["query_box"][None]])[0]
    np.testing.assert_allclose(query, embeddings(expected)[expected["query_index"]][None], atol=EMBEDDINGS, rtol=0)
    assert_stages(opened, expected)


@pytest.mark.extra
@pytest.mark.parametrize("form", FORMS)
def test_golden_numbers_at_full_size(form, shared: Path) -> None:
    with np.load(shared / "reference" / "goldens" / "roi_alignps_full.npz") as arrays:
        expected = {key.removeprefix("a_"): arrays[key] for key in arrays.files}
    opened = model("roi_alignps", form, short_side=900, long_side=1500)
    prepared = opened.prepare(np.ascontiguousarray(synth(900, 1500, 1)[:, :, ::-1]))
    assert_golden(opened.detect([prepared])[0], expected)


@pytest.mark.slow
@pytest.mark.parametrize(("branch", "field"), [("alignps", "emb"), ("roi", "roi_emb")])
def test_branches_of_table_6(branch, field) -> None:
    opened, expected = model("roi_alignps", "plain", branch=branch), golden("roi_alignps")
    (detections,) = opened.detect([opened.prepare(picture())])
    np.testing.assert_allclose(detections.boxes, expected["boxes"], atol=BOXES, rtol=0)
    np.testing.assert_allclose(detections.scores, expected["scores"], atol=SCORES, rtol=0)
    np.testing.assert_allclose(detections.embeddings, expected[field], atol=EMBEDDINGS, rtol=0)


@pytest.mark.slow
def test_golden_numbers_notice_an_unaligned_roi_align(monkeypatch) -> None:
    def unaligned(*arguments, aligned: bool):
        assert aligned
        return roi_align(*arguments, aligned=False)

    monkeypatch.setattr(roi_alignps, "roi_align", unaligned)
    opened = model("roi_alignps", "plain")
    with pytest.raises(AssertionError):
        assert_golden(opened.detect([opened.prepare(picture())])[0], golden("roi_alignps"))


@pytest.mark.slow
def test_golden_numbers_notice_another_number_of_samples(monkeypatch) -> None:
    monkeypatch.setattr(roi_alignps, "ADAPTIVE", 2)
    opened = model("roi_alignps", "plain")
    with pytest.raises(AssertionError):
        assert_golden(opened.detect([opened.prepare(picture())])[0], golden("roi_alignps"))


@pytest.mark.slow
def test_a_query_without_a_detection_gets_its_own_regions() -> None:
    fused, roi = model("roi_alignps", "plain"), model("roi_alignps", "plain", branch="roi")
    prepared = fused.prepare(picture())
    box = np.array([[200, 10, 230, 70]], np.float32)
    assert iou(box, golden("roi_alignps")["boxes"]).max() < 0.05
    with torch.inference_mode():
        dense, (maps,) = fused.network(prepared.pixels[None])
        regions = roi.network.regions(dense[4], [torch.from_numpy(box * np.float32(1.2))])
        expected = torch.cat([torch.nn.functional.normalize(maps.features[:, :, 6, 32]), roi.network.roi(regions).embeddings], dim=1)
    np.testing.assert_allclose(fused.embed([prepared], [box])[0], expected.numpy() / np.sqrt(2), atol=1e-5)
    np.testing.assert_allclose(roi.embed([prepared], [box])[0], expected.numpy()[:, 256:], atol=1e-5)


def test_a_crop_is_embedded_in_an_artificial_scene() -> None:
    opened, crop = small(), scene()[20:100, 60:95]
    artificial, box = scene_of_crop(crop)
    np.testing.assert_array_equal(opened.embed_crops([crop]), opened.embed([opened.prepare(artificial)], [box[None]])[0])
    assert opened.embed_crops([]).shape == (0, 64)


@pytest.mark.parametrize(("branch", "dim"), [("fused", 64), ("alignps", 32), ("roi", 32)])
def test_a_scene_without_people_is_a_result(branch, dim) -> None:
    opened = small(min_class_score=1.0, branch=branch)
    prepared = opened.prepare(scene())
    (detections,) = opened.detect([prepared])
    assert (detections.boxes.shape, detections.embeddings.shape) == ((0, 4), (0, dim))
    rows = opened.embed([prepared, prepared], [np.zeros((0, 4), np.float32), np.array([[10, 10, 50, 90]], np.float32)])
    assert [image_rows.shape for image_rows in rows] == [(0, dim), (1, dim)]
    assert np.linalg.norm(rows[1]) == pytest.approx(1)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"backbone": {"name": "resnet18", "width": 0.25, "norm": "batch"}},
        {"backbone": {"name": "shufflenet", "width": 0.5, "norm": "group"}},
        {"backbone": {"width": 0.25, "style": "caffe", "deformable": [5]}},
        {"levels": [3, 4], "structure": "T3"},
    ],
)
def test_small_networks_detect_and_embed(changes) -> None:
    opened = small(**changes)
    detections = opened.detect([opened.prepare(scene(seed)) for seed in (1, 2)])
    assert all(0 < len(people) <= 100 for people in detections)
    assert detections[0].embeddings.shape[1] == opened.embedding_dim == 64
    np.testing.assert_allclose(np.linalg.norm(detections[1].embeddings, axis=1), 1, atol=1e-5)


def test_region_proposals_do_not_change_detections() -> None:
    without, with_rpn = small(), small(rpn=ProposalConfig(after_nms=7))
    parts = {name.split(".")[0] for name in with_rpn.network.state_dict()}
    assert parts == {"backbone", "neck", "head", "roi", "rpn"}
    copied = with_rpn.network.load_state_dict(without.network.state_dict(), strict=False)
    assert not copied.unexpected_keys
    detect = partial(SceneModel.detect, prepared=[without.prepare(scene())])
    np.testing.assert_array_equal(detect(with_rpn)[0].embeddings, detect(without)[0].embeddings)
    with torch.inference_mode():
        c4 = with_rpn.network(without.prepare(scene()).pixels[None])[0][4]
        proposals = with_rpn.network.rpn(c4, torch.tensor([[256.0, 154.0, 256.0, 154.0]]))
    assert proposals[0].shape == (7, 4)

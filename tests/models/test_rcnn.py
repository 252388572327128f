"""OIM, NAE and NAE+, and the parts they share: embeddings, heads, RoIAlign, proposals, NMS."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.rpn import RegionProposalNetwork
from torchvision.ops import nms

from personsearch.errors import ConfigError
from personsearch.models.base import PersonModel
from personsearch.models.config import BackboneConfig
from personsearch.models.parts import rpn
from personsearch.models.parts.heads import HeadKind, build_baseline_head
from personsearch.models.parts.layers import NormAwareEmbedding, PixelwiseEmbedding, ProjectedEmbedding, shares
from personsearch.models.parts.region_pool import RegionPool, RegionPoolCPU
from personsearch.models.parts.rpn import ProposalConfig, RegionProposals, cut, first_after_nms, frames_of
from personsearch.models.rcnn import RCNN, Candidates, RCNNConfig, choose
from personsearch.models.two_step.combined import CombinedModel
from personsearch.options import parse
from tests.helpers.region_networks import PEOPLE, detect, tiny_rcnn
from tests.helpers.seqnet_golden import batch_of


def ones(embedding: ProjectedEmbedding) -> ProjectedEmbedding:
    """Projectors that return their input; the rescaler gives 2 x norm - 9."""
    for projector in embedding.projectors:
        nn.init.ones_(projector[0].weight)
        nn.init.ones_(projector[1].weight)
    rescaler = getattr(embedding, "rescaler", None)
    if rescaler is not None:
        nn.init.constant_(rescaler.weight, 2)
        nn.init.constant_(rescaler.bias, -9)
    return embedding.eval()


def column(*values: float) -> Tensor:
    return torch.tensor(values)[:, None]


def close(output: Tensor, expected: list[Any]) -> None:
    # batch norm divides by sqrt(1 + 1e-5)
    torch.testing.assert_close(output, torch.tensor(expected), atol=1e-4, rtol=1e-4)


def test_projections_are_concatenated_to_a_unit_row() -> None:
    rows = ones(ProjectedEmbedding([1, 1], 2))([column(3.0, 0.0), column(4.0, -2.0)])
    close(rows, [[0.6, 0.8], [0.0, -1.0]])


def test_norm_aware_embedding_takes_the_score_from_the_norm() -> None:
    rows, logits = ones(NormAwareEmbedding([1, 1], 2)).with_logits([column(3.0, 0.0), column(4.0, -2.0)])
    close(rows, [[0.6, 0.8], [0.0, -1.0]])
    close(logits, [1.0, -5.0])  # 2 x 5 - 9, 2 x 2 - 9


def test_a_feature_of_norm_zero_has_a_finite_embedding() -> None:
    rows, logits = ones(NormAwareEmbedding([1, 1], 2)).with_logits([column(0.0), column(0.0)])
    close(rows, [[0.0, 0.0]])
    close(logits, [-9.0])


def test_pixelwise_embedding_weighs_cells_by_their_score() -> None:
    embedding = ones(PixelwiseEmbedding([1, 1], 2))
    fine = torch.tensor([[3.0, 0.0], [0.0, 0.0]]).repeat_interleave(2, 0).repeat_interleave(2, 1)[None, None]
    coarse = torch.tensor([[[[4.0, 0.0], [0.0, 5.0]]]])
    rows, logits = embedding.with_logits([fine, coarse])
    close(logits, [[[[1.0, -9.0], [-9.0, 1.0]]]])
    close(rows, [[0.6 / math.sqrt(3.6), 1.8 / math.sqrt(3.6)]])  # (0.6, 0.8) + (0, 1) with equal weights
    close(embedding([fine, coarse]), rows.tolist())


@pytest.mark.parametrize(("dim", "parts", "expected"), [(256, 2, [128, 128]), (5, 2, [2, 3]), (3, 1, [3])])
def test_features_share_the_embedding(dim, parts, expected) -> None:
    assert shares(dim, parts) == expected


@pytest.mark.parametrize(
    ("kind", "logits", "expected"),
    [
        ("oim", [[0.0, math.log(3)], [1.0, 1.0], [0.0, 0.0]], [0.75, 0.5, 0.5]),
        ("nae", [math.log(3), 0.0, -math.log(3)], [0.75, 0.5, 0.25]),
        ("nae+", [[[[math.log(3), -math.log(3)]]], [[[-math.log(3)] * 2]]], [1.0, 0.5]),  # means 0.5 and 0.25, divided by the largest
    ],
)
def test_scores_of_each_head(kind: HeadKind, logits, expected) -> None:
    head = build_baseline_head(BackboneConfig(name="resnet18", width=0.25), kind, 32)
    close(head.scores(torch.tensor(logits)), expected)


@pytest.mark.parametrize(("kind", "feature"), [("oim", 7.0), ("nae", 7.0), ("nae+", 3.0)])
def test_box_regressors_see_the_maximum_or_for_nae_plus_the_mean(kind: HeadKind, feature) -> None:
    head: Any = build_baseline_head(BackboneConfig(name="resnet18", width=0.25), kind, 32).eval()
    nn.init.constant_(head.boxes[0].weight, 1 / 128)
    nn.init.ones_(head.boxes[1].weight)
    maps = torch.tensor([[1.0, 2.0], [2.0, 7.0]]).expand(1, 128, 2, 2)
    head.res5 = nn.Identity()
    head.embedding = {"oim": ProjectedEmbedding, "nae": NormAwareEmbedding, "nae+": PixelwiseEmbedding}[kind]([128, 128], 32).eval()
    close(head(maps).deltas, [[feature] * 4])


@pytest.mark.parametrize("kind", ["oim", "nae"])
@torch.no_grad()
def test_the_maxima_of_both_maps_are_embedded(kind: HeadKind) -> None:
    head: Any = build_baseline_head(BackboneConfig(name="resnet18", width=0.25), kind, 32).eval()
    inputs: list[Tensor] = []
    for projector in head.embedding.projectors:
        projector.register_forward_pre_hook(lambda _, arguments: inputs.append(arguments[0]))
    regions = torch.ones(1, 64, 14, 14)
    regions[:, :, 3, 5] = 7
    head(regions)
    assert inputs[0].tolist() == [[7] * 64]
    torch.testing.assert_close(inputs[1], head.res5(regions).flatten(2).max(dim=2).values)


@pytest.mark.parametrize("kind", ["oim", "nae", "nae+"])
def test_a_head_takes_zero_regions(kind: HeadKind) -> None:
    head: Any = build_baseline_head(BackboneConfig(name="resnet18", width=0.25), kind, 32).eval()
    out = head(RegionPool()(torch.rand(2, 64, 8, 8), [torch.zeros(0, 4)] * 2))
    assert out.deltas.shape == (0, 4)
    assert out.embeddings.shape == (0, 32)
    assert head.scores(out.logits).shape == (0,)


POOLS = [RegionPool(), RegionPoolCPU()]


@pytest.mark.parametrize("pool", POOLS)
def test_regions_of_a_ramp_are_half_a_cell_to_the_lower_right(pool) -> None:
    """aligned=False: the 16-pixel cell number c has its value at pixel 16 c."""
    ramp = torch.arange(20.0).expand(1, 1, 20, 20)
    (region,) = pool(ramp, [torch.tensor([[32.0, 32.0, 32 + 14 * 16.0, 32 + 14 * 16.0]])])
    assert region[0, 0].tolist() == [2.5 + cell for cell in range(14)]


@pytest.mark.parametrize("pool", [RegionPool(24, 8), RegionPoolCPU(24, 8)])
def test_a_tall_region_has_rows_and_columns_of_its_own(pool) -> None:
    """A box of 24 x 8 cells of the map from (2, 1) on: a ramp along each axis is sampled half a cell to the lower right."""
    down, across = torch.arange(30.0)[:, None].expand(30, 20), torch.arange(20.0).expand(30, 20)
    (region,) = pool(torch.stack([down, across])[None], [torch.tensor([[2 * 16.0, 16.0, 10 * 16.0, 25 * 16.0]])])
    assert region.shape == (2, 24, 8)
    assert region[0, :, 3].tolist() == [1.5 + row for row in range(24)]
    assert region[1, 5].tolist() == [2.5 + column for column in range(8)]


@pytest.mark.parametrize("size", [(14, 14), (24, 8)])
def test_the_cpu_form_equals_torchvision(size) -> None:
    """Boxes of every size inside, across and outside the map, in a batch that has an image without boxes."""
    generator = torch.Generator().manual_seed(0)
    c4 = torch.randn(3, 5, 9, 13, generator=generator)
    centres, sides = torch.rand(200, 2, generator=generator) * 300 - 50, torch.rand(200, 2, generator=generator) ** 3 * 300
    boxes = torch.cat([centres - sides / 2, centres + sides / 2], dim=1)
    split = [boxes[:120], boxes[:0], boxes[120:]]
    torch.testing.assert_close(RegionPoolCPU(*size)(c4, split), RegionPool(*size)(c4, split), atol=1e-5, rtol=1e-5)
    assert RegionPoolCPU(*size)(c4, [boxes[:0]] * 3).shape == (0, 5, *size)


def test_training_on_a_cpu_pools_with_torchvisions_gradients() -> None:
    """`eval()` is torchvision's operator here; boxes overlap, so that several of them read a cell of the map."""
    generator = torch.Generator().manual_seed(0)
    c4 = torch.randn(2, 5, 9, 13, generator=generator, requires_grad=True)
    corners = torch.rand(40, 2, generator=generator) * 150 - 20
    split = list(torch.cat([corners, corners + torch.rand(40, 2, generator=generator) * 150], dim=1).requires_grad_().split(20))
    weights = torch.randn(40, 5, 14, 14, generator=generator)
    results = []
    for pool in (RegionPool().train(), RegionPool().eval()):
        regions = pool(c4, split)
        results.append((regions, *torch.autograd.grad((regions * weights).sum(), c4)))
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-5)  # sums of some dozens of float32 in another order


def test_training_on_a_cpu_does_not_call_torchvision(monkeypatch) -> None:
    monkeypatch.setattr("personsearch.models.parts.region_pool.roi_align", None)
    assert RegionPool().train()(torch.ones(1, 2, 9, 13), [torch.zeros(1, 4)]).shape == (1, 2, 14, 14)


def test_deltas_move_a_box() -> None:
    deltas = torch.tensor([[1.0, 0.0, 5 * math.log(2), 0.0], [0.0, -10.0, 0.0, 0.0]])
    boxes = torch.tensor([[0.0, 0.0, 10.0, 20.0], [0.0, 30.0, 10.0, 40.0]])
    moved = tiny_rcnn().network.refine(boxes, deltas, torch.tensor([100.0, 50.0, 100.0, 50.0]))
    close(moved, [[0.0, 0.0, 16.0, 20.0], [0.0, 20.0, 10.0, 30.0]])  # 1 to the right and twice as wide, from -4 cut to 0; 10 up


def people(*scores: float) -> Candidates:
    """People 10 wide, one on each 100 pixels, but the last right on the first."""
    left = torch.tensor([100.0 * i for i in range(len(scores))])
    left[-1] = 0
    boxes = torch.stack([left, left * 0, left + 10, left * 0 + 20], dim=1)
    return Candidates(boxes, torch.tensor(scores), torch.eye(len(scores)))


def test_likely_people_come_best_first_and_once() -> None:
    chosen = choose(people(0.6, 0.9, 0.5, 0.8), None, min_score=0.5, nms_iou=0.4, limit=9)
    close(chosen.scores, [0.9, 0.8])  # 0.5 is not above the threshold; 0.6 overlaps 0.8
    assert chosen.embeddings.argmax(dim=1).tolist() == [1, 3]


def test_known_people_take_part_in_nms() -> None:
    known = Candidates(torch.tensor([[0.0, 0.0, 10.0, 19.0]]), torch.ones(1), torch.eye(4)[:1])
    chosen = choose(people(0.6, 0.9, 0.5, 0.8), known, min_score=0.5, nms_iou=0.4, limit=9)
    close(chosen.scores, [1.0, 0.9])


def test_the_limit_holds_and_empty_boxes_are_dropped() -> None:
    crowd = people(0.6, 0.9, 0.7, 0.8)
    chosen = choose(crowd, None, min_score=0.5, nms_iou=0.4, limit=2)
    close(chosen.scores, [0.9, 0.8])
    flat = Candidates(crowd.boxes * torch.tensor([1.0, 0.0, 1.0, 0.0]), crowd.scores, crowd.embeddings)
    assert len(choose(flat, None, min_score=0.5, nms_iou=0.4, limit=2).scores) == 0


def test_preparing_normalises_resizes_and_pads() -> None:
    net = RCNN(RCNNConfig(backbone=BackboneConfig(name="resnet18", width=0.25)))
    prepared = net.prepare(np.full((1080, 1920, 3), (255, 0, 51), np.uint8))
    assert prepared.original == (1080, 1920)
    assert prepared.resized == (843, 1500)  # 843.75 is cut, not rounded
    assert prepared.pixels.shape == (3, 864, 1504)
    close(prepared.pixels[:, 842, 1499], [(1 - 0.485) / 0.229, -0.456 / 0.224, (0.2 - 0.406) / 0.225])
    assert prepared.pixels[:, 843:].abs().sum() == prepared.pixels[:, :, 1500:].abs().sum() == 0


@pytest.mark.parametrize("shape", [(1, 1, 3), (3, 5000, 3), (900, 1500, 3)])
def test_odd_shapes_are_prepared(shape) -> None:
    prepared = tiny_rcnn().prepare(np.zeros(shape, np.uint8))
    assert all(side % 32 == 0 and side > 0 for side in prepared.pixels.shape[1:])
    assert len(detect(tiny_rcnn(), np.zeros(shape, np.uint8))) == 1


def test_preparing_does_not_change_the_image_and_takes_any_layout() -> None:
    net, image = tiny_rcnn().network, PEOPLE.copy()
    image.flags.writeable = False
    torch.testing.assert_close(net.prepare(image[:, ::-1]).pixels, net.prepare(image[:, ::-1].copy()).pixels, rtol=0, atol=0)


def test_anchors_are_centred_on_the_corners_of_cells() -> None:
    rpn = RegionProposals(8, ProposalConfig(anchor_sizes=(32, 64), anchor_ratios=(1.0,)))
    anchors = rpn.anchors(torch.zeros(1, 8, 2, 3))
    assert len(anchors) == 2 * 3 * 2
    assert anchors[0].tolist() == [-16, -16, 16, 16]
    assert anchors[1].tolist() == [-32, -32, 32, 32]
    assert anchors[2 * (1 * 3 + 2)].tolist() == [32 - 16, 16 - 16, 32 + 16, 16 + 16]  # second row, third column


def test_proposals_equal_torchvision() -> None:
    torch.manual_seed(1)
    config = ProposalConfig(before_nms=200, after_nms=30)
    ours = RegionProposals(8, config).eval()
    with torch.no_grad():
        for layer in ours.head.parameters():
            layer.normal_(std=0.3)
    theirs = RegionProposalNetwork(
        AnchorGenerator((config.anchor_sizes,), (config.anchor_ratios,)),
        ours.head,
        *(0.7, 0.3, 256, 0.5),
        {"testing": 200},
        {"testing": 30},
        0.7,
    ).eval()
    features, sizes = torch.randn(2, 8, 6, 9), [(90, 140), (96, 144)]
    expected, _ = theirs(ImageList(torch.zeros(2, 3, 96, 144), sizes), {"0": features})
    proposals = ours(features, frames_of(sizes, features))
    for a, b in zip(proposals, expected, strict=True):
        assert len(a) == 30
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize(
    ("spread", "batch_sizes"),
    [
        (400.0, [20]),  # hardly any overlap: the best twenty give ten
        (40.0, [20, 80]),
        (35.0, [20, 80, 300]),
        (6.0, [20, 80, 300]),  # never ten
    ],
)
def test_the_first_boxes_after_nms_do_not_need_all_boxes(monkeypatch, spread, batch_sizes) -> None:
    random = torch.Generator().manual_seed(3)
    corners = torch.rand(300, 2, generator=random) * spread
    boxes = torch.cat([corners, corners + 20], dim=1)
    scores = (torch.rand(300, generator=random) * 20).round().sort(descending=True, stable=True).values  # many are equal
    expected = nms(boxes, scores, 0.3)[:10]
    sizes = []
    monkeypatch.setattr(rpn, "nms", lambda *arguments: sizes.append(len(arguments[0])) or nms(*arguments))
    assert torch.equal(first_after_nms(boxes, scores, 0.3, 10), expected)
    assert sizes == batch_sizes
    assert len(expected) == 10 or spread < 10
    assert torch.equal(first_after_nms(boxes[:3], scores[:3], 0.3, 10), nms(boxes[:3], scores[:3], 0.3))
    assert len(first_after_nms(boxes[:0], scores[:0], 0.3, 10)) == 0


def test_boxes_are_cut_to_their_image() -> None:
    frame = frames_of([(50, 100)], torch.zeros(1))[0]
    assert cut(torch.tensor([[-5.0, -1.0, 200.0, 60.0], [1.0, 2.0, 3.0, 4.0]]), frame).tolist() == [[0, 0, 100, 50], [1, 2, 3, 4]]


def test_serial_runs_the_head_again_on_its_people() -> None:
    """Table 1: the second pass takes the first's people as its proposals."""
    parallel, serial = tiny_rcnn(), tiny_rcnn(serial=True)
    for model in (parallel, serial):
        nn.init.constant_(model.network.head.boxes[1].bias, 2.0)  # boxes move, so that a second look differs
    net, batch = parallel.network, batch_of(parallel.prepare(PEOPLE))
    with torch.inference_mode():
        c4, frames = net(batch.pixels), frames_of(batch.resized, batch.pixels)
        first = net.find(c4, net.rpn(c4, frames)[0], frames[0])
        again = net.find(c4, first.boxes, frames[0])
    (detections,) = detect(serial, PEOPLE)
    np.testing.assert_allclose(detections.embeddings, again.embeddings, atol=1e-5)
    assert not np.allclose(detections.embeddings[0], detect(parallel, PEOPLE)[0].embeddings[0], atol=1e-3)


def test_any_detector_combines_with_any_reidentifier() -> None:
    """Table 2: boxes and scores are the detector's, embeddings the re-identifier's."""
    detector, other = tiny_rcnn("nae"), tiny_rcnn("oim", embedding_dim=16, short_side=128, long_side=200)
    detector.min_score = 0.3
    both = CombinedModel(detector, other)
    assert both.min_score == 0.3
    assert isinstance(both, PersonModel)
    (alone,), (detections,) = detect(detector, PEOPLE), detect(both, PEOPLE)
    assert detections.boxes.tolist() == alone.boxes.tolist()
    assert detections.scores.tolist() == alone.scores.tolist()
    np.testing.assert_array_equal(detections.embeddings, other.embed([other.prepare(PEOPLE)], [alone.boxes])[0])
    np.testing.assert_array_equal(both.embed([both.prepare(PEOPLE)], [alone.boxes])[0], detections.embeddings)
    assert both.embed_crops([PEOPLE]).shape == (1, 16)
    assert both.fingerprint not in (detector.fingerprint, other.fingerprint, CombinedModel(other, detector).fingerprint)


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ({"architecture": "oim", "pixelwise": True}, "pixelwise"),
        ({"nms": 0.4}, "nms"),
        ({"keep_score": 1.0}, "keep_score"),
        ({"backbone": {"name": "vgg"}}, "backbone.name"),
        ({"backbone": {"name": "resnet18", "style": "caffe"}}, "caffe"),
        ({"proposals": {"anchor_sizes": []}}, "proposals.anchor_sizes"),
    ],
)
def test_a_wrong_config_names_the_field(values, word, tmp_path) -> None:
    with pytest.raises(ConfigError, match=word):
        parse(RCNNConfig, values, tmp_path)


def test_a_scene_model_keeps_people_from_min_score_on() -> None:
    model = tiny_rcnn("oim")
    (all_of_them,) = detect(model, PEOPLE)
    middle = float(all_of_them.scores[len(all_of_them) // 2])
    (some,) = model.detect([model.prepare(PEOPLE)], min_score=middle)
    assert 0 < len(some) < len(all_of_them)
    np.testing.assert_array_equal(some.scores, all_of_them.scores[all_of_them.scores >= middle])

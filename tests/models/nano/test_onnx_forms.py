"""The exported bundled model: other layers with the same results, and how cores share images and crops."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from personsearch.boxes import Array
from personsearch.models.base import batches_at_once
from personsearch.models.config import BackboneConfig
from personsearch.models.fast.fuse import optimize_for_inference
from personsearch.models.nano.onnx import OnnxNanoDetector, OnnxNanoEmbedder
from personsearch.models.nano.onnx_forms import with_blocks, with_one_stem
from personsearch.models.nano.options import NanoOptions, NanoReidOptions
from personsearch.models.nano.steps import CROPS_AT_ONCE
from personsearch.models.parts.csp_darknet import CSPDarknet, FocusStem
from personsearch.models.parts.resnet import build_backbone
from personsearch.models.two_step.model import TwoStep
from tests.helpers.nano_models import lively

SMALL = NanoReidOptions(backbone={"name": "shufflenet", "width": 0.5}, height=32, width=16, embedding_dim=3)


def test_the_stem_equals_one_convolution() -> None:
    torch.manual_seed(0)
    stem, pixels = FocusStem(5), torch.rand(2, 3, 10, 14)
    whole = stem.as_one()
    with torch.no_grad():
        torch.testing.assert_close(whole(pixels), stem(pixels), atol=1e-5, rtol=0)  # sums of 108 products of less than 1
        assert (whole(pixels.flip(2)) - stem(pixels)).abs().max() > 1e-2  # the position of a pixel matters
    network = with_one_stem(CSPDarknet(8))
    assert not any(isinstance(part, FocusStem) for part in network.modules())
    assert network.stem[0].kernel_size == (6, 6)


@pytest.mark.parametrize("width", [0.5, 1.0, 2.0])
def test_padded_channels_compute_the_same(width) -> None:
    backbone = optimize_for_inference(lively(build_backbone(BackboneConfig(name="shufflenet", width=width))))
    pixels = torch.randn(2, 3, 64, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        before = backbone(pixels)[5]
        after = with_blocks(backbone)(pixels)[5]
    torch.testing.assert_close(after, before, atol=1e-5 * before.abs().max().item(), rtol=0)  # zeros only change the order of sums
    groups = {
        part.groups for unit in backbone.modules() if hasattr(unit, "branch2") for part in unit.branch2 if isinstance(part, nn.Conv2d)
    }
    assert all(count % 4 == 0 for count in groups - {1})  # as ONNX Runtime's blocked layout needs


def test_batch_norms_must_be_merged_first() -> None:
    with pytest.raises(ValueError, match="merge its batch norm"):
        with_blocks(build_backbone(BackboneConfig(name="shufflenet", width=1.0)))


class Session:
    """Gives each crop's first pixel, or the mean of each channel of a canvas; records the size of each batch."""

    def __init__(self, device: str = "cpu") -> None:
        self.device, self.batch_sizes = device, []

    def run(self, batch: Array) -> list[Array]:
        self.batch_sizes.append(len(batch))
        if batch.shape[3] == 3:  # channels last: crops
            return [batch[:, 0, 0]]
        return [batch.mean(axis=(2, 3)), np.tile(batch.mean(axis=(2, 3))[:, :, None], 4)]


@pytest.mark.parametrize(
    ("count", "batch_sizes"),
    [(0, []), (1, [1]), (2, [1, 1]), (3, [1, 2]), (2 * CROPS_AT_ONCE, [CROPS_AT_ONCE] * 2), (2 * CROPS_AT_ONCE + 1, [32, 32, 32, 33])],
)
def test_cores_share_the_crops_and_keep_their_order(monkeypatch, count, batch_sizes) -> None:
    monkeypatch.setattr("personsearch.models.nano.onnx.cores", lambda: 2)
    embedder: Any = OnnxNanoEmbedder(Session(), SMALL, fingerprint="x")
    rows = embedder.embed([np.full((40, 20, 3), level, np.uint8) for level in range(count)])
    assert rows.shape == (count, 3)
    assert (np.diff(rows, axis=0) > 0).all()
    assert sorted(embedder.session.batch_sizes) == batch_sizes


def test_crops_stay_in_one_batch_on_cuda(monkeypatch) -> None:
    monkeypatch.setattr("personsearch.models.nano.onnx.cores", lambda: 2)
    embedder: Any = OnnxNanoEmbedder(Session("cuda"), SMALL, fingerprint="x")
    embedder.embed([np.zeros((40, 20, 3), np.uint8)] * 5)
    assert embedder.session.batch_sizes == [5]


@pytest.mark.parametrize("sizes", [[(32, 64)], [(32, 64)] * 3, [(32, 64), (64, 32), (32, 64)]], ids=["one", "three", "two sizes"])
def test_one_image_runs_on_all_cores_and_several_on_one_each(sizes) -> None:
    """An image of a size of its own in its batch ran on all cores, whose threads spin, for half of the whole time."""
    all_cores, alone = Session(), Session()
    detector = OnnxNanoDetector(all_cores, alone, NanoOptions(), fingerprint="x")
    count = len(sizes)
    cells = detector._all_cells([np.full((*size, 3), (level, 10, 20), np.uint8) for level, size in enumerate(sizes)])
    assert [logits[2] for logits, _ in cells] == list(range(count))  # blue, green, red
    assert [boxes.shape for _, boxes in cells] == [(3, 4)] * count
    assert (all_cores.batch_sizes, alone.batch_sizes) == (([1], []) if count == 1 else ([], [1] * count))


def test_images_of_one_size_stay_in_one_batch_on_cuda() -> None:
    all_cores = Session("cuda")
    detector = OnnxNanoDetector(all_cores, None, NanoOptions(), fingerprint="x")
    canvases = [np.full((*size, 3), level, np.uint8) for level, size in enumerate([(32, 64), (64, 32), (32, 64)])]
    cells = detector._all_cells(canvases)
    assert [logits[0] for logits, _ in cells] == [0, 1, 2]
    assert all_cores.batch_sizes == [2, 1]


@pytest.mark.parametrize(("cores", "count"), [(1, 1), (2, 2), (64, 2)])
def test_two_batches_at_once_keep_several_cores_busy(monkeypatch, cores, count) -> None:
    monkeypatch.setattr("personsearch.models.nano.onnx.cores", lambda: cores)
    session: Any = Session()
    model = TwoStep(OnnxNanoDetector(session, session, NanoOptions(), fingerprint="x"), OnnxNanoEmbedder(session, SMALL, fingerprint="x"))
    assert batches_at_once(model) == count


def test_one_batch_at_once_on_cuda() -> None:
    session: Any = Session("cuda")
    model = TwoStep(OnnxNanoDetector(session, None, NanoOptions(), fingerprint="x"), OnnxNanoEmbedder(session, SMALL, fingerprint="x"))
    assert batches_at_once(model) == 1

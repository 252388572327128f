"""Every network runs on CUDA with all its tensors there, on a stand-in for the device; results equal those of the CPU."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torchvision.models import detection

from personsearch.boxes import Array
from personsearch.models.alignps import AlignPS
from personsearch.models.base import PersonModel
from personsearch.models.fast.fuse import optimize_for_inference
from personsearch.models.folder import scene_model
from personsearch.models.nano.detector import NanoDetector, NanoNetwork
from personsearch.models.nano.embedder import NanoEmbedder, crop_network
from personsearch.models.reid import ReidConfig, ReidNetwork
from personsearch.models.scene import SceneModel
from personsearch.models.two_step.crop_model import crop_model
from personsearch.models.two_step.torchvision_detector import TorchvisionDetector
from tests.helpers.alignps_golden import picture
from tests.helpers.nano_models import OPTIONS, REID, lively
from tests.helpers.stand_in_cuda import CUDA, OnCuda, stand_in_cuda
from tests.helpers.tiny_networks import CASES, build

DEVICE = "cuda:0"
ROUNDING = 2e-4  # pixels of boxes; other layouts sum in another order
BOXES = np.array([[10, 20, 60, 150], [100, 30, 140, 120]], np.float32)


def outputs(model: PersonModel, images: list[Array]) -> list[Array]:
    """All that a model gives for images of two sizes."""
    prepared = [model.prepare(image) for image in images]
    detections = model.detect(prepared)
    rows = model.embed(prepared, [BOXES] * len(images))
    arrays = [array for people in detections for array in (people.boxes, people.scores, people.embeddings)]
    scenes = [model.embed_scenes(prepared)] if isinstance(model, SceneModel) and model.scene_filter is not None else []
    return [*arrays, *rows, model.embed_crops([images[0][20:140, 30:70]]), *scenes]


def assert_equal(ours: list[Array], theirs: list[Array]) -> None:
    assert [array.shape for array in ours] == [array.shape for array in theirs]
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, atol=ROUNDING)


# ---- the stand-in ----


def test_the_stand_in_refuses_a_tensor_of_the_cpu() -> None:
    with stand_in_cuda():
        here, there = torch.ones(3), torch.ones(3).to(DEVICE)
        assert (there.device, there.is_cuda, here.is_cuda) == (CUDA, True, False)
        with pytest.raises(RuntimeError, match=r"add has tensors on cuda:0 and on the CPU: \[\(3,\)\]"):
            there + here
        with pytest.raises(RuntimeError, match="cat has tensors"):
            torch.cat([there, torch.zeros(1)])
        with pytest.raises(TypeError, match=r"Use Tensor\.cpu\(\)"):
            there.numpy()
        assert (there + torch.tensor(2.0)).tolist() == [3, 3, 3]  # a number may be on the CPU
        assert isinstance(there[torch.tensor([True, False, True])], OnCuda)
        assert not isinstance(there.cpu(), OnCuda)
        assert torch.arange(2, device=there.device).device == CUDA
        layer = torch.nn.Linear(3, 1).to(DEVICE)
        assert layer.weight.device == CUDA
        with pytest.raises(RuntimeError, match="linear has tensors"):
            layer(here)


def test_a_tensor_left_on_the_cpu_fails() -> None:
    """A fault put into a network on purpose."""

    class Faulty(AlignPS):
        def forward(self, pixels: Tensor) -> Any:
            return super().forward(pixels + torch.zeros(1, 3, 1, 1))

    network, _ = build("alignps")
    network.__class__ = Faulty
    with stand_in_cuda(), pytest.raises(RuntimeError, match="add has tensors on cuda:0 and on the CPU"):
        outputs(SceneModel(network, name="x", fingerprint="", min_score=0, device=DEVICE), [picture()])


# ---- networks ----


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_every_network_runs_on_cuda(name: str) -> None:
    images = [picture(), picture()[:200], picture()]
    network = optimize_for_inference(build(name)[0])  # as on CUDA: the CPU's own forms sum in another order
    expected = outputs(SceneModel(network, name=name, fingerprint="", min_score=0), images)
    with stand_in_cuda() as log:
        model = scene_model(*build(name), "", DEVICE)
        assert {tensor.device for tensor in model.network.state_dict().values()} == {CUDA}
        assert_equal(outputs(model, images), expected)
    assert log.pinned == log.not_blocking > 0  # pictures are copied from pinned memory
    assert all(not enabled for _, _, enabled in log.autocast)


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
@pytest.mark.parametrize("name", ["seqnet", "seqnext", "roi-alignps"])
def test_a_lower_precision_runs_on_cuda(name: str, precision: Any) -> None:
    network, config = build(name)
    with stand_in_cuda() as log:
        model = scene_model(network, config, "", DEVICE)
        model.precision = precision
        arrays = outputs(model, [picture()])
    assert all(array.dtype == np.float32 and np.isfinite(array).all() for array in arrays)
    assert ("cuda", getattr(torch, precision), True) in log.autocast


# ---- parts of two-step models ----


@pytest.mark.slow
def test_the_bundled_networks_run_on_cuda() -> None:
    detector, embedder = lively(NanoNetwork(OPTIONS)), lively(crop_network(REID))
    crops = [picture()[10:90, 20:60], picture()[40:200, 20:100]]

    def run(device: str) -> list[Array]:
        finder = NanoDetector(detector, OPTIONS, fingerprint="x", device=device)
        reid = NanoEmbedder(embedder, REID, fingerprint="x", device=device)
        people = finder.detect([finder.prepare(image) for image in (picture(), picture()[:100])])
        return [array for pair in people for array in pair] + [reid.embed(crops)]

    expected = run("cpu")
    with stand_in_cuda():
        assert_equal(run(DEVICE), expected)


@pytest.mark.slow
def test_crop_networks_and_torchvision_detectors_run_on_cuda() -> None:
    config = ReidConfig(backbone={"name": "resnet18", "width": 0.25}, height=64, width=32, embedding_dim=16)  # type: ignore[arg-type]
    torch.manual_seed(0)
    crops = ReidNetwork(config).eval()
    ssd = detection.ssdlite320_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=2).eval()
    image = picture()

    def run(device: str) -> list[Array]:
        finder = TorchvisionDetector(ssd, device=device)
        people = finder.detect([finder.prepare(image)])
        model = crop_model(crops, config, "", device)
        return [*people[0], model.embed_crops([image[10:90, 20:60]]), model.embed([model.prepare(image)], [BOXES])[0]]

    expected = run("cpu")
    with stand_in_cuda():
        assert_equal(run(DEVICE), expected)

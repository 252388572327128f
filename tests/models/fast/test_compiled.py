"""Compiled networks give the same results; models that cannot be compiled are refused."""

from pathlib import Path

import numpy as np
import pytest
import torch

from personsearch import PersonSearcher
from personsearch.errors import CompilerError, ConfigError
from personsearch.models.alignps import AlignPS, AlignPSConfig
from personsearch.models.fast import compiled
from personsearch.models.folder import scene_model
from personsearch.models.scene import SceneModel
from personsearch.models.seqnet import SeqNet, SeqNetConfig
from personsearch.weights import save_model
from tests.helpers.seqnet_golden import picture

BACKBONE = {"name": "resnet18", "width": 0.125}
REGIONS = SeqNetConfig(backbone=BACKBONE, short_side=96, long_side=160, embedding_dim=16, proposals={"after_nms": 30}, keep_score=0)
DENSE = AlignPSConfig(backbone=BACKBONE, short_side=96, long_side=160, channels=32, min_class_score=0, max_people=20)


def opened(config: SeqNetConfig | AlignPSConfig) -> SceneModel:
    """A small network that detects people in any image, opened from its folder."""
    torch.manual_seed(0)
    network = SeqNet(config) if isinstance(config, SeqNetConfig) else AlignPS(config)
    return scene_model(network.eval(), config, "digest", "cpu")


@pytest.mark.slow
@pytest.mark.parametrize("config", [REGIONS, DENSE], ids=["regions", "dense"])
def test_a_compiled_network_gives_the_same_results(config: SeqNetConfig | AlignPSConfig) -> None:
    """Two sizes, alone and together. Tolerances as for merged layers; another network is far outside them."""
    plain, fast = opened(config), opened(config)
    compiled.compile_model(fast)
    assert fast.network.get_submodule("backbone")._compiled_call_impl is not None
    assert fast.fingerprint == plain.fingerprint
    images = [picture(96, 160, seed) for seed in (0, 1)] + [picture(160, 96, 2)]
    for some in (images[:1], images):
        for expected, detections in zip(*(model.detect([model.prepare(image) for image in some]) for model in (plain, fast)), strict=True):
            assert len(expected) == len(detections) > 0
            np.testing.assert_allclose(detections.boxes, expected.boxes, atol=2e-3)
            np.testing.assert_allclose(detections.scores, expected.scores, atol=5e-5)
            np.testing.assert_allclose(detections.embeddings, expected.embeddings, atol=2e-5)


def test_the_forward_pass_runs_the_compiled_backbone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fake compiler, which takes no seconds, records what it gets."""
    monkeypatch.setattr(compiled, "try_compiler", lambda device: None)
    model, calls = opened(REGIONS), []

    def fake(function, **options):  # type: ignore[no-untyped-def]
        calls.append(options)
        return lambda pixels: calls.append(tuple(pixels.shape)) or function(pixels)

    monkeypatch.setattr(torch, "compile", fake)
    compiled.compile_model(model)
    model.detect([model.prepare(picture(96, 160, 0))])
    assert calls[0]["dynamic"] is True
    assert calls[1:] == [(1, 3, 96, 160)]


def test_a_machine_without_a_compiler_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(function):  # type: ignore[no-untyped-def]
        def run(numbers):  # type: ignore[no-untyped-def]
            raise RuntimeError("No working C++ compiler found\nand more")

        return run

    monkeypatch.setattr(torch, "compile", broken)
    with pytest.raises(CompilerError, match=r"\(No working C\+\+ compiler found and more\); install g\+\+"):
        compiled.compile_model(opened(REGIONS))
    monkeypatch.setattr(torch, "compile", lambda function: lambda numbers: numbers)
    with pytest.raises(CompilerError, match="gives wrong results"):
        compiled.compile_model(opened(REGIONS))


def test_models_without_one_pytorch_network_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="leave it out for nano"):
        PersonSearcher.from_pretrained(device="cpu", compiled=True)
    with pytest.raises(ConfigError, match="leave them or backend"):
        PersonSearcher.from_pretrained(device="cpu", backend="onnx", compiled=True)
    with pytest.raises(ConfigError, match="runs on ONNX Runtime"):
        PersonSearcher.from_pretrained("model.onnx", device="cpu", compiled=True)


def test_a_folder_opens_compiled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[object] = []
    monkeypatch.setattr("personsearch.models.fast.compiled.compile_model", compiled.append)
    tensors = {name: tensor.numpy() for name, tensor in SeqNet(REGIONS).state_dict().items() if not name.endswith("num_batches_tracked")}
    save_model(tmp_path, REGIONS.model_dump(mode="json"), tensors)
    assert compiled == []
    searcher = PersonSearcher.from_pretrained(tmp_path, device="cpu", compiled=True)
    assert compiled == [searcher.model]
    PersonSearcher.from_pretrained(tmp_path, device="cpu")
    assert len(compiled) == 1

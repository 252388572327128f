"""Other precisions than float32: own galleries, and refused for models that do not have them."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from personsearch import PersonSearcher
from personsearch.cli import app as cli
from personsearch.errors import ConfigError, GalleryModelError, PersonSearchError
from personsearch.models.seqnet import SeqNet, SeqNetConfig
from personsearch.weights import save_model
from tests.helpers.seqnet_golden import picture

CONFIG = SeqNetConfig(backbone={"name": "resnet18", "width": 0.125}, short_side=96, long_side=160, embedding_dim=16, keep_score=0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    tensors = {name: tensor.numpy() for name, tensor in SeqNet(CONFIG).state_dict().items() if not name.endswith("num_batches_tracked")}
    save_model(tmp_path, CONFIG.model_dump(mode="json"), tensors)
    return tmp_path


def test_bfloat16_moves_features_a_little_and_has_its_own_gallery(folder) -> None:
    exact, rough = (PersonSearcher.from_pretrained(folder, device="cpu", precision=name) for name in ("float32", "bfloat16"))
    boxes = [np.array([[10, 10, 60, 90], [60, 5, 90, 80]], np.float32)]
    rows, rough_rows = (searcher.model.embed([searcher.model.prepare(picture(96, 160, 0))], boxes)[0] for searcher in (exact, rough))
    cosines = (rows * rough_rows).sum(axis=1)
    assert not np.array_equal(rows, rough_rows)
    assert cosines.min() > 0.98  # eight bits of mantissa
    assert rough.model.fingerprint == f"{exact.model.fingerprint}-bfloat16"


@pytest.mark.parametrize("command", [["index"], ["search", "0.png", "--box", "60,5,90,80"]])
def test_the_command_line_has_the_option(folder, tmp_path, monkeypatch, command) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    for place in ("0.png", "photos/1.png"):
        cv2.imwrite(place, picture(96, 160, 0))
    common = ["photos", "--model", str(folder), "--device", "cpu", "--gallery", "g.lance"]
    made = CliRunner().invoke(cli.app, [*command, *common, "--precision", "bfloat16"])
    assert made.exit_code == 0, made.output
    with pytest.raises(GalleryModelError):  # a float32 model refuses a bfloat16 gallery
        PersonSearcher.from_pretrained(folder, device="cpu").index("photos", gallery="g.lance")
    refused = CliRunner().invoke(cli.app, [*command, *common, "--precision", "int8"])
    assert (refused.exit_code, "bfloat16" in refused.output) == (2, True)


def test_models_without_this_precision_are_refused(folder) -> None:
    with pytest.raises(ConfigError, match="use bfloat16 on a CPU"):
        PersonSearcher.from_pretrained(folder, device="cpu", precision="float16")
    with pytest.raises(ConfigError, match="leave it out for this model"):
        PersonSearcher.from_pretrained(device="cpu", precision="bfloat16")
    with pytest.raises(ConfigError, match="ONNX Runtime in float32"):
        PersonSearcher.from_pretrained("model.onnx", device="cpu", precision="bfloat16")
    with pytest.raises(ConfigError, match="leave them or backend"):
        PersonSearcher.from_pretrained(device="cpu", backend="onnx", precision="bfloat16")
    with pytest.raises(PersonSearchError, match="precision"):
        PersonSearcher.from_pretrained(folder, device="cpu", precision="int8")

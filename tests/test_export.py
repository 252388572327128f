"""Exported networks find what PyTorch finds: golden-filled ones, other sizes, and nobody at all."""

import json
from pathlib import Path
from typing import Any

import alignps_golden
import numpy as np
import pytest
import seqnet_golden
import torch

from personsearch.backends import OnnxSceneModel
from personsearch.errors import ConfigError, WeightsError
from personsearch.export import export_folder, export_network
from personsearch.models import open_folder
from personsearch.models.config import BackboneConfig
from personsearch.models.rcnn import RCNN, RCNNConfig
from personsearch.models.scene import SceneModel
from personsearch.models.trident import Trident, TridentConfig
from personsearch.searcher import PersonSearcher
from personsearch.weights import WEIGHTS_FILE, read_config

# The bounds to the authors' code, ten times its own spread between float32 and float64
BOXES, SCORES, EMBEDDINGS = 2e-3, 5e-5, 2e-5
SMALL = {"short_side": 288, "long_side": 480}
pytestmark = pytest.mark.slow


def small_folder(home: Path, converted: Path) -> Path:
    (home / WEIGHTS_FILE).symlink_to(converted / WEIGHTS_FILE)
    (home / "config.json").write_text(json.dumps(read_config(converted) | SMALL))
    return home


def differences(torch_model: Any, onnx_model: Any, picture: Any) -> tuple[float, float, float, float]:
    """Greatest of boxes, scores, embeddings, and embeddings at given boxes."""
    wanted = np.array([[10, 20, 60, 150], [100, 30, 140, 120], [0, 0, 300, 230]], np.float32)
    one, two = ([model.prepare(picture)] for model in (torch_model, onnx_model))
    (ours,), (theirs,) = torch_model.detect(one), onnx_model.detect(two)
    assert theirs.boxes.shape == ours.boxes.shape
    pairs = [(ours.boxes, theirs.boxes), (ours.scores, theirs.scores), (ours.embeddings, theirs.embeddings)]
    pairs.append((torch_model.embed(one, [wanted])[0], onnx_model.embed(two, [wanted])[0]))
    boxes, scores, rows, given = (float(np.abs(a - b).max(initial=0)) for a, b in pairs)
    return boxes, scores, rows, given


def agree(found: tuple[float, float, float, float]) -> bool:
    return found[0] < BOXES and found[1] < SCORES and max(found[2:]) < EMBEDDINGS


@pytest.mark.parametrize("name", ["roi_alignps", "alignps_plus", "seqnet"])
def test_an_exported_network_finds_what_pytorch_finds(name: str, tmp_path: Path) -> None:
    golden = seqnet_golden.converted() if name == "seqnet" else alignps_golden.converted(name)
    folder = small_folder(tmp_path, golden)
    file = export_folder(folder, tmp_path / "out.onnx")
    searcher = PersonSearcher.from_pretrained(file, backend="onnx", device="cpu")
    opened, exported = open_folder(folder, "cpu"), searcher.model
    picture = alignps_golden.picture()
    assert agree(differences(opened, exported, picture))
    assert agree(differences(opened, exported, np.ascontiguousarray(picture[:200])))  # another shape of the input
    assert len(exported.detect([exported.prepare(picture)])[0].boxes) > 0
    assert exported.embed([exported.prepare(picture)], [np.zeros((0, 4), np.float32)])[0].shape == (0, exported.embedding_dim)
    assert exported.fingerprint != opened.fingerprint
    assert exported.embed_crops([picture[20:120, 30:70]]).shape == (1, exported.embedding_dim)


def tiny(**changes: Any) -> tuple[RCNN, RCNNConfig]:
    backbone = BackboneConfig(name="resnet18", width=0.25)
    config = RCNNConfig(backbone=backbone, embedding_dim=16, short_side=96, long_side=160, **{"keep_score": 0.0, **changes})
    torch.manual_seed(0)
    return RCNN(config).eval(), config


@pytest.mark.parametrize("changes", [{"architecture": "oim"}, {"architecture": "nae"}, {"architecture": "nae", "pixelwise": True}])
@pytest.mark.parametrize("keep_score", [0.0, 0.999999])
def test_oim_and_nae_are_exported_and_find_nobody_too(changes: dict[str, Any], keep_score: float, tmp_path: Path) -> None:
    changes = changes | {"keep_score": keep_score}
    network, config = tiny(**changes)
    plain = SceneModel(network, name="tiny", fingerprint="", min_score=0)
    picture = alignps_golden.picture()
    expected = plain.detect([plain.prepare(picture)])[0]
    exported = OnnxSceneModel(export_network(tiny(**changes)[0], config, tmp_path / "tiny.onnx"))
    assert agree(differences(plain, exported, picture))
    # The best of NAE+ always scores 1
    assert (len(expected.boxes) > 0) == (keep_score == 0.0 or "pixelwise" in changes)


@pytest.mark.parametrize(("partitions", "keep_score"), [(6, 0.0), (None, 0.0), (None, 0.999999)])
def test_trident_is_exported_and_finds_nobody_too(partitions: int | None, keep_score: float, tmp_path: Path) -> None:
    backbone = BackboneConfig(name="resnet18", width=0.25)
    changes: dict[str, Any] = {"partitions": partitions, "keep_score": keep_score}
    config = TridentConfig(backbone=backbone, embedding_dim=16, short_side=96, long_side=160, **changes)
    torch.manual_seed(0)
    plain = SceneModel(Trident(config), name="tiny", fingerprint="", min_score=0)
    torch.manual_seed(0)
    exported = OnnxSceneModel(export_network(Trident(config), config, tmp_path / "tiny.onnx"))
    picture = alignps_golden.picture()
    assert agree(differences(plain, exported, picture))
    assert agree(differences(plain, exported, np.ascontiguousarray(picture[:200])))  # another shape of the input
    assert (len(plain.detect([plain.prepare(picture)])[0].boxes) > 0) == (keep_score == 0.0)


def test_parity_fails_for_another_weight(tmp_path: Path) -> None:
    (network, config), (changed, _) = tiny(), tiny()
    with torch.no_grad():
        changed.head.embedding.projectors[0][0].weight.mul_(
            torch.linspace(0.9, 1.1, changed.head.embedding.projectors[0][0].weight.shape[1])
        )
    exported = OnnxSceneModel(export_network(changed, config, tmp_path / "changed.onnx"))
    assert not agree(differences(SceneModel(network, name="tiny", fingerprint="", min_score=0), exported, alignps_golden.picture()))


def test_what_is_no_exported_file_is_refused(tmp_path: Path) -> None:
    network, config = tiny()
    with pytest.raises(ConfigError, match=r"ends in \.onnx"):
        export_network(network, config, tmp_path / "out.bin")
    with pytest.raises(ConfigError, match="personsearch export"):
        PersonSearcher.from_pretrained(tmp_path, backend="onnx")
    with pytest.raises(WeightsError, match="no file"):
        PersonSearcher.from_pretrained(tmp_path / "none.onnx", backend="onnx", device="cpu")

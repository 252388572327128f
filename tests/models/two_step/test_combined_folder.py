"""A folder of two models: saved, opened, saved again, and refused when a part is missing."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from personsearch import PersonSearcher
from personsearch.errors import ConfigError, ModelNotFoundError, WeightsError
from personsearch.models import open_folder
from personsearch.models.base import ranks_by_score
from personsearch.models.rcnn import RCNN, RCNNConfig
from personsearch.models.reid import ReidConfig, ReidNetwork
from personsearch.models.two_step import save_combined
from personsearch.models.two_step.combined import CombinedModel
from personsearch.weights import save_model
from tests.data.synth_image import synth

SCENE = np.ascontiguousarray(synth(120, 160, 1)[:, :, ::-1])
BACKBONE = {"name": "resnet18", "width": 0.25}


def saved(folder: Path, kind: str) -> Path:
    torch.manual_seed(0)
    if kind == "D":
        detector = RCNNConfig(backbone=BACKBONE, short_side=96, long_side=160, keep_score=0.0, max_people=3, min_score=0.1)
        config: RCNNConfig | ReidConfig = detector
        network: torch.nn.Module = RCNN(detector)
    else:
        config = embedder = ReidConfig(name=kind, backbone=BACKBONE, height=64, width=32, embedding_dim=128)
        network = ReidNetwork(embedder)
    tensors = {name: tensor.numpy() for name, tensor in network.state_dict().items() if not name.endswith("num_batches_tracked")}
    save_model(folder, config.model_dump(mode="json"), tensors)
    return folder


@pytest.fixture
def parts(tmp_path) -> dict[str, Path]:
    return {"detector": saved(tmp_path / "D", "D"), "reidentifier": saved(tmp_path / "R", "R")}


def test_a_detector_and_a_crop_network_in_one_folder(parts, tmp_path) -> None:
    """DKD's [D; R]: the detector's boxes with the crop network's embeddings of them."""
    folder = save_combined(tmp_path / "both", **parts)
    searcher = PersonSearcher.from_pretrained(folder, device="cpu")
    model = searcher.model
    assert isinstance(model, CombinedModel)
    assert (model.name, model.min_score, model.embedding_dim) == ("nae with R", 0.1, 128)
    detector, reidentifier = (open_folder(parts[name], "cpu") for name in ("detector", "reidentifier"))
    (people,) = model.detect([model.prepare(SCENE)])
    (expected,) = detector.detect([detector.prepare(SCENE)])
    assert len(people) == 3
    assert people.boxes.tolist() == expected.boxes.tolist()
    np.testing.assert_allclose(people.embeddings, reidentifier.embed([reidentifier.prepare(SCENE)], [people.boxes])[0], atol=1e-6)
    assert model.fingerprint == CombinedModel(detector, reidentifier).fingerprint
    # NAE ranks by cosine x score, the crop network, whose embeddings these are, by cosine
    assert (ranks_by_score(detector), ranks_by_score(reidentifier), ranks_by_score(model)) == (True, False, False)


def test_two_models_side_by_side(parts, tmp_path) -> None:
    """AlignPS, Table VI, separate training: the unit rows of both at the boxes of the first, of unit length together."""
    model = open_folder(save_combined(tmp_path / "both", **parts, side_by_side=True), "cpu")
    detector, reidentifier = (open_folder(parts[name], "cpu") for name in ("detector", "reidentifier"))
    (people,) = model.detect([model.prepare(SCENE)])
    (first,) = detector.embed([detector.prepare(SCENE)], [people.boxes])
    (second,) = reidentifier.embed([reidentifier.prepare(SCENE)], [people.boxes])
    np.testing.assert_allclose(people.embeddings, np.concatenate([first, second], axis=1) / np.sqrt(2), atol=1e-6)
    assert (model.name, model.embedding_dim) == ("nae beside R", first.shape[1] + 128)
    np.testing.assert_allclose(people.embeddings @ people.embeddings.T, (first @ first.T + second @ second.T) / 2, atol=1e-5)
    assert model.fingerprint != CombinedModel(detector, reidentifier).fingerprint
    np.testing.assert_allclose(np.linalg.norm(model.embed_crops([SCENE]), axis=1), 1, atol=1e-5)


def test_a_folder_is_saved_again(parts, tmp_path) -> None:
    folder = save_combined(tmp_path / "both", **parts)
    save_combined(folder, detector=parts["detector"], reidentifier=saved(tmp_path / "other", "other"))
    assert open_folder(folder, "cpu").name == "nae with other"
    for detector, target in ((folder / "detector", folder), (parts["detector"], parts["detector"] / "both")):
        with pytest.raises(ConfigError, match="overlap; save into a folder outside"):
            save_combined(target, detector=detector, reidentifier=parts["reidentifier"])
    assert open_folder(folder, "cpu").name == "nae with other"


def test_a_missing_or_malformed_part_is_refused(parts, tmp_path) -> None:
    with pytest.raises(ModelNotFoundError, match="nowhere is not a folder"):
        save_combined(tmp_path / "both", detector=parts["detector"], reidentifier=tmp_path / "nowhere")
    assert not (tmp_path / "both").exists()
    folder = save_combined(tmp_path / "both", **parts)
    (folder / "detector" / "model.safetensors").unlink()
    with pytest.raises(WeightsError, match=r"detector/model\.safetensors is missing"):
        open_folder(folder, "cpu")
    (folder / "config.json").write_text(json.dumps({"architecture": "combined", "detector": "/elsewhere"}))
    with pytest.raises(ConfigError, match="detector"):
        open_folder(folder, "cpu")

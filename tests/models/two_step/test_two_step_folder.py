"""A two-step folder: saved, opened, searched with, and refused when a file or an option does not fit."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import save_file
from torchvision.models import detection

from personsearch import PersonSearcher
from personsearch.errors import ConfigError, PersonSearchError, WeightsError
from personsearch.models import open_folder
from personsearch.models.two_step import save_two_step
from tests.helpers.onnx_files import PERSON, reid, yolox

PLAIN = {"mean": (0, 0, 0), "std": (1, 1, 1)}


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    return {"detector_file": yolox(tmp_path / "yolox.onnx", PERSON), "embedder_file": reid(tmp_path / "reid.onnx")}


def test_from_two_files_to_a_search(tmp_path: Path, files: dict[str, Path]) -> None:
    folder = save_two_step(tmp_path / "model", **files, embedder=PLAIN)
    searcher = PersonSearcher.from_pretrained(folder, device="cpu")
    image = np.full((64, 128, 3), (0, 0, 255), np.uint8)
    image[:20, 30:70] = (0, 255, 255)  # a cyan person; the box covers 32 columns and 48 rows
    detections = searcher.detect(image)
    np.testing.assert_allclose(detections.boxes, [[32, 0, 64, 48]], rtol=1e-6)
    green = 20 / 48  # share of cyan, as resizing to 8 rows keeps it
    np.testing.assert_allclose(detections.embeddings, [np.array([0, green, 1]) / np.hypot(green, 1)], atol=0.05)
    Image.fromarray(image).save(tmp_path / "scene.png")
    (hit,) = searcher.search(image[:48, 32:64], [tmp_path / "scene.png"])
    assert hit.similarity == pytest.approx(1, abs=1e-6)  # the same crop


def test_an_opened_folder_is_the_saved_model(tmp_path: Path, files: dict[str, Path]) -> None:
    named = open_folder(save_two_step(tmp_path / "one", **files, embedder=PLAIN, min_score=0.4, name="ours"), "cpu")
    assert (named.name, named.min_score, named.embedding_dim) == ("ours", 0.4, 3)
    again = open_folder(save_two_step(tmp_path / "again", **files, embedder=PLAIN), "cpu")
    other = open_folder(save_two_step(tmp_path / "other", **files), "cpu")
    tiled = open_folder(save_two_step(tmp_path / "tiled", **files, embedder=PLAIN, detector={"tiles": (1, 3)}), "cpu")
    assert again.fingerprint == named.fingerprint
    assert len({named.fingerprint, other.fingerprint, tiled.fingerprint}) == 3


def test_files_of_one_name_and_external_weights_are_copied(tmp_path: Path) -> None:
    options = {"save_as_external_data": True, "location": "weights.bin", "size_threshold": 60}
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    detector, embedder = yolox(tmp_path / "a/model.onnx", PERSON), reid(tmp_path / "b/model.onnx", **options)
    folder = save_two_step(tmp_path / "model", detector_file=detector, embedder_file=embedder)
    assert sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()) == [
        "config.json",
        "detector/model.onnx",
        "embedder/model.onnx",
        "embedder/weights.bin",
    ]
    before = open_folder(folder, "cpu").fingerprint
    weights = bytearray((folder / "embedder/weights.bin").read_bytes())
    weights[3] ^= 1
    (folder / "embedder/weights.bin").write_bytes(weights)
    assert open_folder(folder, "cpu").fingerprint != before


def test_a_folder_is_saved_again_with_other_options(tmp_path: Path, files: dict[str, Path]) -> None:
    """Its own files are passed again; copying a file onto itself would raise."""
    folder = save_two_step(tmp_path / "model", **files)
    own = {"detector_file": folder / "detector/yolox.onnx", "embedder_file": folder / "embedder/reid.onnx"}
    save_two_step(folder, **own, min_score=0.4)
    assert open_folder(folder, "cpu").min_score == 0.4


@pytest.mark.slow
def test_torchvision_weights_make_a_folder(tmp_path: Path, files: dict[str, Path]) -> None:
    network = detection.ssdlite320_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=2)
    save_file(network.state_dict(), tmp_path / "ssd.safetensors")
    options = {"kind": "torchvision", "network": "ssdlite320_mobilenet_v3_large", "num_classes": 2, "score_threshold": 0.4}
    folder = save_two_step(
        tmp_path / "model", detector_file=tmp_path / "ssd.safetensors", embedder_file=files["embedder_file"], detector=options
    )
    detections = PersonSearcher.from_pretrained(folder, device="cpu").detect(np.zeros((40, 30, 3), np.uint8))
    assert detections.embeddings.shape == (len(detections.scores), 3)


def test_wrong_files_and_options_are_refused_before_writing(tmp_path: Path, files: dict[str, Path]) -> None:
    photo = tmp_path / "photo.jpg"
    Image.new("RGB", (64, 64)).save(photo)
    refused: list[tuple[dict[str, Any], type[PersonSearchError], str]] = [
        ({"detector_file": files["embedder_file"]}, WeightsError, r"reid\.onnx is not a YOLOX detector"),
        ({"detector_file": photo}, WeightsError, r"photo\.jpg is not an ONNX file"),
        ({"embedder_file": files["detector_file"]}, WeightsError, r"yolox\.onnx is not a re-identification network"),
        ({"embedder_file": tmp_path / "nothing.onnx"}, WeightsError, "is not a file"),
        ({"detector": {"kind": "yolo"}}, ConfigError, "detector: .*'yolox-onnx', 'torchvision'"),
        ({"detector": {"nms_iou": 1.5}}, ConfigError, r"detector\.yolox-onnx\.nms_iou: .*less than or equal to 1"),
        ({"detector": {"person_class": 2}}, ConfigError, r"detector\.person_class is 2"),
        ({"embedder": {"colour": "rgb"}}, ConfigError, r"embedder\.reid-onnx\.colour: Extra inputs"),
        ({"embedder": {"layout": "nhwc"}}, ConfigError, r'embedder\.layout is "nhwc"'),
        ({"min_score": 2}, ConfigError, "min_score: "),
    ]
    for change, kind, message in refused:
        with pytest.raises(kind, match=message):
            save_two_step(tmp_path / "model", **{**files, **change})
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize("file", ["../yolox.onnx", "/etc/passwd", "C:yolox.onnx", "detector\\yolox.onnx", "", "detector/../../yolox.onnx"])
def test_a_config_may_only_name_files_inside_its_folder(tmp_path: Path, files: dict[str, Path], file: str) -> None:
    folder = save_two_step(tmp_path / "model", **files)
    config = json.loads((folder / "config.json").read_text())
    config["detector"]["file"] = file
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ConfigError, match=r"detector\.yolox-onnx\.file: .*must name a file inside the model's folder"):
        open_folder(folder, "cpu")


def test_a_folder_that_lost_a_file_is_refused(tmp_path: Path, files: dict[str, Path]) -> None:
    folder = save_two_step(tmp_path / "model", **files)
    (folder / "embedder/reid.onnx").unlink()
    with pytest.raises(WeightsError, match=r"reid\.onnx is not a file"):
        open_folder(folder, "cpu")

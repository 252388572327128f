"""The authors' SeqNet checkpoint with the weights of tests/data, and the results of the authors' code."""

import atexit
import json
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from personsearch.boxes import Array
from personsearch.convert import convert_checkpoint
from personsearch.models import open_folder
from personsearch.models.folder import load_strict
from personsearch.models.scene import SceneBatch, SceneDetections, SceneInput, SceneModel
from personsearch.models.seqnet import SeqNet, SeqNetConfig
from personsearch.weights import WEIGHTS_FILE, read_config, read_tensors
from tests.data.deterministic_weights import fill
from tests.data.synth_image import synth

DATA = Path(__file__).parent.parent / "data"
SMALL = {"short_side": 288, "long_side": 480}
# Ten times the spread between the authors' code in float32 and in float64.
BOXES, SCORES, EMBEDDINGS = 2e-3, 5e-5, 2e-5
TIE = 1e-4  # scores closer than this may swap ranks


def shapes() -> dict[str, tuple[tuple[int, ...], torch.dtype]]:
    """Shape and type of each tensor of a checkpoint, by the authors' names."""
    rows = [line.split("\t") for line in (DATA / "seqnet_keys.txt").read_text().splitlines()]
    return {key: (() if size == "scalar" else tuple(map(int, size.split("x"))), getattr(torch, dtype)) for key, size, dtype in rows}


def hollow() -> dict[str, Tensor]:
    """A checkpoint of zeros that takes no memory."""
    return {key: torch.zeros((), dtype=dtype).expand(shape) for key, (shape, dtype) in shapes().items()}


@cache
def converted() -> Path:
    """The model folder that the converter makes of the checkpoint file; deleted when the tests end."""
    home = tempfile.TemporaryDirectory()
    atexit.register(home.cleanup)
    file = Path(home.name) / "epoch_18.pth"
    tensors = fill({key: torch.zeros(shape, dtype=dtype) for key, (shape, dtype) in shapes().items()}, "seqnet")
    torch.save({"model": tensors, "optimizer": {"state": {}, "param_groups": []}, "epoch": 18}, file)
    folder = convert_checkpoint(file, Path(home.name) / "seqnet", source="seqnet")
    file.unlink()
    return folder


def network(**changes: Any) -> SeqNet:
    """The plain form of the converted model, with some of its config changed."""
    built = SeqNet(SeqNetConfig(**read_config(converted()) | changes))
    load_strict(built, read_tensors(converted() / WEIGHTS_FILE), source="seqnet")
    return built.eval()


@cache
def opened(short_side: int, long_side: int) -> SceneModel:
    """The model opened from its folder at another input size; do not change it."""
    with tempfile.TemporaryDirectory() as home:
        (Path(home) / WEIGHTS_FILE).symlink_to(converted() / WEIGHTS_FILE)
        config = read_config(converted()) | {"short_side": short_side, "long_side": long_side}
        (Path(home) / "config.json").write_text(json.dumps(config))
        model = open_folder(Path(home), "cpu")
    assert isinstance(model, SceneModel)
    return model


def golden(file: Path) -> dict[str, Array]:
    """The authors' numbers, without their prefix."""
    with np.load(file) as arrays:
        return {key[2:]: arrays[key] for key in arrays.files}


def picture(height: int, width: int, seed: int) -> Array:
    """An image of tests/data, RGB."""
    return np.ascontiguousarray(synth(height, width, seed)[:, :, ::-1])


def batch_of(*inputs: SceneInput) -> SceneBatch:
    """Inputs of one shape as a batch."""
    return SceneBatch(torch.stack([item.pixels for item in inputs]), [item.resized for item in inputs], [item.original for item in inputs])


def assert_people(detections: SceneDetections, boxes: Array, scores: Array, embeddings: Array) -> None:
    """The same people, in the same order unless their scores tie; `embeddings` may have any norm."""
    assert len(detections.scores) == len(scores)
    distances = np.abs(detections.boxes.numpy()[None] - boxes[:, None]).max(axis=2)
    rank = distances.argmin(axis=1)  # of each expected person among the detections
    assert sorted(rank.tolist()) == list(range(len(scores)))
    assert distances.min(axis=1).max(initial=0) <= BOXES
    np.testing.assert_allclose(detections.scores.numpy()[rank], scores, atol=SCORES, rtol=0)
    unit = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    np.testing.assert_allclose(detections.embeddings.numpy()[rank], unit, atol=EMBEDDINGS, rtol=0)
    apart = scores[:, None] - scores[None, :] > TIE
    assert (rank[:, None] < rank[None, :])[apart].all()


def hollow_nae(pixelwise: bool = False) -> dict[str, Tensor]:
    """A NAE checkpoint of zeros: SeqNet's without its first head, with the leftover classifier and 1x1 projectors for NAE+."""
    tensors = {key: value for key, value in hollow().items() if ".reid_head." not in key and ".faster_rcnn_predictor." not in key}
    tensors |= {
        "roi_heads.box_predictor.cls_score.weight": torch.zeros(()).expand(2, 2048),
        "roi_heads.box_predictor.cls_score.bias": torch.zeros(2),
    }
    if pixelwise:
        for key in [key for key in tensors if "projectors" in key and key.endswith("0.weight")]:
            tensors[key] = torch.zeros(()).expand(*tensors[key].shape, 1, 1)
    return tensors

"""The authors' checkpoints with the weights of tests/data, and the results of the authors' code."""

import atexit
import json
import tempfile
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from personsearch.boxes import Array
from personsearch.convert import convert_checkpoint
from personsearch.models import open_folder
from personsearch.models.alignps import AlignPS, AlignPSConfig
from personsearch.models.folder import load_strict
from personsearch.models.roi_alignps import ROIAlignPS, ROIAlignPSConfig
from personsearch.models.scene import SceneModel
from personsearch.results import Detections
from personsearch.weights import WEIGHTS_FILE, read_config, read_tensors
from tests.data.deterministic_weights import fill
from tests.data.synth_image import synth

DATA = Path(__file__).parent.parent / "data"
SOURCES = {"alignps": "alignps", "alignps_plus": "alignps", "roi_alignps": "roi-alignps"}
FORMS = [pytest.param("plain", marks=pytest.mark.slow), "fast"]
# Ten times the spread between the authors' code in float32 and in float64.
BOXES, SCORES, EMBEDDINGS = 2e-3, 5e-5, 2e-5


def shapes(name: str) -> dict[str, list[int]]:
    """Shapes of the authors' tensors by their names."""
    rows = [line.split("\t") for line in (DATA / f"{name}_keys.txt").read_text().splitlines() if not line.startswith("#")]
    return {key: [] if shape == "scalar" else [int(side) for side in shape.split("x")] for key, shape, _, _ in rows}


def checkpoint(name: str) -> dict[str, Tensor]:
    """Tensors by the authors' names with the weights of tests/data; counters are integers, as in the originals."""
    whole = ("num_batches_tracked", "tail")
    dtypes = {key: torch.int64 if key.endswith(whole) else torch.float32 for key in shapes(name)}
    return fill({key: torch.zeros(shape, dtype=dtypes[key]) for key, shape in shapes(name).items()}, "alignps")


@cache
def converted(name: str) -> Path:
    """The model folder that the converter makes of a checkpoint file; deleted when the tests end."""
    home = tempfile.TemporaryDirectory()
    atexit.register(home.cleanup)
    file = Path(home.name) / "checkpoint.pth"
    torch.save({"meta": {"epoch": 24}, "state_dict": checkpoint(name), "optimizer": {"state": {}}}, file)
    folder = convert_checkpoint(file, Path(home.name) / name, source=SOURCES[name])
    file.unlink()
    return folder


def network(name: str, **changes: Any) -> AlignPS:
    """The plain form of a converted model, with some of its config changed."""
    folder = converted(name)
    values = read_config(folder) | changes
    roi = SOURCES[name] == "roi-alignps"
    built = ROIAlignPS(ROIAlignPSConfig(**values)) if roi else AlignPS(AlignPSConfig(**values))
    load_strict(built, read_tensors(folder / WEIGHTS_FILE), source=name)
    return built.eval()


@lru_cache(maxsize=5)
def model(name: str, form: str, *, short_side: int = 288, long_side: int = 480, **changes: Any) -> SceneModel:
    """A converted model at the size of the small golden numbers: "plain", or "fast" as opened from its folder; do not change it."""
    sizes = {"short_side": short_side, "long_side": long_side, **changes}
    if form == "plain":
        return SceneModel(network(name, **sizes), name=name, fingerprint="", min_score=0)
    with tempfile.TemporaryDirectory() as home:
        (Path(home) / WEIGHTS_FILE).symlink_to(converted(name) / WEIGHTS_FILE)
        (Path(home) / "config.json").write_text(json.dumps(read_config(converted(name)) | sizes))
        opened = open_folder(Path(home), "cpu")
    assert isinstance(opened, SceneModel)
    return opened


def golden(name: str) -> dict[str, Array]:
    """The authors' numbers, without their prefix."""
    with np.load(DATA / f"{name}_small.npz") as arrays:
        return {key.removeprefix("c_"): arrays[key] for key in arrays.files}


def picture() -> Array:
    """The golden image, RGB."""
    return np.ascontiguousarray(synth(240, 320, 3)[:, :, ::-1])


def embeddings(expected: dict[str, Array]) -> Array:
    """The authors' embeddings as unit rows."""
    return np.asarray(expected["fused"] / np.sqrt(2) if "fused" in expected else expected["emb"])


def assert_golden(detections: Detections, expected: dict[str, Array]) -> None:
    """Same people in the same order."""
    assert detections.boxes.shape == expected["boxes"].shape
    np.testing.assert_allclose(detections.boxes, expected["boxes"], atol=BOXES, rtol=0)
    np.testing.assert_allclose(detections.scores, expected["scores"], atol=SCORES, rtol=0)
    np.testing.assert_allclose(detections.embeddings, embeddings(expected), atol=EMBEDDINGS, rtol=0)


def assert_stages(opened: SceneModel, expected: dict[str, Array]) -> None:
    """Every intermediate tensor has the authors' shape and values; the error names the first that differs."""
    tensors = _tensors(opened)
    stages = [key.removeprefix("samp_") for key in expected if key.startswith("samp_") and key.removeprefix("samp_") in tensors]
    assert len(stages) >= len(tensors) > 20
    for stage in stages:
        tensor, samples = tensors[stage], expected[f"samp_{stage}"]
        assert tuple(tensor.shape) == tuple(expected[f"shape_{stage}"]), stage
        index = [i * tensor.numel() // len(samples) for i in range(len(samples))]
        # Rounding of float32 grows along the network: 5e-4 of the largest value is 20 times the observed difference.
        np.testing.assert_allclose(tensor.reshape(-1)[index], samples, atol=5e-4 * np.abs(samples).max(), rtol=0, err_msg=stage)


def _tensors(opened: SceneModel) -> dict[str, Tensor]:
    """Intermediate tensors for the golden image, by the golden files' names."""
    network, tensors, hooks = opened.network, {}, []
    assert isinstance(network, AlignPS)

    def record(stage: str, module: torch.nn.Module, *, argument: bool = False) -> None:
        def store(_: torch.nn.Module, arguments: tuple[Tensor, ...], output: Tensor) -> None:
            tensors[stage] = (arguments[0] if argument else output).clone().contiguous()

        hooks.append(module.register_forward_hook(store))

    record("stem", network.backbone.maxpool)
    for level in (2, 3, 4, 5):
        record(f"C{level}", getattr(network.backbone, f"layer{level - 1}"))
    for number, lateral in enumerate(network.neck.lateral.values()):
        record(f"lateral{number}", lateral)
        record(f"lateral{number}_offset", lateral.conv_offset)
    p3 = network.neck.output["p3"]
    record("P3_concat_in", p3, argument=True)
    record("P3_offset", p3.conv_offset)
    record("P3", p3)
    for name, tower in (("cls", network.head.class_tower), ("reg", network.head.box_tower)):
        for depth, block in enumerate(tower):
            record(f"{name}_tower{depth}", block)
        record(f"{name}_tower3_offsetmask", tower[-1][0].conv_offset)
    if isinstance(network, ROIAlignPS):
        record("roi_align", network.roi, argument=True)
        record("roi_res5", network.roi.res5)
        record("roi_proj_C4", network.roi.embedding.projectors[0])
        record("roi_proj_res5", network.roi.embedding.projectors[1])
        record("roi_bbox_delta", network.roi.boxes)
    prepared = opened.prepare(picture())
    opened.detect([prepared])
    for hook in hooks:
        hook.remove()
    with torch.inference_mode():
        (maps,) = network(prepared.pixels[None])[1]
    tensors["cls_logit"], tensors["centerness_logit"] = maps.class_logits, maps.centerness_logits
    tensors["bbox_dist"], tensors["reid_map"] = maps.distances * maps.stride, maps.features
    return tensors

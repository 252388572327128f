"""One training step of the authors' code, frozen in tests/data, and the same step of our learners; all in float64."""

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from personsearch.boxes import Array
from personsearch.convert import alignps, names, seqnet
from personsearch.models.scene import SceneBatch
from personsearch.models.scene_input import PAD_TO, RGB_MEAN, RGB_STD
from personsearch.training.data.batches import TrainBatch
from personsearch.training.learners.base import Learner
from personsearch.training.learners.build import build_learner
from personsearch.training.losses.oim import OIMLoss
from personsearch.training.recipes.schema import Recipe
from tests.data.deterministic_weights import fill
from tests.data.synth_image import synth
from tests.helpers import alignps_golden, seqnet_golden

DATA = Path(__file__).parent.parent / "data"
EVERY = 10**6  # regions of an image: nothing is sampled away
SAMPLES = 64
LOSSES, GRADIENTS, MEMORIES = 1e-9, 1e-7, 1e-9  # a right port gives 5e-15, 7e-14 and 3e-15; the rest is room for other machines
PROPOSALS = {
    "rpn_head.rpn_conv.": "rpn.head.conv.0.0.",
    "rpn_head.rpn_cls.": "rpn.head.cls_logits.",
    "rpn_head.rpn_reg.": "rpn.head.bbox_pred.",
}
SCALED = {"rpn_head.rpn_cls.weight": 0.1, "rpn_head.rpn_reg.weight": 0.02, "mi_estimator.T_func.2.weight": 20.0}  # of ROI-AlignPS only


@dataclass(frozen=True)
class Step:
    """A learner after one step: forward, backward and memories."""

    learner: Learner
    losses: dict[str, float]
    gradients: dict[str, Tensor]  # by our names, in the network or the learner


@cache
def golden(family: str) -> dict[str, Array]:
    """The arrays of the authors' step."""
    with np.load(DATA / f"{family}_train.npz") as file:
        return {name: file[name] for name in file.files}


def seqnet_name(name: str) -> str:
    """Our name of a SeqNet tensor."""
    return "network." + names._rename(name, {**names.SHARED, **seqnet.RENAMED})


def alignps_name(name: str) -> str:
    """Our name of an AlignPS or ROI-AlignPS tensor."""
    if name.startswith("mi_estimator.T_func."):
        return "mutual.bound.statistic." + name.removeprefix("mi_estimator.T_func.")
    for theirs, ours in PROPOSALS.items():
        if name.startswith(theirs):
            return "network." + ours + name.removeprefix(theirs)
    return "network." + alignps._rename(name)


def step(monkeypatch: pytest.MonkeyPatch, family: str, recipe: Recipe, identities: int, *, detach: bool = True) -> Step:
    """Our step on the golden's pictures, people, weights and memories; without `detach` as if the learner never cut a gradient."""
    arrays = golden(family)
    rgb = family == "seqnet"
    learner = build_learner(recipe, identities)
    tensors = _weights(family)
    _load(learner, tensors, seqnet_name if rgb else alignps_name)
    for module, table, queue in _memories(learner, family):
        module.table.copy_(tensors[table])
        module.queue.copy_(tensors[queue])
        module.tail.fill_(498)
    learner.double().train()
    # The goldens are of float64 throughout, and so is our step; networks cast to float32 in places
    monkeypatch.setattr(torch.Tensor, "float", lambda tensor: tensor.double())
    batch = _batch(arrays, rgb=rgb)
    if not detach:
        monkeypatch.setattr(torch.Tensor, "detach", lambda tensor: tensor)
    losses = learner(batch)
    torch.stack(list(losses.values())).sum().backward()
    gradients = {name: one.grad for name, one in learner.named_parameters() if one.grad is not None}
    return Step(learner, {name: loss.item() for name, loss in losses.items()}, gradients)


def wrong_gradients(made: Step, family: str, named: Callable[[str], str], prefix: str = "") -> dict[str, float]:
    """The listed gradients that are off by more than `GRADIENTS` of their largest value, and by how much."""
    wrong = {}
    for key, expected in golden(family).items():
        if key.startswith(f"{prefix}grad_samp/"):
            gradient = made.gradients[named(key.removeprefix(f"{prefix}grad_samp/"))]
            off = float(np.abs(sampled(gradient) - expected).max() / np.abs(expected).max())
            if not off <= GRADIENTS:
                wrong[key] = off
    return wrong


def sampled(tensor: Tensor) -> Array:
    """64 values of a tensor, or all of a smaller one."""
    flat = tensor.detach().flatten()
    count = min(SAMPLES, len(flat))
    values: Array = flat[torch.arange(count) * len(flat) // count].numpy()
    return values


def _weights(family: str) -> Mapping[str, Tensor]:
    if family == "seqnet":
        return fill({key: torch.zeros(shape, dtype=dtype) for key, (shape, dtype) in seqnet_golden.shapes().items()}, "seqnet")
    tensors = dict(alignps_golden.checkpoint(family))
    for name, factor in SCALED.items() if family == "roi_alignps" else ():
        tensors[name] = tensors[name] * factor
    return tensors


def _load(learner: Learner, tensors: Mapping[str, Tensor], named: Callable[[str], str]) -> None:
    own: dict[str, Any] = dict(learner.state_dict(keep_vars=False))
    rows = names.PERSON_ROWS
    loaded = set()
    for key, tensor in tensors.items():
        name = named(key)
        if name in own and own[name].shape in (tensor.shape, tensor[-rows:].shape if tensor.ndim else None):
            own[name].copy_(tensor if own[name].shape == tensor.shape else tensor[-rows:])
            loaded.add(name)
    missing = {name for name, _ in learner.named_parameters()} - loaded
    assert not missing, f"not loaded: {sorted(missing)[:5]}"


def _memories(learner: Any, family: str) -> list[tuple[OIMLoss, str, str]]:
    if family == "seqnet":
        return [(learner.oim, "roi_heads.reid_loss.lut", "roi_heads.reid_loss.cq")]
    dense = (learner.oim, "bbox_head.labeled_matching_layer.lookup_table", "bbox_head.unlabeled_matching_layer.queue")
    if family == "alignps":
        return [dense]
    return [dense, (learner.roi_oim, "roi_head.bbox_head.loss_oim.lut", "roi_head.bbox_head.loss_oim.cq")]


def _batch(arrays: Mapping[str, Array], *, rgb: bool) -> TrainBatch:
    sizes, pixels = [], []
    for (height, width, seed), checksum in zip(arrays["pictures"].tolist(), arrays["crc32"].tolist(), strict=True):
        bgr = synth(height, width, seed)
        assert zlib.crc32(bgr.tobytes()) == checksum
        values = bgr.astype(np.float64)
        if rgb:
            values = (values[:, :, ::-1] / 255 - np.array(RGB_MEAN)) / np.array(RGB_STD)
        else:
            values -= np.array([103.53, 116.28, 123.675])
        sizes.append((height, width))
        pixels.append(torch.from_numpy(np.ascontiguousarray(values.transpose(2, 0, 1))))
    height, width = (-(-max(side) // PAD_TO) * PAD_TO for side in zip(*sizes, strict=True))
    batch = torch.zeros(len(pixels), 3, height, width, dtype=torch.float64)
    for image, one in enumerate(pixels):
        batch[image, :, : one.shape[1], : one.shape[2]] = one
    np.testing.assert_allclose(sampled(batch), arrays["pixels_samp"], atol=1e-12)
    count = range(len(sizes))
    boxes = [torch.from_numpy(arrays[f"boxes_{image}"]) for image in count]
    return TrainBatch(SceneBatch(batch, sizes, sizes), boxes, [torch.from_numpy(arrays[f"ids_{image}"]) for image in count])

"""The authors' GFN checkpoints, filled by the rule of tests/data, and what their own code makes of them."""

import atexit
import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
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
from personsearch.models.folder import load_strict
from personsearch.models.scene import SceneBatch, SceneDetections, SceneModel
from personsearch.models.seqnext import SeqNeXt, SeqNeXtConfig
from personsearch.weights import WEIGHTS_FILE, read_config, read_tensors
from tests.data.deterministic_weights_gfn_coat import canonical, value
from tests.helpers.seqnet_golden import DATA

BACKBONES = {"gfn_convnext_base": "convnext-base", "gfn_resnet50": "resnet50"}
# Below what a layer norm's eps of 1e-5 instead of 1e-6 moves (2e-3, 4e-5, 2e-5), above what threads and merged layers do
BOXES, SCORES, EMBEDDINGS = 2e-3, 2e-5, 1e-5
TIE = 1e-4  # scores closer than this may change places
SMALL = {"short_side": 288, "long_side": 480}


def shapes(family: str) -> dict[str, tuple[tuple[int, ...], torch.dtype]]:
    """Shape and type of each tensor of a checkpoint, by the authors' names: "gfn_convnext_base", "gfn_resnet50" or "coat"."""
    rows = [line.split("\t") for line in (DATA / f"{family}_keys.txt").read_text().splitlines()]
    return {key: (() if size == "scalar" else tuple(map(int, size.split("x"))), getattr(torch, dtype)) for key, size, dtype in rows}


def hollow(family: str) -> dict[str, Tensor]:
    """A checkpoint of zeros that takes no memory."""
    return {key: torch.zeros((), dtype=dtype).expand(shape) for key, (shape, dtype) in shapes(family).items()}


def filled(family: str) -> dict[str, Tensor]:
    """A checkpoint filled by the rule; aliases share the memory of what they repeat, as in a file of the authors."""
    once: dict[str, Tensor] = {}
    for key, (shape, dtype) in shapes(family).items():
        name = canonical(key, family)
        if name not in once:
            numbers = torch.from_numpy(value(key, shape, family)).reshape(shape) if dtype == torch.float32 else torch.zeros(shape)
            once[name] = numbers.to(dtype)
    return {key: once[canonical(key, family)] for key in shapes(family)}


@cache
def converted(family: str) -> Path:
    """The model folder of a filled checkpoint, made as of a downloaded file; it goes when the tests end."""
    home = tempfile.TemporaryDirectory()
    atexit.register(home.cleanup)
    file = Path(home.name) / "final_e30.pt"
    torch.save({"model": filled(family), "epoch": 30, "config": {"emb_dim": 2048, "gfn_mode": "combined"}}, file)
    folder = convert_checkpoint(file, Path(home.name) / family, source=family.split("_")[0])
    file.unlink()
    return folder


def network(family: str, **changes: Any) -> SeqNeXt:
    """The plain form of a converted model, with some of its config changed."""
    built = SeqNeXt(SeqNeXtConfig(**read_config(converted(family)) | changes))
    load_strict(built, read_tensors(converted(family) / WEIGHTS_FILE), source=family)
    return built.eval()


def opened(family: str, short_side: int, long_side: int) -> SceneModel:
    """A model as a user opens it, at another input size; a copy, which the caller may change."""
    return deepcopy(_opened(family, short_side, long_side))


@lru_cache(maxsize=1)
def _opened(family: str, short_side: int, long_side: int) -> SceneModel:
    with tempfile.TemporaryDirectory() as home:
        (Path(home) / WEIGHTS_FILE).symlink_to(converted(family) / WEIGHTS_FILE)
        config = read_config(converted(family)) | {"short_side": short_side, "long_side": long_side}
        (Path(home) / "config.json").write_text(json.dumps(config))
        model = open_folder(Path(home), "cpu")
    assert isinstance(model, SceneModel)
    return model


@dataclass(frozen=True)
class Pass:
    """What a network computes on the way to its people, the backbone and the first head once."""

    people: SceneDetections
    c4: Tensor
    proposals: Tensor
    first: Any  # the first head's people


@contextmanager
def one_pass(net: Any, batch: SceneBatch) -> Iterator[Pass]:
    """A detection with all that it computed; until the context ends, the network uses its map instead of computing it again."""
    seen = []
    find_first = net.find_first

    def spy(c4: Tensor, proposals: Tensor, frame: Tensor) -> Any:
        seen.append((c4, proposals, find_first(c4, proposals, frame)))
        return seen[-1][2]

    with torch.inference_mode(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(net, "find_first", spy)
        (people,) = net.detect(batch)
        patch.setattr(net, "forward", lambda pixels: seen[0][0])
        yield Pass(people, *seen[0])


def sampled(tensor: Tensor, count: int = 256) -> Array:
    """The values of a tensor that the golden files hold: at i * numel // count, in the usual order of memory."""
    flat = tensor.detach().contiguous().flatten()
    values: Array = np.asarray(flat[torch.arange(count) * len(flat) // count])
    return values


def assert_people(found: SceneDetections, batch: SceneBatch, expected: dict[str, Array]) -> Array:
    """The same people as the authors', whose boxes are in pixels of the resized image; returns which of `found` each of theirs is."""
    resized, original = (np.array([*size[::-1]] * 2) for size in (batch.resized[0], batch.original[0]))
    assert len(found.scores) == len(expected["scores"])
    distances = np.abs((found.boxes.numpy() * resized / original)[None] - expected["boxes"][:, None]).max(axis=2)
    order: Array = distances.argmin(axis=1)
    assert sorted(order.tolist()) == list(range(len(order)))
    assert distances.min(axis=1).max(initial=0) <= BOXES
    scores, embeddings = found.scores.numpy()[order], found.embeddings.numpy()[order]
    np.testing.assert_allclose(scores, expected["scores"], atol=SCORES, rtol=0)
    norms = expected["embedding_norms"][:, None]
    every = embeddings.shape[1] // expected["embeddings_samp64"].shape[1]
    np.testing.assert_allclose(embeddings[:, ::every], expected["embeddings_samp64"] / norms, atol=EMBEDDINGS, rtol=0)
    whole = len(expected["embeddings"])
    np.testing.assert_allclose(embeddings[:whole], expected["embeddings"] / norms[:whole], atol=EMBEDDINGS, rtol=0)
    apart = expected["scores"][:, None] - expected["scores"][None, :] > TIE
    assert (order[:, None] < order[None, :])[apart].all()
    return order


def assert_among(boxes: Tensor, expected: Array, bound: float) -> None:
    """Each expected box is there, wherever: proposals whose scores differ by rounding change places."""
    assert np.abs(boxes.numpy()[None] - expected[:, None]).max(axis=2).min(axis=1).max() <= bound

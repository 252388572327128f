"""What the tests of the small model's training share: a YOLOX-Nano with random weights, and trainings that break off."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest
import torch
from onnx import helper, numpy_helper
from torch import nn

from examples.nano import loop
from examples.nano.teacher import TeacherLevel
from personsearch.models.parts.csp_darknet import STRIDES, CSPDarknet
from personsearch.training.checkpoint import LOG_FILE, STATE_FILE
from tests.helpers.training_state import assert_same


class Interrupted(Exception):  # noqa: N818 - no error
    pass


def write_yolox(file: Path, *, spread: float = 1.0, seed: int = 0) -> nn.ModuleList:
    """An ONNX file of the convolutions, in order, which are all that is read of the true one; the parts that they are from.

    `spread` multiplies the weights.
    """
    torch.manual_seed(seed)
    backbone = CSPDarknet()
    parts = nn.ModuleList([backbone, *(TeacherLevel(*sizes) for sizes in zip(backbone.channels, STRIDES, strict=True))])
    nodes, arrays = [], []
    for number, part in enumerate(part for part in parts.modules() if isinstance(part, nn.Conv2d)):
        part.weight.data *= spread
        names = [f"w{number}", f"b{number}"]
        arrays += [
            numpy_helper.from_array(tensor.detach().numpy(), name) for tensor, name in zip((part.weight, part.bias), names, strict=True)
        ]
        nodes += [helper.make_node("Conv", ["x", *names], [f"y{number}"]), helper.make_node("Relu", [f"y{number}"], [f"z{number}"])]
    onnx.save(helper.make_model(helper.make_graph(nodes, "yolox", [], [], arrays)), str(file))
    return parts


def assert_goes_on(train: Callable[[Path], Any], folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two steps at once are those of a training that stops in the second one and goes on; the folder of the former.

    Args:
        train: trains for two steps in a folder, with a state after each.
        folder: for both.
        monkeypatch: stops the training.
    """
    follow = loop.follow
    whole, parts, calls = folder / "whole", folder / "parts", []

    def stop(*args: Any) -> None:
        calls.append(1)
        if len(calls) == 2:
            raise Interrupted
        follow(*args)

    mean = train(whole)
    with monkeypatch.context() as patch:
        patch.setattr(loop, "follow", stop)
        with pytest.raises(Interrupted):
            train(parts)
    first = torch.load(parts / STATE_FILE, weights_only=True)
    assert first["step"] == 1
    train(parts)
    last = torch.load(whole / STATE_FILE, weights_only=True)
    assert_same(last, torch.load(parts / STATE_FILE, weights_only=True))
    assert_same(dict(mean.state_dict()), dict(last["mean"]))
    assert [json.loads(line)["step"] for line in (parts / LOG_FILE).read_text().splitlines()] == [1, 2]
    assert any(not torch.equal(tensor, last["mean"][key]) for key, tensor in first["mean"].items())  # the second did something
    return whole

"""The taps of deformable layers are where the layers sample."""

from typing import Any

import numpy as np
import torch

from personsearch.evaluation.pictures import draw_taps
from personsearch.models.alignps import AlignPS, AlignPSConfig
from personsearch.models.folder import scene_model
from personsearch.models.taps import taps_at
from tests.helpers.fakes import RectangleModel

SIZE = {"short_side": 64, "long_side": 64, "channels": 8, "backbone": {"name": "resnet18", "width": 0.125}}
IMAGE = np.zeros((64, 64, 3), np.uint8)
BOX = np.array([16, 16, 24, 24], np.float32)  # centre 20, 20: cell 2, 2 of stride 8


def model(offset: float) -> Any:
    """AlignPS whose lateral convolution of level 3 moves all taps down and to the right by so many cells."""
    config = AlignPSConfig.model_validate(SIZE)
    network = AlignPS(config)
    lateral: Any = network.neck.lateral["c3"]
    torch.nn.init.constant_(lateral.conv_offset.bias, offset)
    return scene_model(network.eval(), config, "0" * 64, "cpu")


def test_taps_without_offsets_are_the_cells_around() -> None:
    taps = {layer.layer: layer.points for layer in taps_at(model(0.0), IMAGE, BOX)}
    assert set(taps) == {"neck.lateral.c3", "neck.lateral.c4", "neck.lateral.c5", "neck.output.p3"}
    expected = [[x, y] for y in (12, 20, 28) for x in (12, 20, 28)]
    np.testing.assert_allclose(taps["neck.lateral.c3"], expected)
    np.testing.assert_allclose(taps["neck.lateral.c4"][4], [24, 24])  # the centre of cell 1, 1 of stride 16


def test_taps_follow_their_offsets() -> None:
    moved = {layer.layer: layer.points for layer in taps_at(model(1.5), IMAGE, BOX)}
    np.testing.assert_allclose(moved["neck.lateral.c3"][4], [32, 32])  # 20 and one and a half cells of 8 pixels
    drawn = draw_taps(model(1.5), IMAGE, BOX)
    assert drawn is not None
    assert drawn.getpixel((32, 32)) != (0, 0, 0)
    assert draw_taps(RectangleModel(), IMAGE, BOX) is None

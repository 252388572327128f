"""YOLOX-Nano, which taught the bundled model's first detectors: its score and box of every cell, at any input size.

The tests compare `CSPDarknet` with it; no training of today reads it.

Source: YOLOX (arXiv 2107.08430); Megvii-BaseDetection/YOLOX (`YOLOXHead`, depthwise, width 0.25).
"""

from pathlib import Path

import torch
from torch import Tensor, nn

from personsearch.errors import MissingExtraError, WeightsError
from personsearch.models.nano.detector import CellPredictions, cell_boxes
from personsearch.models.parts.csp_darknet import STRIDES, Conv, CSPDarknet, DepthwiseConv

CLASSES = 80  # of COCO; the first is person
CHANNELS = 64
WANTED = "YOLOX-Nano as Megvii-BaseDetection/YOLOX exports it to ONNX, batch norms merged"


class TeacherLevel(nn.Module):
    """Classes, box and objectness of one level. The order of the layers is that of the ONNX file."""

    def __init__(self, inputs: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.stem = Conv(inputs, CHANNELS)
        self.class_tower = nn.Sequential(DepthwiseConv(CHANNELS, CHANNELS), DepthwiseConv(CHANNELS, CHANNELS))
        self.classes = nn.Conv2d(CHANNELS, CLASSES, 1)
        self.box_tower = nn.Sequential(DepthwiseConv(CHANNELS, CHANNELS), DepthwiseConv(CHANNELS, CHANNELS))
        self.box = nn.Conv2d(CHANNELS, 4, 1)
        self.objectness = nn.Conv2d(CHANNELS, 1, 1)

    def forward(self, maps: Tensor) -> tuple[Tensor, Tensor]:
        """(B, P) scores 0..1 of being a person, and (B, P, 4) boxes."""
        x = self.stem(maps)
        boxes = self.box_tower(x)
        person = self.classes(self.class_tower(x))[:, 0].sigmoid() * self.objectness(boxes)[:, 0].sigmoid()
        return person.flatten(1), cell_boxes(self.box(boxes), self.stride)


class Teacher(nn.Module):
    """The whole network. Its `CellPredictions` hold logits of its scores.

    Args:
        file: ONNX file, whose convolutions are in the order of ours.

    Raises:
        WeightsError: the file is missing, is not ONNX, or is another network's.
        MissingExtraError: onnx is not installed.
    """

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.backbone = CSPDarknet()
        self.levels = nn.ModuleList(TeacherLevel(inputs, stride) for inputs, stride in zip(self.backbone.channels, STRIDES, strict=True))
        load_convolutions(self, file)
        self.eval().requires_grad_(False)

    def forward(self, pixels: Tensor) -> CellPredictions:
        """All cells of (B, 3, H, W) pixels, BGR 0..255."""
        return self.of_maps(self.backbone(pixels))

    def of_maps(self, maps: list[Tensor]) -> CellPredictions:
        """All cells of the backbone's three maps."""
        scores, boxes = zip(*(level(one) for level, one in zip(self.levels, maps, strict=True)), strict=True)
        return CellPredictions(torch.cat(scores, dim=1).logit(eps=1e-6), torch.cat(boxes, dim=1))


def load_convolutions(network: nn.Module, file: Path) -> None:
    """Copy all convolutions of an ONNX file into those of a network, in order.

    Raises:
        WeightsError: the file is missing, is not ONNX, or has other convolutions.
        MissingExtraError: onnx is not installed.
    """
    try:
        import onnx  # only here: whoever uses the library needs none
        from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
        from onnx import numpy_helper
    except ModuleNotFoundError as error:
        raise MissingExtraError("onnx is not installed; run: pip install 'personsearch[export]'") from error
    if not file.is_file():
        raise WeightsError(f"{file} is not a file; it should be {WANTED}")
    try:
        graph = onnx.load(str(file)).graph
    except DecodeError as error:
        raise WeightsError(f"{file} is not an ONNX file ({error}); it should be {WANTED}") from error
    arrays = {one.name: numpy_helper.to_array(one) for one in graph.initializer}
    theirs = [[arrays[name] for name in node.input[1:]] for node in graph.node if node.op_type == "Conv"]
    ours = [part for part in network.modules() if isinstance(part, nn.Conv2d)]
    if [[array.shape for array in pair] for pair in theirs] != [[tuple(part.weight.shape), (part.out_channels,)] for part in ours]:
        raise WeightsError(f"{file} has other convolutions ({len(theirs)}, not {len(ours)}, or of other sizes); it should be {WANTED}")
    with torch.no_grad():
        for part, (weight, bias) in zip(ours, theirs, strict=True):
            part.weight.copy_(torch.from_numpy(weight.copy()))
            part.bias.copy_(torch.from_numpy(bias.copy()))  # type: ignore[union-attr]  # all have one here

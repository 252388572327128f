"""Networks of a few nodes in ONNX files, whose results can be computed by hand."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from personsearch.boxes import Array

Shape = Sequence[int | str | None]
SIZE = 64  # input of the tiny YOLOX
ROWS = 8 * 8 + 4 * 4 + 2 * 2  # its output rows: cells of strides 8, 16, 32

# cell (1, 0) of stride 16: centre ((1 + .5) x 16, (0 + .5) x 16) = (24, 8), 16 wide, 32 high; classes 0.8 and 0.3
PERSON = {65: (0.5, 0.5, 0, math.log(2), 1.0, 0.8, 0.3)}


def save(
    path: Path, nodes: list[onnx.NodeProto], tensors: dict[str, Array], input_shape: Shape, output_shape: Shape, **options: bool | int | str
) -> Path:
    """A graph from "images" to "output" as a file; `options` go to onnx.save."""
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, input_shape)],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, output_shape)],
        [numpy_helper.from_array(tensor, name) for name, tensor in tensors.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(model)
    onnx.save(model, str(path), **options)
    return path


def yolox(path: Path, rows: dict[int, Sequence[float]], *, batch: int | str = 1, size: Shape = (SIZE, SIZE), classes: int = 2) -> Path:
    """A YOLOX whose output rows are `rows` (number -> x, y, log w, log h, objectness, classes...), all others zeros.

    A row's objectness is multiplied by the mean of the input's first channel over 255.
    """
    plain = np.zeros((1, ROWS, 5 + classes), np.float32)
    for number, values in rows.items():
        plain[0, number] = values
    objectness = np.zeros_like(plain)
    objectness[..., 4] = plain[..., 4]
    plain[..., 4] = 0
    tensors = {"plain": plain, "objectness": objectness, "axes": np.array([1, 2, 3]), "first": np.array([0]), "full": np.float32([255])}
    nodes = [
        helper.make_node("Gather", ["images", "first"], ["channel"], axis=1),
        helper.make_node("ReduceMean", ["channel", "axes"], ["mean4"]),
        helper.make_node("Squeeze", ["mean4", "first1"], ["mean"]),
        helper.make_node("Div", ["mean", "full"], ["level"]),
        helper.make_node("Mul", ["objectness", "level"], ["lit"]),
        helper.make_node("Add", ["plain", "lit"], ["output"]),
    ]
    tensors["first1"] = np.array([1])
    return save(path, nodes, tensors, (batch, 3, *size), (batch, ROWS, 5 + classes))


def reid(path: Path, *, layout: str = "nchw", batch: int | str = 1, size: Shape = (8, 4), **options: bool | int | str) -> Path:
    """A re-identification network whose feature is the crop's mean, channel by channel, after its preprocessing."""
    shape = (batch, 3, *size) if layout == "nchw" else (batch, *size, 3)
    axes = np.array([2, 3] if layout == "nchw" else [1, 2])
    weight = np.eye(3, dtype=np.float32)  # a weight that can be stored outside the file
    nodes = [
        helper.make_node("ReduceMean", ["images", "axes"], ["mean"], keepdims=0),
        helper.make_node("MatMul", ["mean", "weight"], ["output"]),
    ]
    return save(path, nodes, {"axes": axes, "weight": weight}, shape, (batch, 3), **options)


def reid_with_external_weights(folder: Path) -> Path:
    """`reid.onnx`, whose weight is in the file `reid.onnx.data` beside it."""
    options = {"save_as_external_data": True, "all_tensors_to_one_file": True}
    return reid(folder / "reid.onnx", **options, location="reid.onnx.data", size_threshold=60)  # the weight, not the axes


def exported(file: Path) -> Path:
    """A file with the ports of an exported network: one person in the top left, whose row is the picture's mean colour."""

    def constant(name: str, values: Array) -> onnx.TensorProto:
        return numpy_helper.from_array(values, name)

    nodes = [
        helper.make_node("ReduceMean", ["pixels", "axes"], ["rows"], keepdims=0),
        helper.make_node("LpNormalization", ["rows"], ["embeddings"], axis=1, p=2),
        helper.make_node("Identity", ["box"], ["boxes"]),
        helper.make_node("Identity", ["score"], ["scores"]),
        helper.make_node("Shape", ["wanted"], ["shape"]),
        helper.make_node("Gather", ["shape", "zero"], ["count"]),
        helper.make_node("Concat", ["count", "one"], ["repeats"], axis=0),
        helper.make_node("Tile", ["embeddings", "repeats"], ["wanted_embeddings"]),
    ]
    values = [
        constant("axes", np.array([2, 3])),
        constant("box", np.array([[0, 0, 20, 50]], np.float32)),
        constant("score", np.array([0.9], np.float32)),
        constant("zero", np.array([0])),
        constant("one", np.array([1])),
    ]
    inputs = {"pixels": [1, 3, "h", "w"], "resized": [2], "original": [2], "wanted": ["m", 4]}
    outputs = {"boxes": [1, 4], "scores": [1], "embeddings": [1, 3], "wanted_embeddings": ["m", 3]}
    ports = [
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in group.items()] for group in (inputs, outputs)
    ]
    model = helper.make_model(
        helper.make_graph(nodes, "exported", *ports, values), opset_imports=[helper.make_opsetid("", 18)], ir_version=8
    )
    entry = model.metadata_props.add()
    entry.key = "personsearch"
    entry.value = '{"config": {"architecture": "seqnet", "name": "tiny", "short_side": 64, "long_side": 96}, "embedding_dim": 3}'
    onnx.save(model, str(file))
    return file

"""Networks of a few nodes as OpenVINO IR files: what they compute can be worked out by hand."""

from pathlib import Path
from typing import Any

import numpy as np
import openvino
from openvino import opset13 as ops

from personsearch.boxes import Array


def reid(path: Path, size: tuple[int, int] = (8, 4)) -> Path:
    """A re-identification network whose feature is the crop's mean, channel by channel."""
    crops = ops.parameter([1, 3, *size], np.float32, name="data")
    return _save(path, crops, [ops.reduce_mean(crops, np.array([2, 3]), keep_dims=False)])


def detector(path: Path, boxes: Array, labels: Array, size: tuple[int, int] = (32, 64)) -> Path:
    """A detector with the outputs boxes (N, 5), whose scores are multiplied by the picture's mean over 255, and labels (N,)."""
    picture, level = _picture(size)
    factors = ops.concat([ops.constant(np.ones((1, 4), np.float32)), level], axis=1)
    rows = ops.multiply(ops.constant(boxes.astype(np.float32)), factors)
    return _save(path, picture, [rows, ops.constant(labels.astype(np.int64))])


def ssd(path: Path, rows: Array, size: tuple[int, int] = (32, 64)) -> Path:
    """A detector with one output (1, 1, N, 7), whose scores are multiplied by the picture's mean over 255."""
    picture, level = _picture(size)
    ones = np.ones((1, 1), np.float32)
    factors = ops.concat([ops.constant(ones.repeat(2, 1)), level, ops.constant(ones.repeat(4, 1))], axis=1)
    table = ops.multiply(ops.constant(rows.astype(np.float32)), factors)
    return _save(path, picture, [ops.reshape(table, np.array([1, 1, *rows.shape]), special_zero=False)])


def _picture(size: tuple[int, int]) -> tuple[Any, Any]:
    """The input, and (1, 1): its mean over 255."""
    picture = ops.parameter([1, 3, *size], np.float32, name="image")
    mean = ops.reduce_mean(picture, np.array([2, 3]), keep_dims=False)
    return picture, ops.divide(ops.reduce_mean(mean, np.array([1]), keep_dims=True), np.float32(255))


def _save(path: Path, picture: Any, outputs: list[Any]) -> Path:
    openvino.save_model(openvino.Model(outputs, [picture], "tiny"), path, compress_to_fp16=False)
    return path

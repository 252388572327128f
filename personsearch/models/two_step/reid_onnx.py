"""A re-identification network in an ONNX or OpenVINO IR file as the embedder of a two-step model."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field, PositiveFloat

from personsearch.boxes import Array
from personsearch.errors import ConfigError, WeightsError
from personsearch.images import opencv
from personsearch.models.onnx_device import open_onnx
from personsearch.models.parts.letterbox import INTERPOLATION
from personsearch.models.two_step.onnx_input import input_size
from personsearch.models.two_step.openvino_session import OPENVINO_SUFFIX, OpenVinoSession, openvino_files
from personsearch.onnx_session import ROWS_AT_ONCE, OnnxSession
from personsearch.options import Settings, Side
from personsearch.weights import external_files, fingerprint

cv2 = opencv()


class ReidOptions(Settings):
    """The input that the network expects; the defaults are torchreid's (OSNet and others): RGB, ImageNet mean and deviation.

    An input value is (pixel * scale - mean) / std, channel by channel.
    """

    layout: Literal["nchw", "nhwc"] = "nchw"
    channels: Literal["rgb", "bgr"] = "rgb"
    scale: float = Field(default=1 / 255, gt=0)  # 1 for networks that take 0..255
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)  # in the order of `channels`
    std: tuple[PositiveFloat, PositiveFloat, PositiveFloat] = (0.229, 0.224, 0.225)
    size: tuple[Side, Side] | None = None  # (height, width) of the input, if the file takes any size


class OpenVinoReidOptions(ReidOptions):
    """The input of the Open Model Zoo's re-identification networks: BGR 0..255."""

    channels: Literal["rgb", "bgr"] = "bgr"
    scale: float = Field(default=1.0, gt=0)
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[PositiveFloat, PositiveFloat, PositiveFloat] = (1.0, 1.0, 1.0)


class ReidEmbedder:
    """Embeds crops of people with a re-identification network.

    Args:
        file: ONNX file, or .xml file of an OpenVINO network, with one input of crops and the first output (B, D).
        options: Layout, colours, scale and size of the input; by default those of the kind of file.
        device: Where it runs: "auto", "cpu", "cuda" or "cuda:1".
        threads: CPU threads of a run; None: one for each core.

    Attributes:
        embedding_dim: D, the length of a feature.

    Raises:
        WeightsError: the file is missing, is damaged, or is not a re-identification network.
        MissingExtraError: an OpenVINO network, and openvino is not installed.
        ConfigError: an option does not fit the file.
        DeviceError: the machine does not have this device.
    """

    def __init__(self, file: Path, options: ReidOptions | None = None, *, device: str = "cpu", threads: int | None = None) -> None:
        is_openvino = file.suffix == OPENVINO_SUFFIX
        self.options = options or (OpenVinoReidOptions() if is_openvino else ReidOptions())
        self._session = OpenVinoSession(file, device=device, threads=threads) if is_openvino else open_onnx(file, device, threads=threads)
        self._size = _input_size(self._session, self.options)
        std = np.array(self.options.std)
        self._factor = (self.options.scale / std).astype(np.float32)
        self._offset = (-np.array(self.options.mean) / std).astype(np.float32)
        self.embedding_dim = self._measure_dim()
        kind, files = ("reid-openvino", openvino_files(file)) if is_openvino else ("reid-onnx", [file, *external_files(file)])
        self.fingerprint = fingerprint({"kind": kind, **self.options.model_dump()}, files)

    def embed(self, crops: Sequence[Array]) -> Array:
        """(N, D) float32 features, of any length, for N crops, RGB uint8 (h, w, 3); N may be 0."""
        features = [np.zeros((0, self.embedding_dim), np.float32)]
        for start in range(0, len(crops), ROWS_AT_ONCE):
            rows = self._session.run_rows([self._pixels(crop) for crop in crops[start : start + ROWS_AT_ONCE]])
            features.append(rows.reshape(len(rows), -1).astype(np.float32))
        return np.concatenate(features)

    def _pixels(self, crop: Array) -> Array:
        """The network's input for one crop, float32, without the batch axis."""
        height, width = self._size
        planes = cv2.split(cv2.resize(crop, (width, height), interpolation=INTERPOLATION))
        pixels = np.empty((3, height, width), np.float32)
        for channel, plane in enumerate(planes if self.options.channels == "rgb" else planes[::-1]):
            np.multiply(plane, self._factor[channel], out=pixels[channel])
            pixels[channel] += self._offset[channel]
        return pixels if self.options.layout == "nchw" else np.ascontiguousarray(pixels.transpose(1, 2, 0))

    def _measure_dim(self) -> int:
        """D, from a run on a grey crop, so that a wrong file is refused when it is opened."""
        grey = np.full((*self._size, 3), 128, np.uint8)
        shape = self._session.run_rows([self._pixels(grey)]).shape
        if len(shape) < 2 or shape[0] != 1 or set(shape[2:]) - {1}:
            raise WeightsError(
                f"{self._session.path} is not a re-identification network: one crop should give (1, D), got {shape}; "
                "pass the file of a network with one feature per crop"
            )
        return int(shape[1])


def _input_size(session: OnnxSession | OpenVinoSession, options: ReidOptions) -> tuple[int, int]:
    """(height, width) of the network's input, from the file or else the options."""
    shapes = [port.shape for port in session.inputs]
    if len(shapes) != 1 or len(shapes[0]) != 4:
        raise WeightsError(f"{session.path} is not a re-identification network: it needs one input with four axes, got {shapes}")
    _, first, second, third = shapes[0]
    channels, declared = (first, (second, third)) if options.layout == "nchw" else (third, (first, second))
    if channels not in (3, None):
        raise ConfigError(f'layout is "{options.layout}", but {session.path} takes {shapes[0]}; set layout to the one with 3 channels')
    return input_size(session.path, declared, options.size)

"""A re-identification network in an ONNX file as the embedder of two steps."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from pydantic import Field, PositiveFloat, PositiveInt

from personsearch.boxes import Array
from personsearch.errors import ConfigError, WeightsError
from personsearch.models.device import open_onnx
from personsearch.models.parts.letterbox import INTERPOLATION
from personsearch.onnx_session import ROWS_AT_ONCE, OnnxSession, external_files
from personsearch.options import Settings
from personsearch.weights import fingerprint


class ReidOptions(Settings):
    """What the network expects; the defaults are torchreid's (OSNet and others): RGB, ImageNet mean and deviation.

    An input value is (pixel * scale - mean) / std, channel by channel.
    """

    layout: Literal["nchw", "nhwc"] = "nchw"
    channels: Literal["rgb", "bgr"] = "rgb"
    scale: float = Field(default=1 / 255, gt=0)  # 1 for networks that take 0..255
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)  # in the order of `channels`
    std: tuple[PositiveFloat, PositiveFloat, PositiveFloat] = (0.229, 0.224, 0.225)
    size: tuple[PositiveInt, PositiveInt] | None = None  # (height, width) of the input, where the file leaves it open


class ReidEmbedder:
    """Features of crops of people, by a re-identification network.

    Args:
        file: one input of crops; first output (B, D).
        options: layout, colours, scale, size.
        device: "auto", "cpu", "cuda" or "cuda:1".
        threads: CPU threads of a run; None: as many as there are cores.

    Attributes:
        embedding_dim: D.

    Raises:
        WeightsError: the file is missing, is not ONNX, or is no re-identification network.
        ConfigError: an option does not fit the file.
        DeviceError: the device is not there.
    """

    def __init__(self, file: Path, options: ReidOptions | None = None, *, device: str = "cpu", threads: int | None = None) -> None:
        self.options = options or ReidOptions()
        self._session = open_onnx(file, device, threads=threads)
        self._size = _input_size(self._session, self.options)
        std = np.array(self.options.std)
        self._factor = (self.options.scale / std).astype(np.float32)
        self._offset = (-np.array(self.options.mean) / std).astype(np.float32)
        self.embedding_dim = self._measure_dim()
        self.fingerprint = fingerprint({"kind": "reid-onnx", **self.options.model_dump()}, [file, *external_files(file)])

    def embed(self, crops: Sequence[Array]) -> Array:
        """(N, D) float32 features, of any length, for N crops, RGB uint8 (h, w, 3); N may be 0."""
        parts = [np.zeros((0, self.embedding_dim), np.float32)]
        for start in range(0, len(crops), ROWS_AT_ONCE):
            rows = self._session.run_rows([self._pixels(crop) for crop in crops[start : start + ROWS_AT_ONCE]])
            parts.append(rows.reshape(len(rows), -1).astype(np.float32))
        return np.concatenate(parts)

    def _pixels(self, crop: Array) -> Array:
        """A crop as the network takes it, without the batch, float32."""
        height, width = self._size
        planes = cv2.split(cv2.resize(crop, (width, height), interpolation=INTERPOLATION))
        pixels = np.empty((3, height, width), np.float32)
        for channel, plane in enumerate(planes if self.options.channels == "rgb" else planes[::-1]):
            np.multiply(plane, self._factor[channel], out=pixels[channel])
            pixels[channel] += self._offset[channel]
        return pixels if self.options.layout == "nchw" else np.ascontiguousarray(pixels.transpose(1, 2, 0))

    def _measure_dim(self) -> int:
        """D, by a run on a grey crop, so that a file that is no re-identification network is refused now."""
        grey = np.full((*self._size, 3), 128, np.uint8)
        shape = self._session.run_rows([self._pixels(grey)]).shape
        if len(shape) < 2 or shape[0] != 1 or set(shape[2:]) - {1}:
            raise WeightsError(
                f"{self._session.path} is no re-identification network: one crop should give (1, D), got {shape}; "
                "pass the ONNX file of a network that ends in one feature a crop"
            )
        return int(shape[1])


def _input_size(session: OnnxSession, options: ReidOptions) -> tuple[int, int]:
    """(height, width) of the network's input, by its file or else the options."""
    shapes = [port.shape for port in session.inputs]
    if len(shapes) != 1 or len(shapes[0]) != 4:
        raise WeightsError(f"{session.path} is no re-identification network: it should take one input of four axes, it takes {shapes}")
    _, first, second, third = shapes[0]
    channels, declared = (first, (second, third)) if options.layout == "nchw" else (third, (first, second))
    if channels not in (3, None):
        raise ConfigError(f'layout is "{options.layout}", but {session.path} takes {shapes[0]}; channels must be 3')
    height, width = (fixed or asked for fixed, asked in zip(declared, options.size or (None, None), strict=True))
    if height is None or width is None:
        raise ConfigError(f"size: {session.path} takes inputs of any size, so the options must say (height, width)")
    if options.size not in (None, (height, width)):
        raise ConfigError(f"size is {options.size}, but {session.path} takes {declared}; leave it out")
    return height, width

"""A YOLOX network in an ONNX file as the detector of two steps.

Source: YOLOX, arXiv 2107.08430; input, decoding and thresholds as Megvii-BaseDetection/YOLOX demo/ONNXRuntime has them,
but for the letterbox's scale (exact for each axis here, one rounded ratio there) and the overlap for suppression (0.45 there).
"""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from pydantic import Field, PositiveInt
from torchvision.ops import nms

from personsearch.boxes import Array
from personsearch.errors import ConfigError, WeightsError
from personsearch.models.device import open_onnx
from personsearch.models.parts.letterbox import View, letterbox, tile_regions
from personsearch.onnx_session import OnnxSession, external_files
from personsearch.options import Settings
from personsearch.weights import fingerprint

STRIDES = (8, 16, 32)
BOX_COLUMNS = 5  # of an output row: x, y, log width, log height, objectness; the classes follow


class YoloxOptions(Settings):
    """How a YOLOX file is used."""

    person_class: int = Field(default=0, ge=0)  # 0 in COCO
    score_threshold: float = Field(default=0.1, ge=0, le=1)  # of objectness x class; who is below is not embedded either
    nms_iou: float = Field(default=0.5, ge=0, le=1)
    tiles: tuple[PositiveInt, PositiveInt] | None = None  # look at (rows, columns) overlapping tiles too: small people, more time
    size: tuple[PositiveInt, PositiveInt] | None = None  # (height, width) of the input, where the file leaves it open


class YoloxDetector:
    """People of an image, by a YOLOX file as its authors export it: sigmoids inside, boxes not decoded.

    Args:
        file: one input (B, 3, S_h, S_w), BGR 0..255; first output (B, A, 5 + classes).
        options: thresholds and tiles.
        device: "auto", "cpu", "cuda" or "cuda:1".
        threads: CPU threads of a run; None: as many as there are cores.

    Raises:
        WeightsError: the file is missing, is not ONNX, or is no YOLOX detector.
        ConfigError: an option does not fit the file.
        DeviceError: the device is not there.
    """

    def __init__(self, file: Path, options: YoloxOptions | None = None, *, device: str = "cpu", threads: int | None = None) -> None:
        self.options = options or YoloxOptions()
        self._session = open_onnx(file, device, threads=threads)
        self._size = _input_size(self._session, self.options)
        self._grid = _grid(self._size)
        self._check_output()
        self.fingerprint = fingerprint({"kind": "yolox-onnx", **self.options.model_dump()}, [file, *external_files(file)])

    def prepare(self, image: Array) -> list[View]:
        """The whole of an RGB uint8 image (H, W, 3), and its tiles if asked for."""
        height, width = image.shape[:2]
        regions = [(0, 0, width, height)]
        if self.options.tiles is not None:
            regions += tile_regions(height, width, *self.options.tiles)
        return [letterbox(image, region, self._size) for region in regions]

    def detect(self, prepared: Sequence[list[View]]) -> list[tuple[Array, Array]]:
        """For each image boxes (N, 4) float32, xyxy original pixels, and scores (N,) float32, best first."""
        if not prepared:
            return []
        rows = iter(self._session.run_rows([_pixels(view.canvas) for views in prepared for view in views]))
        return [self._merge([self._people(view, next(rows)) for view in views]) for views in prepared]

    def _people(self, view: View, rows: Array) -> tuple[Array, Array]:
        """Boxes in original pixels and scores of what one view shows, before suppression.

        Args:
            view: where the rows are from.
            rows: (A, 5 + classes), the network's output.
        """
        scores = rows[:, BOX_COLUMNS - 1] * rows[:, BOX_COLUMNS + self.options.person_class]
        keep = scores >= self.options.score_threshold
        rows, scores, grid = rows[keep].astype(np.float32), scores[keep].astype(np.float32), self._grid[keep]
        centre = (rows[:, :2] + grid[:, :2]) * grid[:, 2:]
        half = np.exp(rows[:, 2:4]) * grid[:, 2:] / 2
        boxes_view = np.concatenate([centre - half, centre + half], axis=1)
        whole = ~view.is_cut(boxes_view)
        return view.to_image(boxes_view[whole]), scores[whole]

    def _merge(self, found: list[tuple[Array, Array]]) -> tuple[Array, Array]:
        """What all views of an image show, each person once."""
        boxes, scores = (np.concatenate(parts) for parts in zip(*found, strict=True))
        kept = nms(torch.from_numpy(boxes), torch.from_numpy(scores), self.options.nms_iou).numpy()
        return boxes[kept], scores[kept]

    def _check_output(self) -> None:
        """Run on a grey image once, so that a file that is no detector is refused now and not in a search."""
        session, (height, width) = self._session, self._size
        blank = np.full((3, height, width), 114, np.float32)
        output = session.run_rows([blank])
        fits = output.ndim == 3 and output.shape[1] == len(self._grid) and output.shape[2] > BOX_COLUMNS
        if not fits:
            raise WeightsError(
                f"{session.path} is no YOLOX detector: an input of {height} x {width} should give (1, {len(self._grid)}, "
                f"5 + classes), got {output.shape}; pass the ONNX file of a YOLOX network, exported without decoding"
            )
        scores = output[..., BOX_COLUMNS - 1 :]
        if not ((scores >= 0) & (scores <= 1)).all():
            raise WeightsError(
                f"{session.path} is no YOLOX detector: its scores are {scores.min():g}..{scores.max():g}, not 0..1; "
                "export the network with its sigmoids"
            )
        classes = output.shape[2] - BOX_COLUMNS
        if self.options.person_class >= classes:
            raise ConfigError(f"person_class is {self.options.person_class}, but {session.path} has {classes} classes, counted from 0")


def _input_size(session: OnnxSession, options: YoloxOptions) -> tuple[int, int]:
    """(height, width) of the network's input, by its file or else the options."""
    shapes = [port.shape for port in session.inputs]
    if len(shapes) != 1 or len(shapes[0]) != 4 or shapes[0][1] not in (3, None):
        raise WeightsError(f"{session.path} is no YOLOX detector: it should take one input (B, 3, H, W), it takes {shapes}")
    declared = shapes[0][2:]
    if any(side is not None and side % STRIDES[-1] for side in declared):
        raise WeightsError(f"{session.path} is no YOLOX detector: its input {declared} should be multiples of {STRIDES[-1]}")
    height, width = (fixed or asked for fixed, asked in zip(declared, options.size or (None, None), strict=True))
    if height is None or width is None:
        raise ConfigError(f"size: {session.path} takes inputs of any size, so the options must say (height, width)")
    if options.size not in (None, (height, width)):
        raise ConfigError(f"size is {options.size}, but {session.path} takes {declared}; leave it out")
    if height % STRIDES[-1] or width % STRIDES[-1]:
        raise ConfigError(f"size is {options.size}; height and width must be multiples of {STRIDES[-1]}")
    return height, width


def _grid(size: tuple[int, int]) -> Array:
    """(A, 3) float32: cell x, cell y and stride of each output row."""
    parts = []
    for stride in STRIDES:
        y, x = np.mgrid[: size[0] // stride, : size[1] // stride]
        parts.append(np.stack([x, y, np.full_like(x, stride)], axis=-1).reshape(-1, 3))
    return np.concatenate(parts).astype(np.float32)


def _pixels(canvas: Array) -> Array:
    """(3, H, W) float32 BGR 0..255 of an RGB uint8 canvas (H, W, 3)."""
    pixels = np.empty((3, *canvas.shape[:2]), np.float32)
    for channel, plane in enumerate(cv2.split(canvas)):
        pixels[2 - channel] = plane
    return pixels

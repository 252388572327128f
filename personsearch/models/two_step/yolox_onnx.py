"""A YOLOX network in an ONNX file as the detector of a two-step model.

Source: YOLOX, arXiv 2107.08430; input, decoding and thresholds as in Megvii-BaseDetection/YOLOX demo/ONNXRuntime,
except for the letterbox's scale (exact for each axis here, one rounded ratio there) and the NMS overlap (0.45 there).
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from pydantic import Field

from personsearch.boxes import Array, suppress
from personsearch.errors import ConfigError, WeightsError
from personsearch.images import opencv
from personsearch.models.onnx_device import open_onnx
from personsearch.models.parts.letterbox import View, letterbox, tile_regions
from personsearch.models.two_step.onnx_input import input_size
from personsearch.onnx_session import OnnxSession
from personsearch.options import Settings, Side, Tiles
from personsearch.weights import external_files, fingerprint

cv2 = opencv()

STRIDES = (8, 16, 32)
BOX_COLUMNS = 5  # of an output row: x, y, log width, log height, objectness; then the classes


class YoloxOptions(Settings):
    """Class, thresholds and views of a YOLOX detector."""

    person_class: int = Field(default=0, ge=0)  # 0 in COCO
    score_threshold: float = Field(default=0.1, ge=0, le=1)  # of objectness x class; people below it are not embedded
    nms_iou: float = Field(default=0.5, ge=0, le=1)
    tiles: tuple[Tiles, Tiles] | None = None  # (rows, columns) of overlapping tiles to search too: finds smaller people, takes longer
    size: tuple[Side, Side] | None = None  # (height, width) of the input, if the file takes any size


class YoloxDetector:
    """Detects people with a YOLOX file as its authors export it: sigmoids inside, boxes not decoded.

    Args:
        file: ONNX file with one input (B, 3, S_h, S_w), BGR 0..255, and the first output (B, A, 5 + classes).
        options: Class, thresholds and tiles.
        device: Where it runs: "auto", "cpu", "cuda" or "cuda:1".
        threads: CPU threads of a run; None: one for each core.

    Raises:
        WeightsError: the file is missing, is not ONNX, or is not a YOLOX detector.
        ConfigError: an option does not fit the file.
        DeviceError: the machine does not have this device.
    """

    def __init__(self, file: Path, options: YoloxOptions | None = None, *, device: str = "cpu", threads: int | None = None) -> None:
        self.options = options or YoloxOptions()
        self._session = open_onnx(file, device, threads=threads)
        self._size = _input_size(self._session, self.options)
        self._grid = _grid(self._size)
        self._check_output()
        self.fingerprint = fingerprint({"kind": "yolox-onnx", **self.options.model_dump()}, [file, *external_files(file)])

    def prepare(self, image: Array) -> list[View]:
        """Views of an RGB uint8 image (H, W, 3): the whole, and the tiles if there are any."""
        height, width = image.shape[:2]
        regions = [(0, 0, width, height)]
        if self.options.tiles is not None:
            regions += tile_regions(height, width, *self.options.tiles)
        return [letterbox(image, region, self._size) for region in regions]

    def detect(self, prepared: Sequence[list[View]]) -> list[tuple[Array, Array]]:
        """Boxes (N, 4) float32, xyxy original pixels, and scores (N,) float32, best first, of each image."""
        if not prepared:
            return []
        rows = iter(self._session.run_rows([_pixels(view.canvas) for views in prepared for view in views]))
        return [self._merge([self._people(view, next(rows)) for view in views]) for views in prepared]

    def _people(self, view: View, rows: Array) -> tuple[Array, Array]:
        """Boxes in original pixels and scores of the people in one view, before NMS.

        Args:
            view: View that was run.
            rows: Network output, (A, 5 + classes).
        """
        scores = rows[:, BOX_COLUMNS - 1] * rows[:, BOX_COLUMNS + self.options.person_class]
        likely = scores >= self.options.score_threshold
        rows, scores, grid = rows[likely].astype(np.float32), scores[likely].astype(np.float32), self._grid[likely]
        centre = (rows[:, :2] + grid[:, :2]) * grid[:, 2:]
        half = np.exp(rows[:, 2:4]) * grid[:, 2:] / 2
        boxes_view = np.concatenate([centre - half, centre + half], axis=1)
        whole = ~view.is_cut(boxes_view)
        return view.to_image(boxes_view[whole]), scores[whole]

    def _merge(self, views: list[tuple[Array, Array]]) -> tuple[Array, Array]:
        """Boxes and scores of all views of an image, each person once."""
        boxes, scores = (np.concatenate(arrays) for arrays in zip(*views, strict=True))
        people = suppress(boxes, scores, self.options.nms_iou)
        return boxes[people], scores[people]

    def _check_output(self) -> None:
        """Run once on a grey image, so that a wrong file is refused when it is opened, not in a search."""
        session, (height, width) = self._session, self._size
        blank = np.full((3, height, width), 114, np.float32)
        output = session.run_rows([blank])
        fits = output.ndim == 3 and output.shape[1] == len(self._grid) and output.shape[2] > BOX_COLUMNS
        if not fits:
            raise WeightsError(
                f"{session.path} is not a YOLOX detector: an input of {height} x {width} should give (1, {len(self._grid)}, "
                f"5 + classes), got {output.shape}; pass the ONNX file of a YOLOX network, exported without decoding"
            )
        scores = output[..., BOX_COLUMNS - 1 :]
        if not ((scores >= 0) & (scores <= 1)).all():
            raise WeightsError(
                f"{session.path} is not a YOLOX detector: its scores are {scores.min():g}..{scores.max():g}, not 0..1; "
                "export the network with its sigmoids"
            )
        classes = output.shape[2] - BOX_COLUMNS
        if self.options.person_class >= classes:
            raise ConfigError(
                f"person_class is {self.options.person_class}, but {session.path} has {classes} classes; give 0 to {classes - 1}"
            )


def _input_size(session: OnnxSession, options: YoloxOptions) -> tuple[int, int]:
    """(height, width) of the network's input, from the file or else the options."""
    shapes = [port.shape for port in session.inputs]
    if len(shapes) != 1 or len(shapes[0]) != 4 or shapes[0][1] not in (3, None):
        raise WeightsError(f"{session.path} is not a YOLOX detector: it needs one input (B, 3, H, W), got {shapes}")
    declared = shapes[0][2:]
    if any(side is not None and side % STRIDES[-1] for side in declared):
        raise WeightsError(
            f"{session.path} is not a YOLOX detector: the sides of its input must be multiples of {STRIDES[-1]}, got {declared}"
        )
    height, width = input_size(session.path, declared, options.size)
    if height % STRIDES[-1] or width % STRIDES[-1]:
        raise ConfigError(f"size is {options.size}; height and width must be multiples of {STRIDES[-1]}")
    return height, width


def _grid(size: tuple[int, int]) -> Array:
    """(A, 3) float32: cell x, cell y and stride of each output row."""
    levels = []
    for stride in STRIDES:
        y, x = np.mgrid[: size[0] // stride, : size[1] // stride]
        levels.append(np.stack([x, y, np.full_like(x, stride)], axis=-1).reshape(-1, 3))
    return np.concatenate(levels).astype(np.float32)


def _pixels(canvas: Array) -> Array:
    """(3, H, W) float32 BGR 0..255 of an RGB uint8 canvas (H, W, 3)."""
    pixels = np.empty((3, *canvas.shape[:2]), np.float32)
    for channel, plane in enumerate(cv2.split(canvas)):
        pixels[2 - channel] = plane
    return pixels

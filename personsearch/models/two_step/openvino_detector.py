"""An OpenVINO IR detector as the detector of a two-step model.

Both output forms of the Open Model Zoo's person detectors are read: one SSD-like output (1, 1, N, 7) of rows
image, label, score, x1, y1, x2, y2 (0..1), and two outputs `boxes` (N, 5) of rows x1, y1, x2, y2, score (input pixels)
and `labels` (N,).

Source: openvinotoolkit/open_model_zoo, models/intel/person-detection-retail-0013 and person-vehicle-bike-detection-2003.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field

from personsearch.boxes import Array, suppress
from personsearch.errors import WeightsError
from personsearch.images import opencv
from personsearch.models.parts.letterbox import INTERPOLATION, Region, View, tile_regions
from personsearch.models.two_step.openvino_session import OpenVinoSession, openvino_files
from personsearch.options import Settings, Tiles
from personsearch.weights import fingerprint

cv2 = opencv()

SSD_COLUMNS = 7  # image, label, score, x1, y1, x2, y2
BOX_COLUMNS = 5  # x1, y1, x2, y2, score


class OpenVinoDetectorOptions(Settings):
    """Class, threshold, input and views of an OpenVINO detector; the defaults are the Open Model Zoo's."""

    person_class: int = Field(default=1, ge=0)  # label of people
    score_threshold: float = Field(default=0.1, ge=0, le=1)  # people below it are not embedded
    channels: Literal["bgr", "rgb"] = "bgr"
    nms_iou: float = Field(default=0.5, ge=0, le=1)  # between the views of one image; the network has its own suppression
    tiles: tuple[Tiles, Tiles] | None = None  # (rows, columns) of overlapping tiles to search too: finds smaller people


class OpenVinoDetector:
    """Detects people with an OpenVINO IR detector whose input is a stretched picture, 0..255.

    Args:
        file: Network's .xml file, the .bin file beside it.
        options: Class, threshold and tiles.
        device: "auto" or "cpu".
        threads: CPU threads of a run; None: one for each core.

    Raises:
        WeightsError: a file is missing, or is not such a detector.
        MissingExtraError: openvino is not installed.
        DeviceError: another device.
    """

    def __init__(
        self, file: Path, options: OpenVinoDetectorOptions | None = None, *, device: str = "cpu", threads: int | None = None
    ) -> None:
        self.options = options or OpenVinoDetectorOptions()
        self._session = OpenVinoSession(file, device=device, threads=threads)
        shapes = [port.shape for port in self._session.inputs]
        if len(shapes) != 1 or len(shapes[0]) != 4 or shapes[0][:2] != (1, 3) or None in shapes[0]:
            raise WeightsError(f"{file} is not a detector of one picture: it needs one input (1, 3, H, W), got {shapes}")
        self._size = int(shapes[0][2] or 0), int(shapes[0][3] or 0)
        self._people(np.full((*self._size, 3), 114, np.uint8))  # a wrong file is refused when it is opened
        self.fingerprint = fingerprint({"kind": "openvino", **self.options.model_dump()}, openvino_files(file))

    def prepare(self, image: Array) -> list[View]:
        """Views of an RGB uint8 image (H, W, 3): the whole, and the tiles if there are any."""
        height, width = image.shape[:2]
        regions = [(0, 0, width, height)]
        if self.options.tiles is not None:
            regions += tile_regions(height, width, *self.options.tiles)
        return [_stretch(image, region, self._size) for region in regions]

    def detect(self, prepared: Sequence[list[View]]) -> list[tuple[Array, Array]]:
        """Boxes (N, 4) float32, xyxy original pixels, and scores (N,) float32, best first, of each image."""
        return [self._merge([self._of_view(view) for view in views]) for views in prepared]

    def _of_view(self, view: View) -> tuple[Array, Array]:
        boxes, scores = self._people(view.canvas)
        whole = ~view.is_cut(boxes)
        return view.to_image(boxes[whole]), scores[whole]

    def _merge(self, views: list[tuple[Array, Array]]) -> tuple[Array, Array]:
        """Boxes and scores of all views of an image, each person once."""
        boxes, scores = (np.concatenate(arrays) for arrays in zip(*views, strict=True))
        if len(views) == 1:
            order = np.argsort(-scores, kind="stable")
            return boxes[order], scores[order]
        people = suppress(boxes, scores, self.options.nms_iou)
        return boxes[people], scores[people]

    def _people(self, canvas: Array) -> tuple[Array, Array]:
        """Boxes (N, 4) float32 in pixels of the canvas and scores (N,) float32 of the people above the threshold."""
        pixels = canvas[:, :, ::-1] if self.options.channels == "bgr" else canvas
        boxes, scores, labels = self._read(self._session.run(pixels.transpose(2, 0, 1)[None]))
        likely = (labels == self.options.person_class) & (scores >= self.options.score_threshold)
        return boxes[likely].astype(np.float32), scores[likely].astype(np.float32)

    def _read(self, outputs: list[Array]) -> tuple[Array, Array, Array]:
        """Boxes in pixels of the input, scores and labels of one run, whichever form the outputs have."""
        for output in outputs:
            if output.ndim == 4 and output.shape[-1] == SSD_COLUMNS:
                rows = output.reshape(-1, SSD_COLUMNS)
                rows = rows[rows[:, 0] >= 0]  # the list ends with image -1
                height, width = self._size
                return rows[:, 3:] * np.array([width, height] * 2, np.float32), rows[:, 2], rows[:, 1]
        boxes = [output for output in outputs if output.ndim == 2 and output.shape[1] == BOX_COLUMNS]
        labels = [output for output in outputs if output.ndim == 1]
        if len(boxes) != 1 or len(labels) != 1 or len(boxes[0]) != len(labels[0]):
            raise WeightsError(
                f"{self._session.path} is not a detector that can be read: it should give (1, 1, N, 7), or boxes (N, 5) and labels (N,), "
                f"got {[output.shape for output in outputs]}"
            )
        return boxes[0][:, :4], boxes[0][:, 4], labels[0]


def _stretch(image: Array, region: Region, size: tuple[int, int]) -> View:
    """The region of an RGB uint8 image (H, W, 3) as a view that it fills, whatever its shape."""
    x1, y1, x2, y2 = region
    canvas = cv2.resize(image[y1:y2, x1:x2], size[::-1], interpolation=INTERPOLATION)
    return View(canvas, region, size, (image.shape[0], image.shape[1]))

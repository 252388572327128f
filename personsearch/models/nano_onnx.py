"""The same two networks on ONNX Runtime, which is faster than PyTorch at their many small layers on a CPU."""

from pathlib import Path

import cv2
import numpy as np
import torch

from personsearch.boxes import Array
from personsearch.model_files import NANO_ONNX
from personsearch.models.config import parse_config
from personsearch.models.device import open_onnx
from personsearch.models.nano import NanoConfig
from personsearch.models.nano_detector import Cells, NanoDetector, NanoOptions
from personsearch.models.nano_embedder import NanoEmbedder, NanoReidOptions
from personsearch.models.two_step import TwoStep
from personsearch.onnx_session import OnnxSession
from personsearch.weights import fingerprint, read_config

DETECTOR_FILE, EMBEDDER_FILE = NANO_ONNX


def has_onnx(folder: Path) -> bool:
    """Whether a folder can be opened here."""
    return (folder / DETECTOR_FILE).is_file() and (folder / EMBEDDER_FILE).is_file()


class OnnxNanoDetector(NanoDetector):
    """The detector of a file: pixels (B, 3, H, W) BGR 0..255 in, logits and boxes of all cells out (see `Cells`)."""

    def __init__(self, session: OnnxSession, options: NanoOptions, *, fingerprint: str) -> None:
        self.session = session
        self.options = options
        self.fingerprint = fingerprint

    def _cells(self, canvases: Array) -> Cells:
        pixels = np.empty((len(canvases), 3, *canvases.shape[1:3]), np.float32)
        for image, canvas in zip(pixels, canvases, strict=True):
            for channel, plane in enumerate(cv2.split(canvas)):
                image[2 - channel] = plane
        logits, boxes = self.session.run(pixels)
        return Cells(torch.from_numpy(logits), torch.from_numpy(boxes))


class OnnxNanoEmbedder(NanoEmbedder):
    """The embedder of a file: normalised crops (N, height, width, 3) in, unit rows out."""

    def __init__(self, session: OnnxSession, options: NanoReidOptions, *, fingerprint: str) -> None:
        self.session = session
        self._describe(options, fingerprint)

    def _rows(self, crops: Array) -> Array:
        return self.session.run(crops)[0]


def open_onnx_folder(folder: Path, device: str) -> TwoStep:
    """The model of a folder with config.json, detector.onnx and embedder.onnx.

    Raises:
        ConfigError: config.json is missing or malformed.
        WeightsError: a file is missing or damaged.
        DeviceError: the device is not there.
    """
    config = parse_config(NanoConfig, read_config(folder), folder)
    files = folder / DETECTOR_FILE, folder / EMBEDDER_FILE
    sessions = [open_onnx(file, device) for file in files]
    digests = [fingerprint(part.model_dump(), [file]) for part, file in zip((config.detector, config.embedder), files, strict=True)]
    return TwoStep(
        OnnxNanoDetector(sessions[0], config.detector, fingerprint=digests[0]),
        OnnxNanoEmbedder(sessions[1], config.embedder, fingerprint=digests[1]),
        min_score=config.min_score,
        name=config.name,
    )

"""The bundled model on ONNX Runtime, which runs its many small layers faster than PyTorch on a CPU.

Layers this narrow finish so soon that a second core only helps while its threads spin, and spinning threads slow down every
other program. So one image runs on all cores with spinning threads; several images, and crops, run on one core each.
"""

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import numpy as np

from personsearch.boxes import Array
from personsearch.models.nano.options import NanoConfig, NanoOptions, NanoReidOptions
from personsearch.models.nano.steps import CROPS_AT_ONCE, CropEmbedder, ViewDetector
from personsearch.models.onnx_device import cores, open_onnx
from personsearch.models.two_step.model import TwoStep
from personsearch.onnx_session import OnnxSession
from personsearch.options import parse
from personsearch.processes import PerProcess
from personsearch.weights import fingerprint, read_config
from personsearch.weights.contents import NANO_ONNX

DETECTOR_FILE, EMBEDDER_FILE = NANO_ONNX


def has_onnx(folder: Path) -> bool:
    """Whether the folder has the ONNX files that `open_onnx_folder` needs."""
    return (folder / DETECTOR_FILE).is_file() and (folder / EMBEDDER_FILE).is_file()


class OnnxNanoDetector(ViewDetector):
    """The detector of an ONNX file: pixels (B, 3, H, W) BGR 0..255 in, logits (B, P) and boxes (B, P, 4) out.

    Args:
        session: Session on all cores, for one image; on CUDA for any number of images.
        alone: Session on one core, for one of several images; None on CUDA.
        options, fingerprint: Options and digest, as for `ViewDetector`.
    """

    def __init__(self, session: OnnxSession, alone: OnnxSession | None, options: NanoOptions, *, fingerprint: str) -> None:
        super().__init__(options, fingerprint=fingerprint)
        self.session, self.alone = session, alone
        self._workers = PerProcess(lambda: ThreadPoolExecutor(cores(), "detect"))

    @property
    def batches_at_once(self) -> int:
        """Number of batches that may run at the same time: two if each image runs on one core, so that no core waits for the last image."""
        return 1 if self.alone is None or cores() == 1 else 2

    def _all_cells(self, canvases: Sequence[Array]) -> list[tuple[Array, Array]]:
        alone = self.alone
        if alone is None or len(canvases) < 2:
            return super()._all_cells(canvases)

        def cells(canvas: Array) -> tuple[Array, Array]:
            logits, boxes = alone.run(_pixels_of(canvas[None]))
            return logits[0], boxes[0]

        return list(self._workers.get().map(cells, canvases))  # of any sizes

    def _cells(self, canvases: Array) -> tuple[Array, Array]:
        logits, boxes = self.session.run(_pixels_of(canvases))
        return logits, boxes


def _pixels_of(canvases: Array) -> Array:
    """(B, 3, H, W) float32 BGR of (B, H, W, 3) uint8 RGB."""
    return np.ascontiguousarray(canvases[..., ::-1].transpose(0, 3, 1, 2), dtype=np.float32)


class OnnxNanoEmbedder(CropEmbedder):
    """The embedder of an ONNX file: normalised crops (N, height, width, 3) in, unit rows out.

    Args:
        session: Session on one core on a CPU, where each core takes a share of the crops.
        options, fingerprint: Options and digest, as for `CropEmbedder`.
    """

    def __init__(self, session: OnnxSession, options: NanoReidOptions, *, fingerprint: str) -> None:
        super().__init__(options, fingerprint=fingerprint)
        self.session = session
        self._workers = PerProcess(lambda: ThreadPoolExecutor(cores(), "embed"))

    def embed(self, crops: Sequence[Array]) -> Array:
        """(N, D) float32 unit rows of N crops, RGB uint8 (h, w, 3); N may be 0."""
        if self.session.device != "cpu" or len(crops) < 2:
            return super().embed(crops)
        count = min(len(crops), cores() * math.ceil(len(crops) / (cores() * CROPS_AT_ONCE)))
        ends = [len(crops) * share // count for share in range(count + 1)]
        return np.concatenate(list(self._workers.get().map(self._embed, [crops[start:end] for start, end in pairwise(ends)])))

    def _rows(self, crops: Array) -> Array:
        return self.session.run(crops)[0]


def open_onnx_folder(folder: Path, device: str) -> TwoStep:
    """The model of a folder with config.json, detector.onnx and embedder.onnx.

    Raises:
        ConfigError: config.json is missing or malformed.
        WeightsError: a file is missing or damaged.
        DeviceError: the device is not there.
    """
    config = parse(NanoConfig, read_config(folder), folder)
    files = folder / DETECTOR_FILE, folder / EMBEDDER_FILE
    all_cores = open_onnx(files[0], device, spins=True)
    on_cpu = all_cores.device == "cpu"
    alone = open_onnx(files[0], "cpu", threads=1) if on_cpu else None
    embedder = open_onnx(files[1], device, threads=1 if on_cpu else None)
    digests = [fingerprint(options.model_dump(), [file]) for options, file in zip((config.detector, config.embedder), files, strict=True)]
    return TwoStep(
        OnnxNanoDetector(all_cores, alone, config.detector, fingerprint=digests[0]),
        OnnxNanoEmbedder(embedder, config.embedder, fingerprint=digests[1]),
        min_score=config.min_score,
        name=config.name,
    )

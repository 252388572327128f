"""The teachers of the bundled models, small public networks of the Open Model Zoo run by OpenVINO."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np

from personsearch.boxes import Array
from personsearch.errors import WeightsError
from personsearch.models.two_step.openvino_session import openvino_core

REID = ("person-reidentification-retail-0286", "person-reidentification-retail-0277")
REID_SIZE = (256, 128)  # pixels, height and width
FINDER = "person-vehicle-bike-detection-2003"
FINDER_SIZE = (480, 864)
PERSON = 1  # of the finder's labels
AT_ONCE = 16  # crops of a run
PRECISION = "bf16"  # twice as fast as f32 where the CPU has it; other CPUs compute in f32


class ReidTeachers:
    """Re-id networks that look at the same crops; a row is their unit rows side by side, of unit length again.

    Args:
        folder: with the .xml and .bin of each network.
        threads: CPU threads of a run.

    Raises:
        WeightsError: a file is missing.
        MissingExtraError: openvino is not installed.
    """

    def __init__(self, folder: Path, *, threads: int = 1) -> None:
        self._networks = [compiled(folder / f"{name}.xml", (AT_ONCE, 3, *REID_SIZE), threads) for name in REID]

    def rows(self, crops: Array) -> Array:
        """(N, 512) float32 unit rows of (N, 256, 128, 3) uint8 RGB crops."""
        parts = [self._run(crops[start : start + AT_ONCE]) for start in range(0, len(crops), AT_ONCE)]
        return np.concatenate(parts)

    def _run(self, crops: Array) -> Array:
        batch = np.zeros((AT_ONCE, 3, *REID_SIZE), np.float32)
        batch[: len(crops)] = crops[..., ::-1].transpose(0, 3, 1, 2)
        return joined([network(batch)[0].reshape(AT_ONCE, -1)[: len(crops)] for network in self._networks])


class Finder:
    """The detector that labels photographs.

    Args:
        folder: with its .xml and .bin.
        threads: CPU threads of a run.

    Raises:
        WeightsError, MissingExtraError: see `ReidTeachers`.
    """

    def __init__(self, folder: Path, *, threads: int = 1) -> None:
        self._network = compiled(folder / f"{FINDER}.xml", (1, 3, *FINDER_SIZE), threads)

    def people(self, image: Array, least_score: float) -> Array:
        """Boxes (N, 4) float32, xyxy pixels of an RGB uint8 image (H, W, 3), best first."""
        return self.scored(image, least_score)[0]

    def scored(self, image: Array, least_score: float) -> tuple[Array, Array]:
        """Boxes as of `people`, and their scores (N,)."""
        resized = cv2.resize(image, FINDER_SIZE[::-1], interpolation=cv2.INTER_AREA)
        outputs = self._network(resized[None, ..., ::-1].transpose(0, 3, 1, 2).astype(np.float32))
        boxes, labels = (np.asarray(outputs[name]) for name in ("boxes", "labels"))
        people = boxes[(labels == PERSON) & (boxes[:, 4] >= least_score)]
        people = people[np.argsort(-people[:, 4], kind="stable")]
        ratio = np.array([image.shape[1] / FINDER_SIZE[1], image.shape[0] / FINDER_SIZE[0]] * 2, np.float32)
        return people[:, :4] * ratio, people[:, 4]


def joined(rows: list[Array]) -> Array:
    """(N, D1 + D2 + ...) float32 unit rows of several networks' rows of any length."""
    units = [row / np.linalg.norm(row, axis=1, keepdims=True) for row in rows]
    together: Array = np.concatenate(units, axis=1).astype(np.float32) / np.float32(np.sqrt(len(rows)))
    return together


def compiled(file: Path, shape: tuple[int, ...], threads: int, *, outputs: tuple[str, ...] = ()) -> Any:
    """An OpenVINO network for inputs of one shape, with outputs of inner nodes behind its own.

    Raises:
        WeightsError, MissingExtraError: see `ReidTeachers`.
    """
    core = openvino_core()
    if not file.is_file() or not file.with_suffix(".bin").is_file():
        raise WeightsError(f"{file} or its .bin is missing; download both from the Open Model Zoo")
    network = core.read_model(file)
    nodes = {node.get_friendly_name(): node for node in network.get_ops()}
    network.add_outputs([nodes[name].output(0) for name in outputs])
    network.reshape(list(shape))
    options = {"INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1, "INFERENCE_PRECISION_HINT": PRECISION, "ENABLE_CPU_PINNING": False}
    return core.compile_model(network, "CPU", options)

"""The engine that runs a model: PyTorch, or ONNX Runtime on an exported file or the ONNX files of a folder."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from personsearch.boxes import Array
from personsearch.errors import ConfigError, WeightsError
from personsearch.export.scene import INPUTS, METADATA, NETWORKS, OUTPUTS
from personsearch.models import open_folder
from personsearch.models.alignps import AlignPSConfig, dense_input
from personsearch.models.base import PersonModel
from personsearch.models.config import SceneConfig
from personsearch.models.device import open_onnx, resolve_device
from personsearch.models.fast.compiled import compile_model
from personsearch.models.nano.onnx import has_onnx, open_onnx_folder
from personsearch.models.rcnn import region_input
from personsearch.models.scene import SceneInput, scene_of_crop, set_precision
from personsearch.models.seqnext import SeqNeXtConfig, window_input
from personsearch.options import Backend, Precision, from_json, parse
from personsearch.results import Detections
from personsearch.weights import fingerprint

ONNX_SUFFIX = ".onnx"


class _Metadata(BaseModel):
    """What an exported file says about its network."""

    model_config = ConfigDict(strict=True)

    config: dict[str, Any]
    embedding_dim: int = Field(ge=1, le=16384)


def open_file(file: Path, device: str, backend: Backend, *, precision: Precision = "float32", compiled: bool = False) -> PersonModel:
    """The model of an exported file.

    Raises:
        ConfigError: an option needs PyTorch.
        WeightsError, DeviceError: see `OnnxSceneModel`.
    """
    if backend == "torch" or compiled or precision != "float32":
        raise ConfigError(f"{file} runs on ONNX Runtime in float32; leave backend, precision and compiled out, or open the model's folder")
    return OnnxSceneModel(file, device=device)


def open_model(folder: Path, device: str, backend: Backend, *, precision: Precision = "float32", compiled: bool = False) -> PersonModel:
    """The model of a folder; "auto" takes ONNX Runtime on a CPU where the folder has files for it, else PyTorch.

    Raises:
        ConfigError: `backend` is "onnx" and the folder has no ONNX files; or as in `models.open_folder`.
        ConfigError, CompilerError: `precision` or `compiled` does not fit, see `set_precision` and `compile_model`.
    """
    if compiled or precision != "float32":
        if backend == "onnx":
            raise ConfigError('precision and compiled need PyTorch; leave them or backend="onnx" out')
        model = open_folder(folder, device)
        if precision != "float32":
            set_precision(model, precision)
        if compiled:
            compile_model(model)
        return model
    if backend == "onnx" and not has_onnx(folder):
        raise ConfigError(f'backend="onnx": {folder} has no ONNX files; run: personsearch export {folder} model.onnx, and pass model.onnx')
    if has_onnx(folder) and (backend == "onnx" or (backend == "auto" and resolve_device(device) == "cpu")):
        return open_onnx_folder(folder, device)
    return open_folder(folder, device)


class OnnxSceneModel:
    """An exported network for whole scenes; its results equal PyTorch's up to rounding.

    On an image of one colour, all inner cells of a network with region proposals have the same score, so rounding decides
    which of them survive NMS. There the two backends may give other detections, with scores far below a trained network's
    threshold; the features of given boxes agree.

    The fingerprint is that of the exported file, so that features of two backends, which may differ in the last digits,
    never share a gallery. Images are run one at a time.

    Args:
        path: Exported file, with the config inside.
        device: Where it runs: "auto", "cpu", "cuda" or "cuda:1".

    Raises:
        WeightsError: the file is missing, or `personsearch export` did not write it.
        ConfigError: the config inside is malformed.
        DeviceError: the machine does not have this device.
    """

    def __init__(self, path: Path, *, device: str = "cpu") -> None:
        self._session = open_onnx(path, device)
        metadata = self._session.metadata.get(METADATA)
        if metadata is None:
            raise WeightsError(f"{path} was not written by `personsearch export`; export the model again")
        where = f"{path}, its metadata"
        values = from_json(metadata, where)
        facts = parse(_Metadata, values, where)
        self.config = _config(facts.config, where)
        self.name = self.config.name
        self.fingerprint = fingerprint(values, [path])
        self.embedding_dim = facts.embedding_dim
        self._check_ports()
        self.min_score = self.config.min_score
        self.confidence_weighted = self.config.confidence_weighted
        self.device = self._session.device

    def prepare(self, image: Array) -> SceneInput:
        """The network's input for one RGB uint8 image (H, W, 3)."""
        prepare = dense_input if isinstance(self.config, AlignPSConfig) else region_input
        if isinstance(self.config, SeqNeXtConfig):
            prepare = window_input
        return prepare(image, self.config.short_side, self.config.long_side)

    def detect(self, prepared: Sequence[SceneInput], *, min_score: float = 0.0) -> list[Detections]:
        """The people of each image from `min_score` on, best first; boxes in original pixels."""
        detections = [Detections(*self._run(item, np.zeros((0, 4), np.float32))[:3]) for item in prepared]
        return [people.take(people.scores >= min_score) for people in detections]

    def embed(self, prepared: Sequence[SceneInput], boxes: Sequence[Array]) -> list[Array]:
        """(N, D) unit rows for each image's (N, 4) boxes in original pixels."""
        return [self._run(item, image_boxes)[3] for item, image_boxes in zip(prepared, boxes, strict=True)]

    def embed_crops(self, crops: Sequence[Array]) -> Array:
        """(N, D) unit rows of N crops, each embedded in an artificial scene (see `scene_of_crop`)."""
        scenes = [scene_of_crop(crop) for crop in crops]
        rows = self.embed([self.prepare(scene) for scene, _ in scenes], [box[None] for _, box in scenes])
        return np.concatenate([np.zeros((0, self.embedding_dim), np.float32), *rows])

    def _check_ports(self) -> None:
        session = self._session
        names = [port.name for port in session.inputs], [port.name for port in session.outputs]
        if names != ([*INPUTS], [*OUTPUTS]):
            raise WeightsError(f"{session.path} has other inputs or outputs than an exported network, {names}; export the model again")
        dim = session.outputs[2].shape[-1:]
        if dim not in ((self.embedding_dim,), (None,)):
            raise WeightsError(
                f"{session.path} gives embeddings of {dim} numbers, its metadata say {self.embedding_dim}; export the model again"
            )

    def _run(self, item: SceneInput, boxes: Array) -> list[Array]:
        return self._session.run(item.pixels.numpy()[None], np.array(item.resized), np.array(item.original), boxes)


def _config(values: dict[str, Any], where: str) -> SceneConfig:
    """The config of an exported network, by its architecture."""
    architecture = values.get("architecture")
    if not isinstance(architecture, str) or architecture not in NETWORKS:
        raise ConfigError(
            f"{where}: config.architecture must be one of {', '.join(NETWORKS)}, got {architecture!r:.60}; export the model again"
        )
    return parse(NETWORKS[architecture][0], values, f"{where}: config")

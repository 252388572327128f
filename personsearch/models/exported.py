"""A network for whole scenes in a file of `personsearch export`, on ONNX Runtime; without PyTorch."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from personsearch.boxes import Array, have_area
from personsearch.errors import ConfigError, WeightsError
from personsearch.models.config import SceneConfig
from personsearch.models.onnx_device import open_onnx
from personsearch.models.scene_input import SceneArray, dense_array, region_array, scene_of_crop, window_array
from personsearch.options import from_json, parse
from personsearch.ranking import SceneFilter
from personsearch.results import Detections
from personsearch.weights import fingerprint

METADATA = "personsearch"  # key of the file's metadata with the config as JSON
INPUTS = ("pixels", "resized", "original", "wanted")
OUTPUTS = ("boxes", "scores", "embeddings", "wanted_embeddings")
SCENE = "scene"  # output after these, of a network with a gallery filter

# Architecture in the file's config -> the network's input for an image, a short and a long side
PREPARE: dict[str, Callable[[Array, int, int], SceneArray]] = {
    "alignps": dense_array,
    "roi-alignps": dense_array,
    "seqnet": region_array,
    "seqnext": window_array,
    "coat": region_array,
    "dkd": region_array,
    "trident": region_array,
    "oim": region_array,
    "nae": region_array,
}


RANKED_BY_SCORE = ("seqnet", "seqnext", "coat", "trident", "nae")  # architectures that rank by cosine x score


class ExportedConfig(SceneConfig):
    """What a file's config says outside the network; the fields of its architecture are inside the file's graph."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    name: str = "exported"

    @model_validator(mode="before")
    @classmethod
    def _rule_of_the_paper(cls, values: Any) -> Any:
        """A file without the rule was written before configs had it, and has that of its architecture."""
        return {"confidence_weighted": values["architecture"] in RANKED_BY_SCORE} | values


class _Filter(BaseModel):
    """What a file of a network with GFN compares scenes with, as `SceneFilter`."""

    model_config = ConfigDict(strict=True, allow_inf_nan=False)

    scale: list[float]
    shift: list[float]
    temperature: float = Field(gt=0)


class _Metadata(BaseModel):
    """What an exported file says about its network."""

    model_config = ConfigDict(strict=True)

    config: dict[str, Any]
    embedding_dim: int = Field(ge=1, le=16384)
    scene_filter: _Filter | None = None

    @model_validator(mode="after")
    def _one_number_each(self) -> "_Metadata":
        filters = self.scene_filter
        if filters is not None and not len(filters.scale) == len(filters.shift) == self.embedding_dim:
            raise ValueError(f"scene_filter needs {self.embedding_dim} numbers of scale and shift")
        return self


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
        self._prepare = PREPARE[self.config.architecture]
        self.name = self.config.name
        self.fingerprint = fingerprint(values, [path])
        self.embedding_dim = facts.embedding_dim
        self._scene_filter = _scene_filter(facts.scene_filter)
        self._check_ports()
        self.min_score = self.config.min_score
        self.confidence_weighted = self.config.confidence_weighted
        self.device = self._session.device

    def prepare(self, image: Array) -> SceneArray:
        """The network's input for one RGB uint8 image (H, W, 3)."""
        return self._prepare(image, self.config.short_side, self.config.long_side)

    def detect(self, prepared: Sequence[SceneArray], *, min_score: float = 0.0) -> list[Detections]:
        """The people of each image from `min_score` on, best first; boxes in original pixels."""
        detections = []
        for item in prepared:
            boxes, scores, rows, _, *scene = self._run(item, np.zeros((0, 4), np.float32))
            people = (scores >= min_score) & have_area(boxes)
            detections.append(Detections(boxes[people], scores[people], rows[people], scene=scene[0][0] if scene else None))
        return detections

    def embed(self, prepared: Sequence[SceneArray], boxes: Sequence[Array]) -> list[Array]:
        """(N, D) unit rows for each image's (N, 4) boxes in original pixels."""
        return [self._run(item, image_boxes)[3] for item, image_boxes in zip(prepared, boxes, strict=True)]

    def embed_crops(self, crops: Sequence[Array]) -> Array:
        """(N, D) unit rows of N crops, each embedded in an artificial scene (see `scene_of_crop`)."""
        scenes = [scene_of_crop(crop) for crop in crops]
        rows = self.embed([self.prepare(scene) for scene, _ in scenes], [box[None] for _, box in scenes])
        return np.concatenate([np.zeros((0, self.embedding_dim), np.float32), *rows])

    @property
    def scene_filter(self) -> SceneFilter | None:
        """Compares whole scenes for a query person; None if the network does not have a gallery filter."""
        return self._scene_filter

    def embed_scenes(self, prepared: Sequence[SceneArray]) -> Array:
        """(N, D) unit rows of N whole scenes, for `scene_filter`.

        Raises:
            ConfigError: the network has no gallery filter.
        """
        if self._scene_filter is None:
            raise ConfigError(f"{self.name} has no gallery filter; GFN's models have one (`personsearch models`)")
        rows = [self._run(item, np.zeros((0, 4), np.float32))[len(OUTPUTS)] for item in prepared]
        return np.concatenate([np.zeros((0, self.embedding_dim), np.float32), *rows])

    def _check_ports(self) -> None:
        session = self._session
        names = [port.name for port in session.inputs], [port.name for port in session.outputs]
        outputs = [*OUTPUTS] if self._scene_filter is None else [*OUTPUTS, SCENE]
        if names != ([*INPUTS], outputs):
            raise WeightsError(f"{session.path} has other inputs or outputs than an exported network, {names}; export the model again")
        dim = session.outputs[2].shape[-1:]
        if dim not in ((self.embedding_dim,), (None,)):
            raise WeightsError(
                f"{session.path} gives embeddings of {dim} numbers, its metadata say {self.embedding_dim}; export the model again"
            )

    def _run(self, item: SceneArray, boxes: Array) -> list[Array]:
        return self._session.run(item.pixels[None], np.array(item.resized), np.array(item.original), boxes)


def _scene_filter(values: _Filter | None) -> SceneFilter | None:
    if values is None:
        return None
    return SceneFilter(np.array(values.scale, np.float32), np.array(values.shift, np.float32), values.temperature)


def _config(values: dict[str, Any], where: str) -> ExportedConfig:
    """The config of an exported network."""
    architecture = values.get("architecture")
    if not isinstance(architecture, str) or architecture not in PREPARE:
        raise ConfigError(
            f"{where}: config.architecture must be one of {', '.join(PREPARE)}, got {architecture!r:.60}; export the model again"
        )
    return parse(ExportedConfig, values, f"{where}: config")

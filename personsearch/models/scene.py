"""A network for whole scenes (SeqNet, AlignPS, ...) as a `PersonModel`: device, precision, batches of one padded shape."""

from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from personsearch.boxes import Array, have_area
from personsearch.errors import ConfigError
from personsearch.models.scene_input import SceneArray, scene_of_crop
from personsearch.options import Precision
from personsearch.ranking import SceneFilter
from personsearch.results import Detections

T = TypeVar("T")


@dataclass(frozen=True)
class SceneInput:
    """A network's input for one image."""

    pixels: Tensor  # (3, H, W) float32, normalised, zero-padded right and bottom
    resized: tuple[int, int]  # (height, width) after resizing, before padding
    original: tuple[int, int]  # (height, width) of the image

    @classmethod
    def of(cls, array: SceneArray) -> "SceneInput":
        """A prepared image as a tensor, without a copy."""
        return cls(torch.from_numpy(array.pixels), array.resized, array.original)


@dataclass(frozen=True)
class SceneBatch:
    """Inputs of one padded shape."""

    pixels: Tensor  # (B, 3, H, W)
    resized: list[tuple[int, int]]
    original: list[tuple[int, int]]


@dataclass(frozen=True)
class SceneDetections:
    """Detections of one image, as tensors; N may be 0."""

    boxes: Tensor  # (N, 4) xyxy, original pixels
    scores: Tensor  # (N,) best first
    embeddings: Tensor  # (N, D) unit rows
    scene: Tensor | None = None  # (S,) unit row of the whole scene, of a network with a gallery filter


class SceneNetwork(nn.Module, ABC):
    """A network that takes whole scenes; each paper has a subclass."""

    embedding_dim: int

    @abstractmethod
    def prepare(self, image: Array) -> SceneInput:
        """Resize, normalise and pad one RGB uint8 image (H, W, 3). Thread-safe."""

    @abstractmethod
    def detect(self, batch: SceneBatch) -> list[SceneDetections]:
        """People of each image of the batch."""

    @abstractmethod
    def embed(self, batch: SceneBatch, boxes: list[Tensor]) -> list[Tensor]:
        """(N, D) unit rows for each image's (N, 4) boxes in original pixels; N may be 0."""

    @property
    def scene_filter(self) -> SceneFilter | None:
        """Compares whole scenes for a query person; None if the network does not have a gallery filter."""
        return None

    def embed_scenes(self, batch: SceneBatch) -> Tensor:
        """(B, S) unit rows of whole scenes.

        Raises:
            ConfigError: the network has no gallery filter.
        """
        raise ConfigError(f"a {type(self).__name__} has no gallery filter; GFN's models have one (`personsearch models`)")


class SceneModel:
    """A `SceneNetwork` behind the `PersonModel` interface.

    The detections of an image do not depend on its batch: images are grouped by padded shape,
    because mean subtraction and group norm see the padding.

    Args:
        network: Network with its weights; moved to `device` and set to eval mode here.
        name: Name shown to users.
        fingerprint: Digest of config and weights.
        min_score: Score from which a detection enters a gallery, 0..1.
        confidence_weighted: Whether people are ranked by cosine x score, as the paper does it.
        device: Where it runs: "cpu", "cuda" or "cuda:1".
        precision: Precision of the forward pass; boxes, scores and embeddings are float32.
    """

    def __init__(
        self,
        network: SceneNetwork,
        *,
        name: str,
        fingerprint: str,
        min_score: float,
        confidence_weighted: bool = False,
        device: str = "cpu",
        precision: Precision = "float32",
    ) -> None:
        self.network = network.to(device).eval()
        self.name = name
        self._weights = fingerprint
        self.embedding_dim = network.embedding_dim
        self.min_score = min_score
        self.confidence_weighted = confidence_weighted
        self.device = torch.device(device)
        self.precision: Precision = precision

    @property
    def fingerprint(self) -> str:
        """Digest of config and weights, and the precision if it is not float32, so that galleries of two precisions never mix."""
        return self._weights if self.precision == "float32" else f"{self._weights}-{self.precision}"

    def prepare(self, image: Array) -> SceneInput:
        """The network's input for one RGB uint8 image (H, W, 3)."""
        return self.network.prepare(image)

    def detect(self, prepared: Sequence[SceneInput], *, min_score: float = 0.0) -> list[Detections]:
        """The people of each image from `min_score` on, best first; boxes in original pixels."""

        def run(batch: SceneBatch, _: list[int]) -> list[Detections]:
            return [_detections(people) for people in self.network.detect(batch)]

        return [people.take(people.scores >= min_score) for people in self._by_shape(prepared, run)]

    def embed(self, prepared: Sequence[SceneInput], boxes: Sequence[Array]) -> list[Array]:
        """(N, D) unit rows for each image's (N, 4) boxes in original pixels."""

        def run(batch: SceneBatch, images: list[int]) -> list[Array]:
            tensors = [torch.from_numpy(np.ascontiguousarray(boxes[i], np.float32)).to(self.device) for i in images]
            return [_numpy(rows) for rows in self.network.embed(batch, tensors)]

        return self._by_shape(prepared, run)

    @property
    def scene_filter(self) -> SceneFilter | None:
        """Compares whole scenes for a query person; None if the network does not have a gallery filter."""
        return self.network.scene_filter

    def embed_scenes(self, prepared: Sequence[SceneInput]) -> Array:
        """(N, S) unit rows of N whole scenes, for `scene_filter`.

        Raises:
            ConfigError: the network has no gallery filter.
        """

        def run(batch: SceneBatch, _: list[int]) -> list[Array]:
            return list(_numpy(self.network.embed_scenes(batch)))

        rows: list[Array] = self._by_shape(prepared, run)
        return np.stack(rows) if rows else np.zeros((0, self.embedding_dim), np.float32)

    def embed_crops(self, crops: Sequence[Array]) -> Array:
        """(N, D) unit rows of N crops, each embedded in an artificial scene (see `scene_of_crop`)."""
        scenes = [scene_of_crop(crop) for crop in crops]
        rows = self.embed([self.prepare(scene) for scene, _ in scenes], [box[None] for _, box in scenes])
        return np.concatenate([np.zeros((0, self.embedding_dim), np.float32), *rows])

    def _by_shape(self, prepared: Sequence[SceneInput], run: Callable[[SceneBatch, list[int]], list[T]]) -> list[T]:
        groups: dict[torch.Size, list[int]] = defaultdict(list)
        for i, item in enumerate(prepared):
            groups[item.pixels.shape].append(i)
        results: dict[int, T] = {}
        for images in groups.values():
            items = [prepared[i] for i in images]
            pixels = torch.stack([item.pixels for item in items])
            if self.device.type == "cuda":  # copying from pinned memory does not block the CPU
                pixels = pixels.pin_memory()
            batch = SceneBatch(
                pixels.to(self.device, non_blocking=True), [item.resized for item in items], [item.original for item in items]
            )
            with torch.inference_mode(), self._autocast():
                results.update(zip(images, run(batch, images), strict=True))
        return [results[i] for i in range(len(prepared))]

    def _autocast(self) -> AbstractContextManager[None]:
        dtype = {"float32": None, "bfloat16": torch.bfloat16, "float16": torch.float16}[self.precision]
        return torch.autocast(self.device.type, dtype=dtype, enabled=dtype is not None)


def set_precision(model: object, precision: Precision) -> None:
    """Run a model's layers in another precision; this changes its fingerprint.

    Raises:
        ConfigError: the model is not one PyTorch network for whole scenes, or it is float16 on a CPU.
    """
    if not isinstance(model, SceneModel):
        raise ConfigError(f'precision="{precision}" needs a model of one PyTorch network for whole scenes; leave it out for this model')
    if precision == "float16" and model.device.type == "cpu":
        raise ConfigError('precision="float16" needs CUDA; use bfloat16 on a CPU')
    model.precision = precision


def _detections(found: SceneDetections) -> Detections:
    scene = None if found.scene is None else _numpy(found.scene)
    boxes = _numpy(found.boxes)
    people = have_area(boxes)  # cut to the image, a box beside it is empty: no crop to show or search for
    return Detections(boxes[people], _numpy(found.scores)[people], _numpy(found.embeddings)[people], scene=scene)


def _numpy(tensor: Tensor) -> Array:
    array: Array = tensor.float().cpu().numpy()
    return array

"""The embedder inside the package: a crop network whose crops OpenCV resizes, which is fast on a CPU."""

from collections.abc import Sequence
from typing import Literal

import cv2
import numpy as np
import torch
from pydantic import Field

from personsearch.boxes import Array
from personsearch.models.config import BackboneConfig
from personsearch.models.folder import make_fast
from personsearch.models.parts.letterbox import INTERPOLATION
from personsearch.models.rcnn import RGB_MEAN, RGB_STD
from personsearch.models.reid import ReidConfig, ReidNetwork
from personsearch.options import Settings

CROPS_AT_ONCE = 64


class NanoReidOptions(Settings):
    """How the embedder is built."""

    backbone: BackboneConfig = BackboneConfig(name="shufflenet")
    height: int = Field(default=128, ge=32)  # pixels that a crop is resized to, whatever its shape
    width: int = Field(default=64, ge=16)
    embedding_dim: int = Field(default=256, ge=2)
    last_stride: Literal[1, 2] = 2

    def network(self) -> ReidNetwork:
        """The network, with random weights."""
        return ReidNetwork(ReidConfig(name="nano", **self.model_dump()))


class NanoEmbedder:
    """The network as the `Embedder` of two steps.

    Args:
        network: with its weights; made fast in place, moved to `device`.
        options: size of its crops.
        fingerprint: digest of options and weights.
        device: "cpu", "cuda" or "cuda:1".
    """

    def __init__(self, network: ReidNetwork, options: NanoReidOptions, *, fingerprint: str, device: str = "cpu") -> None:
        self.network = network.to(device).eval()
        make_fast(self.network, device)
        self.device = torch.device(device)
        self._describe(options, fingerprint)

    def _describe(self, options: NanoReidOptions, fingerprint: str) -> None:
        self.options = options
        self.embedding_dim = options.embedding_dim
        self.fingerprint = fingerprint
        std = np.array(RGB_STD, np.float32)
        levels = np.arange(256, dtype=np.float32)[:, None] / (255 * std) - np.array(RGB_MEAN, np.float32) / std
        self._normalised = levels[None]  # (1, 256, 3): what each level of each channel becomes; looking it up is the fast way

    def embed(self, crops: Sequence[Array]) -> Array:
        """(N, D) float32 unit rows of N crops, RGB uint8 (h, w, 3); N may be 0."""
        parts = [crops[start : start + CROPS_AT_ONCE] for start in range(0, len(crops), CROPS_AT_ONCE)]
        return np.concatenate([np.zeros((0, self.embedding_dim), np.float32), *map(self._embed, parts)])

    def _embed(self, crops: Sequence[Array]) -> Array:
        """`embed` of at least one crop, all in one run of the network."""
        resized = (resize(crop, self.options.height, self.options.width) for crop in crops)
        return self._rows(np.stack([cv2.LUT(crop, self._normalised) for crop in resized]))

    def _rows(self, crops: Array) -> Array:
        """(N, D) unit rows of (N, height, width, 3) float32 crops."""
        with torch.inference_mode():
            rows: Array = self.network(torch.from_numpy(crops).permute(0, 3, 1, 2).to(self.device)).cpu().numpy()
        return rows


def resize(crop: Array, height: int, width: int) -> Array:
    """(height, width, 3) uint8 of a crop (h, w, 3), averaged where it shrinks."""
    shrinks = crop.shape[0] > height and crop.shape[1] > width
    resized: Array = cv2.resize(crop, (width, height), interpolation=cv2.INTER_AREA if shrinks else INTERPOLATION)
    return resized

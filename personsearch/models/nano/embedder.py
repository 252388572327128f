"""The bundled embedder: a crop network whose crops are resized by OpenCV, which is fast on a CPU."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from pydantic import Field

from personsearch.boxes import Array
from personsearch.images import opencv
from personsearch.models.config import BackboneConfig
from personsearch.models.folder import make_fast
from personsearch.models.parts.letterbox import INTERPOLATION
from personsearch.models.rcnn import RGB_MEAN, RGB_STD
from personsearch.models.reid import ReidConfig, ReidNetwork
from personsearch.options import Settings

cv2 = opencv()

CROPS_AT_ONCE = 64


class NanoReidOptions(Settings):
    """How the embedder is built."""

    backbone: BackboneConfig = BackboneConfig(name="shufflenet")
    height: int = Field(default=128, ge=32, le=4096)  # pixels; every crop is resized to height x width
    width: int = Field(default=64, ge=16, le=4096)
    embedding_dim: int = Field(default=256, ge=2, le=16384)
    last_stride: Literal[1, 2] = 2
    crop_norm: bool = False  # see `ReidConfig`
    pooling: Literal["mean", "weighted"] = "mean"

    def network(self) -> ReidNetwork:
        """The network, with random weights."""
        return ReidNetwork(ReidConfig(name="nano", **self.model_dump()))


class NanoEmbedder:
    """The network as the `Embedder` of a two-step model.

    Args:
        network: Network with its weights; optimized in place and moved to `device`.
        options: Size of its crops.
        fingerprint: Digest of options and weights.
        device: Where it runs: "cpu", "cuda" or "cuda:1".
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
        self._normalised = levels[None]  # (1, 256, 3): normalised value of each level of each channel, for a fast look-up

    def embed(self, crops: Sequence[Array]) -> Array:
        """(N, D) float32 unit rows of N crops, RGB uint8 (h, w, 3); N may be 0."""
        batches = [crops[start : start + CROPS_AT_ONCE] for start in range(0, len(crops), CROPS_AT_ONCE)]
        return np.concatenate([np.zeros((0, self.embedding_dim), np.float32), *map(self._embed, batches)])

    def _embed(self, crops: Sequence[Array]) -> Array:
        """(N, D) unit rows of N >= 1 crops, in one run of the network."""
        resized = (resize(crop, self.options.height, self.options.width) for crop in crops)
        return self._rows(np.stack([cv2.LUT(crop, self._normalised) for crop in resized]))

    def _rows(self, crops: Array) -> Array:
        """(N, D) unit rows of (N, height, width, 3) float32 crops."""
        with torch.inference_mode():
            rows: Array = self.network(torch.from_numpy(crops).permute(0, 3, 1, 2).to(self.device)).cpu().numpy()
        return rows


def resize(crop: Array, height: int, width: int) -> Array:
    """A crop (h, w, 3) uint8 resized to (height, width, 3); pixels are averaged where both sides shrink."""
    shrinks = crop.shape[0] > height and crop.shape[1] > width
    resized: Array = cv2.resize(crop, (width, height), interpolation=cv2.INTER_AREA if shrinks else INTERPOLATION)
    return resized

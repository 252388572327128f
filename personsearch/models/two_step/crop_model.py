"""A crop network as a model: every image is one person, as in [GT; R] and as the R of [D; R].

Source: "Diverse Knowledge Distillation for End-to-End Person Search" (DKD), Table 2.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from personsearch.boxes import Array
from personsearch.models.folder import make_fast
from personsearch.models.reid import CropEmbedder, ReidConfig, ReidNetwork, read_network
from personsearch.models.two_step.model import TwoStep
from personsearch.weights import WEIGHTS_FILE, fingerprint, read_config


class WholeImage:
    """The `Detector` for images that are crops already: one person, as large as the image."""

    fingerprint = "whole-image"

    def prepare(self, image: Array) -> tuple[int, int]:
        """(height, width) of an RGB uint8 image (H, W, 3)."""
        return image.shape[0], image.shape[1]

    def detect(self, prepared: Sequence[tuple[int, int]]) -> list[tuple[Array, Array]]:
        """The frame of each image, (1, 4), with score 1."""
        return [(np.array([[0, 0, width, height]], np.float32), np.ones(1, np.float32)) for height, width in prepared]


def crop_model(network: ReidNetwork, config: ReidConfig, digest: str, device: str) -> TwoStep:
    """A network in eval mode, optimized in place, as a model: every image is one person, and `embed` takes boxes in it.

    It searches crops by itself, is the R of [GT; R] with true boxes, and the R of [D; R] in a `CombinedModel`.
    """
    make_fast(network, device)
    return TwoStep(WholeImage(), CropEmbedder(network, config, fingerprint=digest, device=device), name=config.name)


def open_folder(folder: Path, device: str) -> TwoStep:
    """The crop network of a folder as a model (see `crop_model`).

    Raises:
        ConfigError, WeightsError: a file is missing, malformed or does not fit.
    """
    config, network = read_network(folder)
    return crop_model(network, config, fingerprint(read_config(folder), [folder / WEIGHTS_FILE]), device)

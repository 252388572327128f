"""The detections of one model with the embeddings of another (SeqNet, arXiv 2103.10148, Table 2)."""

import hashlib
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from personsearch.boxes import Array
from personsearch.errors import ConfigError
from personsearch.models.base import PersonModel, ranks_by_score
from personsearch.models.open import open_folder as open_model
from personsearch.options import Settings, parse
from personsearch.results import Detections
from personsearch.weights import CONFIG_FILE, read_config
from personsearch.weights.contents import COMBINED_PARTS

DETECTOR, REIDENTIFIER = COMBINED_PARTS  # the folders inside the folder


class CombinedModel:
    """A `PersonModel` that detects people with one model and embeds them with another.

    For annotated boxes (the table's "GT"), call the re-identifier's `embed`.

    Args:
        detector: Model that gives boxes, scores and `min_score`.
        reidentifier: Model that embeds boxes of scenes, and crops.
        side_by_side: Whether an embedding is the unit rows of both models side by side, of unit length together (AlignPS, Table VI,
            "separate training"), not the re-identifier's alone.
    """

    def __init__(self, detector: PersonModel, reidentifier: PersonModel, *, side_by_side: bool = False) -> None:
        self.detector = detector
        self.reidentifier = reidentifier
        self.side_by_side = side_by_side
        self.name = f"{detector.name} {'beside' if side_by_side else 'with'} {reidentifier.name}"
        both = f"{detector.fingerprint} {reidentifier.fingerprint}" + " side by side" * side_by_side
        self.fingerprint = hashlib.sha256(both.encode()).hexdigest()
        self.embedding_dim = reidentifier.embedding_dim + (detector.embedding_dim if side_by_side else 0)
        self.min_score = detector.min_score
        self.confidence_weighted = ranks_by_score(reidentifier)

    def prepare(self, image: Array) -> tuple[Any, Any]:
        """Both networks' inputs for one RGB uint8 image (H, W, 3)."""
        return self.detector.prepare(image), self.reidentifier.prepare(image)

    def detect(self, prepared: Sequence[tuple[Any, Any]], *, min_score: float = 0.0) -> list[Detections]:
        """The detector's people from `min_score` on, best first, with the re-identifier's embeddings."""
        detections = self.detector.detect([for_detector for for_detector, _ in prepared], min_score=min_score)
        embeddings = self.embed(prepared, [people.boxes for people in detections])
        return [Detections(people.boxes, people.scores, rows) for people, rows in zip(detections, embeddings, strict=True)]

    def embed(self, prepared: Sequence[tuple[Any, Any]], boxes: Sequence[Array]) -> list[Array]:
        """(N, D) unit rows for each image's (N, 4) boxes in original pixels."""
        rows = self.reidentifier.embed([for_reidentifier for _, for_reidentifier in prepared], boxes)
        if not self.side_by_side:
            return rows
        return [
            _beside(*pair) for pair in zip(self.detector.embed([for_detector for for_detector, _ in prepared], boxes), rows, strict=True)
        ]

    def embed_crops(self, crops: Sequence[Array]) -> Array:
        """(N, D) unit rows of N bare crops."""
        rows = self.reidentifier.embed_crops(crops)
        return _beside(self.detector.embed_crops(crops), rows) if self.side_by_side else rows


def _beside(first: Array, second: Array) -> Array:
    """(N, D + E) unit rows of (N, D) and (N, E) unit rows; their cosine is the mean of the two cosines."""
    both: Array = np.concatenate([first, second], axis=1) / np.float32(np.sqrt(2))
    return both


class CombinedConfig(Settings):
    """The config.json of a combined model; its two models are in folders of fixed names beside it."""

    architecture: Literal["combined"] = "combined"
    side_by_side: bool = False  # embeddings of both models, not of the re-identifier alone


def open_folder(folder: Path, device: str) -> CombinedModel:
    """The combined model of a folder that `save_combined` made.

    Raises:
        ModelNotFoundError: one of them is missing.
        ConfigError, WeightsError: one of them does not open.
    """
    config = parse(CombinedConfig, read_config(folder), folder)
    detector, reidentifier = (open_model(folder / part, device) for part in (DETECTOR, REIDENTIFIER))
    return CombinedModel(detector, reidentifier, side_by_side=config.side_by_side)


def save_combined(folder: str | Path, *, detector: str | Path, reidentifier: str | Path, side_by_side: bool = False) -> Path:
    """Make one model folder from the folders of two models, such as DKD's [D; R]; both are opened before they are copied.

    Args:
        folder: Folder of the new model, created if missing; models of an older combined model in it are replaced.
        detector: Folder of the model that detects people.
        reidentifier: Folder of the model that embeds them.
        side_by_side: Whether the detecting model embeds them too, and both embeddings are put side by side (AlignPS, Table VI).

    Returns:
        The folder.

    Raises:
        ModelNotFoundError, ConfigError, WeightsError: a folder does not hold a model, or one is inside the other.
    """
    target, parts = Path(folder), {DETECTOR: Path(detector), REIDENTIFIER: Path(reidentifier)}
    for part in parts.values():
        if target.resolve().is_relative_to(part.resolve()) or part.resolve().is_relative_to(target.resolve()):
            raise ConfigError(f"{target} and {part} overlap; save into a folder outside both models")
        open_model(part, "cpu")
    for name, part in parts.items():
        shutil.rmtree(target / name, ignore_errors=True)
        shutil.copytree(part, target / name)
    (target / CONFIG_FILE).write_text(json.dumps(CombinedConfig(side_by_side=side_by_side).model_dump(), indent=2) + "\n", encoding="utf-8")
    return target

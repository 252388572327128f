"""Any detector with any re-identifier (SeqNet, arXiv 2103.10148, Table 2)."""

import hashlib
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from personsearch import models
from personsearch.boxes import Array
from personsearch.errors import ConfigError
from personsearch.models.base import PersonModel
from personsearch.options import Settings, parse
from personsearch.results import Detections
from personsearch.weights import CONFIG_FILE, read_config
from personsearch.weights.contents import COMBINED_PARTS

DETECTOR, REIDENTIFIER = COMBINED_PARTS  # the folders inside the folder


class CombinedModel:
    """A `PersonModel` that finds people by one model and embeds them by another.

    For people given by hand (the table's "GT"), call the re-identifier's `embed` with their boxes.

    Args:
        detector: gives boxes, scores and the score to enter a gallery.
        reidentifier: gives embeddings of whole scenes' boxes and of crops.
    """

    def __init__(self, detector: PersonModel, reidentifier: PersonModel) -> None:
        self.detector = detector
        self.reidentifier = reidentifier
        self.name = f"{detector.name} with {reidentifier.name}"
        self.fingerprint = hashlib.sha256(f"{detector.fingerprint} {reidentifier.fingerprint}".encode()).hexdigest()
        self.embedding_dim = reidentifier.embedding_dim
        self.min_score = detector.min_score

    def prepare(self, image: Array) -> tuple[Any, Any]:
        """Both networks' inputs for one RGB uint8 image (H, W, 3)."""
        return self.detector.prepare(image), self.reidentifier.prepare(image)

    def detect(self, prepared: Sequence[tuple[Any, Any]], *, min_score: float = 0.0) -> list[Detections]:
        """The detector's people from `min_score` on with the re-identifier's embeddings, best first."""
        found = self.detector.detect([one for one, _ in prepared], min_score=min_score)
        rows = self.embed(prepared, [one.boxes for one in found])
        return [Detections(one.boxes, one.scores, row) for one, row in zip(found, rows, strict=True)]

    def embed(self, prepared: Sequence[tuple[Any, Any]], boxes: Sequence[Array]) -> list[Array]:
        """(N, D) unit rows for each image's (N, 4) boxes in original pixels."""
        return self.reidentifier.embed([one for _, one in prepared], boxes)

    def embed_crops(self, crops: Sequence[Array]) -> Array:
        """(N, D) unit rows of N bare crops."""
        return self.reidentifier.embed_crops(crops)


class CombinedConfig(Settings):
    """What the config.json of two models says; the models are in folders of fixed names beside it."""

    architecture: Literal["combined"] = "combined"


def open_folder(folder: Path, device: str) -> CombinedModel:
    """The two models of a folder that `save_combined` made, as one.

    Raises:
        ModelNotFoundError: one of them is missing.
        ConfigError, WeightsError: one of them does not open.
    """
    parse(CombinedConfig, read_config(folder), folder)
    return CombinedModel(*(models.open_folder(folder / part, device) for part in (DETECTOR, REIDENTIFIER)))


def save_combined(folder: str | Path, *, detector: str | Path, reidentifier: str | Path) -> Path:
    """A folder of two models' folders, which are opened first and then copied: DKD's [D; R] of a detector and a crop network.

    Args:
        folder: made if need be; the models of an older one are replaced.
        detector: folder of the model that finds people.
        reidentifier: folder of the model that embeds them.

    Raises:
        ModelNotFoundError, ConfigError, WeightsError: a folder is no model, or one is inside the other.
    """
    target, parts = Path(folder), {DETECTOR: Path(detector), REIDENTIFIER: Path(reidentifier)}
    for part in parts.values():
        if target.resolve().is_relative_to(part.resolve()) or part.resolve().is_relative_to(target.resolve()):
            raise ConfigError(f"one of {part} and {target} is inside the other; save into a folder beside the models")
        models.open_folder(part, "cpu")
    for name, part in parts.items():
        shutil.rmtree(target / name, ignore_errors=True)
        shutil.copytree(part, target / name)
    (target / CONFIG_FILE).write_text(json.dumps(CombinedConfig().model_dump(), indent=2) + "\n", encoding="utf-8")
    return target

"""Open a model folder, whatever its architecture."""

import os
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from personsearch.errors import ConfigError, ModelNotFoundError
from personsearch.models.needs_torch import needs_torch
from personsearch.weights import read_config

if TYPE_CHECKING:
    from personsearch.models.base import PersonModel

# Architecture in config.json -> module with `open_folder(folder, device) -> PersonModel`. Hybrid pre-training has no
# network of its own: `personsearch.training` uses it to make better initial weights for the others.
ARCHITECTURES = {
    "nano": "personsearch.models.nano.model",
    "two-step": "personsearch.models.two_step.folder",
    "combined": "personsearch.models.two_step.combined",
    "oim": "personsearch.models.rcnn",
    "nae": "personsearch.models.rcnn",
    "seqnet": "personsearch.models.seqnet",
    "seqnext": "personsearch.models.seqnext",
    "coat": "personsearch.models.coat",
    "dkd": "personsearch.models.dkd",
    "reid": "personsearch.models.two_step.crop_model",
    "trident": "personsearch.models.trident",
    "alignps": "personsearch.models.alignps",
    "roi-alignps": "personsearch.models.roi_alignps",
}
SEVERAL_NETWORKS = ("two-step", "combined")  # each of their networks resolves "auto" for its own engine


def open_folder(folder: Path, device: str) -> "PersonModel":
    """The model of a folder that `personsearch convert`, training or a user made.

    Args:
        folder: Folder with config.json and the files it names.
        device: Where the model runs: "auto", "cpu", "cuda" or "cuda:1".

    Raises:
        ModelNotFoundError: the folder does not exist.
        ConfigError, WeightsError: a file of the model is missing, malformed or does not fit.
        DeviceError: the machine does not have this device.
        MissingExtraError: the network needs PyTorch, and it is not installed.
    """
    if not os.path.isdir(folder):
        raise ModelNotFoundError(f"{folder} is not a folder; pass the folder of a model")
    architecture = read_config(folder)["architecture"]
    if architecture not in ARCHITECTURES:
        raise ConfigError(f"{folder}: architecture {architecture!r} is unknown; known: {', '.join(ARCHITECTURES)}")
    if architecture in SEVERAL_NETWORKS:
        module = import_module(ARCHITECTURES[architecture])
    else:
        with needs_torch(f"the network of {folder} ({architecture})"):
            from personsearch.models.device import resolve_device

            module = import_module(ARCHITECTURES[architecture])
        device = resolve_device(device)
    model: PersonModel = module.open_folder(folder, device)
    return model

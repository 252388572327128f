"""The models, one file per paper architecture, and the way from a folder to a model."""

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from personsearch.errors import ConfigError, ModelNotFoundError
from personsearch.weights import read_config

if TYPE_CHECKING:
    from personsearch.models.base import PersonModel

# The hybrid pre-training has no network of its own: it makes weights that these start from (`personsearch.training.pretraining`).
# architecture in config.json -> the module that has `open_folder(folder, device) -> PersonModel`
ARCHITECTURES = {
    "nano": "personsearch.models.nano.model",
    "two-step": "personsearch.models.two_step.model",
    "combined": "personsearch.models.two_step.combined",
    "oim": "personsearch.models.rcnn",
    "nae": "personsearch.models.rcnn",
    "seqnet": "personsearch.models.seqnet",
    "dkd": "personsearch.models.dkd",
    "reid": "personsearch.models.two_step.crop_model",
    "trident": "personsearch.models.trident",
    "alignps": "personsearch.models.alignps",
    "roi-alignps": "personsearch.models.roi_alignps",
}
SEVERAL_ENGINES = ("two-step", "combined")  # each part of them says what "auto" is


def open_folder(folder: Path, device: str) -> "PersonModel":
    """The model of a folder made by `personsearch convert`, by hand, or by training, ready on `device`: "auto", "cpu", "cuda" or "cuda:1".

    Raises:
        ModelNotFoundError: no such folder.
        ConfigError, WeightsError: its files do not make a model.
        DeviceError: the device is not there.
    """
    if not folder.is_dir():
        raise ModelNotFoundError(f"{folder} is no folder")
    architecture = read_config(folder)["architecture"]
    if architecture not in ARCHITECTURES:
        raise ConfigError(f"{folder}: architecture {architecture!r} is unknown; known: {', '.join(ARCHITECTURES)}")
    if architecture not in SEVERAL_ENGINES:
        from personsearch.models.device import resolve_device

        device = resolve_device(device)
    model: PersonModel = import_module(ARCHITECTURES[architecture]).open_folder(folder, device)
    return model

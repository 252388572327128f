"""The bundled model's folder: a small detector and a small crop network in one weights file."""

from pathlib import Path

from torch import nn

from personsearch.models.folder import load_strict
from personsearch.models.nano.detector import NanoDetector, NanoNetwork
from personsearch.models.nano.embedder import NanoEmbedder, crop_network
from personsearch.models.nano.options import NanoConfig
from personsearch.models.reid import ReidNetwork
from personsearch.models.two_step.model import TwoStep
from personsearch.options import Settings, parse
from personsearch.weights import WEIGHTS_FILE, fingerprint, read_config, read_tensors

DETECTOR, EMBEDDER = "detector.", "embedder."  # prefixes of their tensors' names


def open_folder(folder: Path, device: str) -> TwoStep:
    """The model of a folder with config.json and model.safetensors, whose tensors may be float16; the model runs in float32.

    Raises:
        ConfigError: config.json is missing or malformed.
        WeightsError: the weights are missing or damaged, or do not fit the network.
    """
    config, detector, embedder = read_networks(folder)
    weights = folder / WEIGHTS_FILE
    return TwoStep(
        NanoDetector(detector, config.detector, fingerprint=_digest(config.detector, weights), device=device),
        NanoEmbedder(embedder, config.embedder, fingerprint=_digest(config.embedder, weights), device=device),
        min_score=config.min_score,
        name=config.name,
    )


def _digest(options: Settings, weights: Path) -> str:
    return fingerprint(options.model_dump(), [weights])


def read_networks(folder: Path) -> tuple[NanoConfig, NanoNetwork, ReidNetwork]:
    """Config and both networks of a folder, as they were saved.

    Raises:
        ConfigError, WeightsError: see `open_folder`.
    """
    config = parse(NanoConfig, read_config(folder), folder)
    detector, embedder = build(config)
    both = nn.ModuleDict({DETECTOR.rstrip("."): detector, EMBEDDER.rstrip("."): embedder})
    load_strict(both, read_tensors(folder / WEIGHTS_FILE), source=str(folder / WEIGHTS_FILE))
    return config, detector, embedder


def build(config: NanoConfig) -> tuple[NanoNetwork, ReidNetwork]:
    """Both networks, with random weights."""
    return NanoNetwork(config.detector), crop_network(config.embedder)

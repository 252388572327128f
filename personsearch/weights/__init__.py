"""Weights: from a model's name to its folder, and what a model folder holds."""

from personsearch.weights.external import external_files
from personsearch.weights.folder import (
    CONFIG_FILE,
    WEIGHTS_FILE,
    check_sha256,
    fingerprint,
    read_config,
    read_tensors,
    save_model,
    sha256,
)

__all__ = [
    "CONFIG_FILE",
    "WEIGHTS_FILE",
    "check_sha256",
    "external_files",
    "fingerprint",
    "read_config",
    "read_tensors",
    "save_model",
    "sha256",
]

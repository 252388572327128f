"""Read and write a model's folder: `config.json` beside safetensors. Pickles are never opened."""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from personsearch.checks import no_pipe, wrong_download
from personsearch.errors import ConfigError, WeightsError
from personsearch.options import from_json

if TYPE_CHECKING:
    from personsearch.boxes import Array

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
RANKING = "confidence_weighted"  # field of config.json
DTYPES = ("F64", "F32", "F16", "I64", "I32", "I16", "I8", "U64", "U32", "U16", "U8", "BOOL")  # safetensors' names of NumPy's types


def read_config(folder: Path) -> dict[str, Any]:
    """The model's config as a dict with at least the key `architecture`.

    Raises:
        ConfigError: config.json is missing or cannot be read, is not JSON, or does not name an architecture.
    """
    path = folder / CONFIG_FILE
    no_pipe(path, ConfigError)
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise ConfigError(f"{folder} has no {CONFIG_FILE}, so it is not a model folder; make one with `personsearch convert`") from error
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
    try:
        config = from_json(content, path)
    except ConfigError as error:
        raise ConfigError(f"{error}; write it again with `personsearch convert`") from error
    if not isinstance(config, dict) or not isinstance(config.get("architecture"), str):
        raise ConfigError(f'{path} does not name its "architecture"')
    return config


def read_tensors(path: Path) -> "dict[str, Array]":
    """All tensors of a safetensors file, by name.

    Raises:
        WeightsError: The file is missing, is not safetensors (a pickle, for example), or has numbers that NumPy lacks (bfloat16).
    """
    if not os.path.isfile(path):
        raise WeightsError(f"{path} is missing; convert or download the model again")
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        _check_dtypes(path)
        return load_file(path)
    except SafetensorError as error:
        reason = wrong_download(path) or f"is not a safetensors file ({error!s:.200}); convert a checkpoint with `personsearch convert`"
        raise WeightsError(f"{path} {reason}") from error
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error}") from error


def _check_dtypes(path: Path) -> None:
    from safetensors import safe_open

    with safe_open(path, framework="np") as file:
        for name in file.keys():  # noqa: SIM118 - the file is not a mapping
            dtype = file.get_slice(name).get_dtype()
            if dtype not in DTYPES:
                raise WeightsError(
                    f"{path}: tensor {name!r:.80} has numbers of type {dtype}, which are not supported; save it in float32, "
                    "with PyTorch: safetensors.torch.save_file({name: tensor.float() for name, tensor in tensors.items()}, file)"
                )


def save_model(folder: Path, config: Mapping[str, Any], tensors: "Mapping[str, Array]") -> None:
    """Write config.json and model.safetensors into `folder`, which is made if needed.

    Raises:
        OSError: The files cannot be written.
    """
    from safetensors.numpy import save_file

    folder.mkdir(parents=True, exist_ok=True)
    save_file(dict(tensors), folder / WEIGHTS_FILE)
    (folder / CONFIG_FILE).write_text(json.dumps(dict(config), indent=2) + "\n", encoding="utf-8")


def sha256(path: Path) -> str:
    """Hex digest of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_sha256(path: Path, expected: str) -> None:
    """Check a file's sha256.

    Raises:
        WeightsError: The file has another digest.
    """
    got = sha256(path)
    if got != expected:
        raise WeightsError(f"{path}: sha256 is {got[:12]}, the manifest says {expected[:12]}; install personsearch again")


def fingerprint(config: Mapping[str, Any], files: list[Path]) -> str:
    """Digest of what decides a feature: a config and its weight files, 64 hex digits, the same on every machine.

    How a search ranks does not count, so that galleries stay valid.
    """
    values = {name: value for name, value in config.items() if name != RANKING}
    digest = hashlib.sha256(json.dumps(values, sort_keys=True).encode())
    for path in sorted(files, key=lambda path: path.name):
        digest.update(sha256(path).encode())
    return digest.hexdigest()

"""Read an author's checkpoint without running code in it, and write it as a model folder."""

import pickle
import re
import struct
import zipfile
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from personsearch.boxes import Array
from personsearch.checks import no_pipe, wrong_download
from personsearch.errors import ConfigError, WeightsError, excerpt
from personsearch.weights import local, manifest, save_model

# source -> module with `convert(tensors, source) -> (config, tensors)`, which turns the authors' tensors by name into the
# content of config.json and our tensors, and raises WeightsError with the keys if the file is from another source. If the authors' files
# hold their config beside the tensors, the module has `with_own_config(config, own)` too, which gives the config with what it says.
CONVERTERS = {
    "seqnet": "personsearch.convert.seqnet",
    "nae": "personsearch.convert.nae",
    "gfn": "personsearch.convert.gfn",
    "coat": "personsearch.convert.coat",
    "alignps": "personsearch.convert.alignps",
    "roi-alignps": "personsearch.convert.alignps",
}
WRAPPERS = ("model", "state_dict")
OWN_CONFIG = "config"
OTHER_OBJECT = re.compile(r"GLOBAL (\S+)")  # in torch's error; the rest of its message says how to run the code anyway
NUMPY_VALUE = re.compile(r"numpy\.(_?core\.)|numpy\.dtype|numpy\.dtypes")


def convert_checkpoint(file: Path, out_dir: Path, *, source: str) -> Path:
    """Write the checkpoint's weights and config into the folder `out_dir`, and return it.

    Args:
        file: Checkpoint written by torch.save; no code in it is run.
        out_dir: Folder of the model, created if missing; an older model in it is replaced.
        source: Authors' code that wrote the file, a key of `CONVERTERS`.

    Raises:
        ConfigError: `source` is unknown.
        WeightsError: the file is not a checkpoint, or of another network; nothing is written.
    """
    config, tensors = _converted(file, source)
    save_model(out_dir, config, {name: _array(tensor) for name, tensor in tensors.items()})
    return out_dir


def convert_named(file: Path, name: str) -> Path:
    """Make the model `name` of the local store from its authors' checkpoint, and return its folder.

    Args:
        file: Checkpoint that the manifest's entry describes.
        name: Name in the manifest.

    Raises:
        ConfigError: the manifest has no such name, or its weights do not come from a checkpoint.
        WeightsError: the file is not a checkpoint, or of another network or data set than the name says; nothing is written.
    """
    entry = manifest.models().get(name)
    if entry is None:
        known = ", ".join(name for name, entry in manifest.models().items() if isinstance(entry.source, manifest.Convert))
        raise ConfigError(f"unknown model {name!r}; the manifest has {known}. For other checkpoints give a folder and --from")
    if not isinstance(entry.source, manifest.Convert):
        raise ConfigError(f"the weights of {name!r} do not come from a checkpoint; open the model by its name")
    config, tensors = _converted(file, entry.source.converter)
    differences = manifest.differences(entry, config)
    if differences:
        raise WeightsError(f"{file} is not {name}: {'; '.join(differences)}. Take {entry.source.file} from {entry.source.repository}")
    with local.new_model(name) as folder:
        save_model(folder, {**config, "name": name}, {key: _array(tensor) for key, tensor in tensors.items()})
    return local.local_models()[name]


def _converted(file: Path, source: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    if source not in CONVERTERS:
        raise ConfigError(f"source {source!r} is unknown; known: {', '.join(CONVERTERS)}")
    loaded = load_plain(file)
    tensors = _unwrap(loaded, file)
    converter = import_module(CONVERTERS[source])
    own = loaded.get(OWN_CONFIG)
    try:
        config, ours = converter.convert(tensors, source)
        if isinstance(own, Mapping) and hasattr(converter, "with_own_config"):
            config = converter.with_own_config(config, own)
    except WeightsError as error:
        raise WeightsError(f"{file} as {source}: {error}") from error
    return config, ours


def read_checkpoint(file: Path) -> dict[str, Tensor]:
    """The tensors of a checkpoint by the authors' names, without their wrapper and without the `module.` of data parallelism.

    Raises:
        WeightsError: the file is missing, is not a checkpoint, would run code, or has no tensors.
    """
    return _unwrap(load_plain(file), file)


def load_plain(file: Path) -> Any:
    """The content of a file of torch.save, tensors on the CPU; no code in it is run.

    Args:
        file: Checkpoint, or the state of a training.

    Raises:
        WeightsError: The file is missing, damaged, of another kind, or holds objects; its cause is what torch raised.
    """
    no_pipe(file, WeightsError)
    try:
        return torch.load(file, map_location="cpu", weights_only=True)
    except OSError as mistake:
        raise WeightsError(f"{file} cannot be read: {mistake.strerror or mistake}") from mistake
    # torch's reader, its zip library and Python's pickle raise all of these on damaged files
    except (
        pickle.UnpicklingError,
        RuntimeError,
        EOFError,
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
        AssertionError,
        NotImplementedError,
        OverflowError,
        MemoryError,
        ImportError,
        struct.error,
        zipfile.BadZipFile,
    ) as mistake:
        raise WeightsError(f"{file} {_reason(file, mistake)}") from mistake


def _reason(file: Path, mistake: Exception) -> str:
    """What is wrong with a file that torch does not open, and what to do."""
    other = wrong_download(file)
    if other is not None:
        return other
    foreign = OTHER_OBJECT.search(str(mistake))
    if foreign is None:
        kind = "it is another kind of file" if isinstance(mistake, pickle.UnpicklingError) else excerpt(str(mistake), 200)
        return f"is not a checkpoint of plain tensors, or is cut short ({kind}); download it again. Code in a checkpoint is never run"
    name = foreign[1][:100]
    if NUMPY_VALUE.match(name):
        return (
            f"is not a checkpoint of plain tensors: it holds NumPy values ({name}), for example a score beside the weights. "
            "Where you trust the file, keep its tensors alone: torch.save({'state_dict': model.state_dict()}, NEW_FILE)"
        )
    return (
        f"is not a checkpoint of plain tensors (it asks for {name}); code in a checkpoint is never run. "
        "Ask for a file with the tensors alone: torch.save({'state_dict': model.state_dict()}, NEW_FILE)"
    )


def _unwrap(loaded: Any, file: Path) -> dict[str, Tensor]:
    inner = next((loaded[key] for key in WRAPPERS if key in loaded), loaded) if isinstance(loaded, Mapping) else None
    if not isinstance(inner, Mapping) or not inner or not all(isinstance(key, str) and isinstance(inner[key], Tensor) for key in inner):
        content = (
            f"keys {', '.join(key[:40] if isinstance(key, str) else excerpt(key, 40) for key in list(loaded)[:8])}"
            if isinstance(loaded, Mapping)
            else f"a {type(loaded).__name__}"
        )
        raise WeightsError(f"{file} does not hold tensors by name, alone or under {' or '.join(map(repr, WRAPPERS))}; it holds {content}")
    prefix = "module." if all(key.startswith("module.") for key in inner) else ""
    return {key.removeprefix(prefix): value for key, value in inner.items()}


def _array(tensor: Tensor) -> Array:
    array: Array = tensor.detach().float().contiguous().numpy()  # np.ascontiguousarray would give a scalar a dimension
    return array

"""Authors' checkpoints into model folders; one file per layout."""

import pickle
import re
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from personsearch.boxes import Array
from personsearch.errors import ConfigError, WeightsError
from personsearch.weights import local, manifest, save_model

# source -> the module that has `convert(tensors, source) -> (config, tensors)`: the authors' tensors by name into the
# content of config.json and our tensors; it raises WeightsError, naming the keys, if the file is not of that source.
CONVERTERS = {
    "seqnet": "personsearch.convert.seqnet",
    "nae": "personsearch.convert.nae",
    "gfn": "personsearch.convert.gfn",
    "alignps": "personsearch.convert.alignps",
    "roi-alignps": "personsearch.convert.alignps",
}
WRAPPERS = ("model", "state_dict")
OTHER_OBJECT = re.compile(r"GLOBAL (\S+)")  # in torch's refusal, whose other words tell how to run the code all the same


def convert_checkpoint(file: Path, out_dir: Path, *, source: str) -> Path:
    """Write the checkpoint's weights and config into the folder `out_dir`, and return it.

    Args:
        file: as torch.save wrote it; it is read without running any code in it.
        out_dir: made if need be; an older model in it is replaced.
        source: whose code wrote the file, a key of `CONVERTERS`.

    Raises:
        ConfigError: `source` is unknown.
        WeightsError: not a checkpoint, or another network's; nothing is written.
    """
    config, tensors = _converted(file, source)
    save_model(out_dir, config, {name: _array(tensor) for name, tensor in tensors.items()})
    return out_dir


def convert_named(file: Path, name: str) -> Path:
    """Make the model `name` of the local store from its authors' checkpoint, and return its folder.

    Args:
        file: the checkpoint that the manifest's entry describes.
        name: of the manifest.

    Raises:
        ConfigError: the manifest has no such name, or its weights do not come from a checkpoint.
        WeightsError: not a checkpoint, another network's, or trained on another data set than the name says; nothing is written.
    """
    entry = manifest.models().get(name)
    if entry is None:
        known = ", ".join(name for name, entry in manifest.models().items() if isinstance(entry.source, manifest.Convert))
        raise ConfigError(f"the manifest has no {name!r}; it has {known}. For others give a folder and --from")
    if not isinstance(entry.source, manifest.Convert):
        raise ConfigError(f"the weights of {name!r} need no conversion; open it by its name")
    config, tensors = _converted(file, entry.source.converter)
    wrong = manifest.differences(entry, config)
    if wrong:
        raise WeightsError(f"{file} is not {name}: {'; '.join(wrong)}. Take {entry.source.file} from {entry.source.repository}")
    with local.new_model(name) as folder:
        save_model(folder, {**config, "name": name}, {key: _array(tensor) for key, tensor in tensors.items()})
    return local.local_models()[name]


def _converted(file: Path, source: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    if source not in CONVERTERS:
        raise ConfigError(f"source {source!r} is unknown; known: {', '.join(CONVERTERS)}")
    read = read_checkpoint(file)
    try:
        converted: tuple[dict[str, Any], dict[str, Tensor]] = import_module(CONVERTERS[source]).convert(read, source)
    except WeightsError as error:
        raise WeightsError(f"{file} as {source}: {error}") from error
    return converted


def read_checkpoint(file: Path) -> dict[str, Tensor]:
    """The tensors of a checkpoint by the authors' names, without their wrapper and without `module.` of data parallelism.

    Raises:
        WeightsError: no file, not a checkpoint, one that would run code, or one without tensors.
    """
    try:
        loaded = torch.load(file, map_location="cpu", weights_only=True)
    except OSError as error:
        raise WeightsError(f"{file} cannot be read: {error.strerror}") from error
    except pickle.UnpicklingError as error:
        found = OTHER_OBJECT.search(str(error))
        reason = f"it asks for {found[1]}" if found else "it is another kind of file"
        raise WeightsError(f"{file} is no checkpoint of plain tensors, and code in it is never run: {reason}") from error
    except (RuntimeError, EOFError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise WeightsError(f"{file} is not a checkpoint, or is cut short ({error}); download it again") from error
    return _unwrap(loaded, file)


def _unwrap(loaded: Any, file: Path) -> dict[str, Tensor]:
    inner = next((loaded[key] for key in WRAPPERS if key in loaded), loaded) if isinstance(loaded, Mapping) else None
    if not isinstance(inner, Mapping) or not inner or not all(isinstance(key, str) and isinstance(inner[key], Tensor) for key in inner):
        found = f"keys {', '.join(map(str, list(loaded)[:8]))}" if isinstance(loaded, Mapping) else f"a {type(loaded).__name__}"
        raise WeightsError(f"{file} holds no network's tensors, alone or under {' or '.join(map(repr, WRAPPERS))}; it holds {found}")
    prefix = "module." if all(key.startswith("module.") for key in inner) else ""
    return {key.removeprefix(prefix): value for key, value in inner.items()}


def _array(tensor: Tensor) -> Array:
    array: Array = tensor.detach().float().contiguous().numpy()  # np.ascontiguousarray would give a scalar a dimension
    return array

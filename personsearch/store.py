"""The places on this machine: converted or downloaded models, and the galleries kept between runs."""

import hashlib
import os
import re
from pathlib import Path

from personsearch.errors import ModelNotFoundError
from personsearch.weights import CONFIG_FILE


def home() -> Path:
    """The folder of everything kept between runs: `PERSONSEARCH_HOME`, or `~/.cache/personsearch`."""
    return Path(os.environ.get("PERSONSEARCH_HOME") or Path.home() / ".cache" / "personsearch")


def local_models() -> dict[str, Path]:
    """Name and folder of every model in the local store, by name."""
    return {path.parent.name: path.parent for path in sorted((home() / "models").glob(f"*/{CONFIG_FILE}"))}


def find_model(name: str | os.PathLike[str]) -> Path:
    """The folder of a model: `name` itself if it is a folder, else its place in the local store.

    Raises:
        ModelNotFoundError: neither; says which models are on this machine.
    """
    folder = Path(name)
    if folder.is_dir():
        return folder
    models = local_models()
    if str(name) in models:
        return models[str(name)]
    known = ", ".join(models) or "none yet"
    raise ModelNotFoundError(
        f"no model {str(name)!r}: it is no folder, and not in {home() / 'models'} (there: {known}); "
        "make a folder from an authors' checkpoint with `personsearch convert`, or from two ONNX files as README shows"
    )


def gallery_place(source_key: str, model_key: str) -> Path:
    """Where the gallery of a source is kept, one for each source and model."""
    digest = hashlib.sha256(f"{source_key}\n{model_key}".encode()).hexdigest()[:16]
    slug = re.sub(r"[^A-Za-z0-9]+", "-", Path(source_key).name).strip("-")[:40] or "pictures"
    return home() / "galleries" / f"{slug}-{digest}.lance"

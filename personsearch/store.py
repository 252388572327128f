"""The places on this machine: converted or downloaded models, and the galleries kept between runs."""

import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from personsearch.files import replaced_folder
from personsearch.weights import CONFIG_FILE


def home() -> Path:
    """The folder of everything kept between runs: `PERSONSEARCH_HOME`, or `~/.cache/personsearch`."""
    return Path(os.environ.get("PERSONSEARCH_HOME") or Path.home() / ".cache" / "personsearch")


def local_models() -> dict[str, Path]:
    """Name and folder of every model in the local store, by name."""
    return {path.parent.name: path.parent for path in sorted((home() / "models").glob(f"*/{CONFIG_FILE}"))}


@contextmanager
def new_model(name: str) -> Iterator[Path]:
    """An empty folder to fill, which becomes the model `name` of the local store when the block ends without an error."""
    with replaced_folder(home() / "models" / name, home() / "unfinished") as folder:
        yield folder


def gallery_place(source_key: str, model_key: str) -> Path:
    """Where the gallery of a source is kept, one for each source and model."""
    digest = hashlib.sha256(f"{source_key}\n{model_key}".encode()).hexdigest()[:16]
    slug = re.sub(r"[^A-Za-z0-9]+", "-", Path(source_key).name).strip("-")[:40] or "pictures"
    return home() / "galleries" / f"{slug}-{digest}.lance"

"""The local store: converted and trained models on this machine."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from personsearch.home import home, replaced_folder
from personsearch.weights.folder import CONFIG_FILE


def local_models() -> dict[str, Path]:
    """Name and folder of every model in the local store, sorted by name."""
    return {path.parent.name: path.parent for path in sorted((home() / "models").glob(f"*/{CONFIG_FILE}"))}


@contextmanager
def new_model(name: str) -> Iterator[Path]:
    """An empty folder to fill; it becomes the model `name` of the local store when the block ends without an error."""
    with replaced_folder(home() / "models" / name, home() / "unfinished") as folder:
        yield folder

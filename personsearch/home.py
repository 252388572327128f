"""The folder of everything kept between runs, and files and folders that are written whole or not at all."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def home() -> Path:
    """The folder of everything kept between runs: `PERSONSEARCH_HOME`, or `~/.cache/personsearch`."""
    return Path(os.environ.get("PERSONSEARCH_HOME") or Path.home() / ".cache" / "personsearch")


def replace_file(path: Path, text: str) -> None:
    """Write a UTF-8 text file; a reader sees the old content or the new one. Its folder is made if need be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=path.suffix + ".new")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


@contextmanager
def replaced_folder(path: Path, workshop: Path) -> Iterator[Path]:
    """An empty folder to fill, which takes the place of `path` when the block ends without an error.

    Args:
        path: an older folder there is removed.
        workshop: where the folder is filled, on the same disk as `path`; made if need be.
    """
    workshop.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=workshop) as temporary:
        new, old = Path(temporary) / "new", Path(temporary) / "old"
        new.mkdir()
        yield new
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            path.rename(old)
        new.rename(path)

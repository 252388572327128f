"""The folder of everything kept between runs, and writes that happen completely or not at all."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def home() -> Path:
    """The folder of everything kept between runs: `PERSONSEARCH_HOME`, or `~/.cache/personsearch`."""
    return Path(expand_user(os.environ.get("PERSONSEARCH_HOME") or "~/.cache/personsearch"))


def expand_user(path: str | os.PathLike[str]) -> str:
    """A path with `~` or `~name` at its start replaced by that user's home folder; an unknown user's `~name` stays as it is."""
    return os.path.expanduser(os.fspath(path))


def make_folder(path: Path) -> None:
    """Make a folder with its parents. Those in `home()`, and that folder itself, are made for this user alone."""
    path = path.absolute()
    private = home().absolute()
    for folder in (*reversed(path.parents), path):
        if not folder.is_dir():
            folder.mkdir(mode=0o700 if folder == private or private in folder.parents else 0o777, exist_ok=True)


def replace_file(path: Path, text: str) -> None:
    """Write a UTF-8 text file; a reader sees either the old content or the new one. Its folder is made if needed."""
    make_folder(path.parent)
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
    """An empty folder to fill, which replaces `path` when the block ends without an error.

    Args:
        path: Folder to replace; the old one is removed.
        workshop: Folder in which the new one is filled, on the same disk as `path`; made if needed.
    """
    make_folder(workshop)
    with tempfile.TemporaryDirectory(dir=workshop) as temporary:
        new, old = Path(temporary) / "new", Path(temporary) / "old"
        new.mkdir()
        yield new
        make_folder(path.parent)
        if path.exists():
            path.rename(old)
        new.rename(path)

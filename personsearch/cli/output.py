"""Files that a search writes: a page, a montage, a table, JSON, or a folder of crops."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from personsearch.cli.options import PICTURES, check_output, say
from personsearch.errors import ConfigError, ImagesError

FILES = (".html", *PICTURES, ".csv", ".json")


def check_outputs(paths: Sequence[Path]) -> None:
    """Check that each file can be written, before work that may take long; a name without extension is a folder, which is made.

    Raises:
        ConfigError: A file has another extension, or cannot be written.
    """
    for path in paths:
        if path.suffix and path.suffix.lower() not in FILES and not _is_folder(path):
            raise ConfigError(f"--out must end with {', '.join(FILES)}, or be a folder for the crops, got {str(path)[-100:]}")
    for path in paths:
        check_output("--out", path / "crop.png" if _is_folder(path) else path)


def write(result: Any, paths: Sequence[Path]) -> bool:
    """Write the hits to each file; says what was written, and what could not be.

    Args:
        result: `SearchResult`.
        paths: Files and folders.

    Returns:
        Whether all hits have a crop, if crops were wanted.
    """
    complete = True
    for path in paths:
        suffix = "" if _is_folder(path) else path.suffix.lower()
        if suffix == ".html":
            result.save_html(path)
        elif suffix == ".csv":
            result.to_csv(path)
        elif suffix == ".json":
            result.to_json(path)
        elif suffix:
            result.montage().save(path)
        else:
            try:
                result.save_crops(path)
            except ImagesError as error:
                say(f"error: {error}")
                complete = False
        say(f"wrote {path}")
    return complete


def _is_folder(path: Path) -> bool:
    return not path.suffix or (path.suffix.lower() not in FILES and os.path.isdir(path))

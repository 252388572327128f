"""Annotation files: read, or a clear error that says what to download and where to put it."""

import json
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from personsearch.errors import DataError


@contextmanager
def reading(path: Path, get: str) -> Iterator[None]:
    """Turn whatever goes wrong while `path` is read and taken apart into a DataError.

    Args:
        path: the file.
        get: how to get the data set; it ends the message.

    Raises:
        DataError: the file is missing, unreadable, damaged or of another form.
    """
    from scipy.io.matlab import MatReadError

    try:
        yield
    except DataError as error:
        raise DataError(f"{path}: {error}; {get}") from error
    except FileNotFoundError as error:
        raise DataError(f"{path} is not there; {get}") from error
    # What scipy and the parsing raise on a file that is cut off or of another form.
    except (
        OSError,
        LookupError,
        ValueError,
        TypeError,
        AttributeError,
        NotImplementedError,
        OverflowError,
        MemoryError,
        zlib.error,
        MatReadError,
    ) as error:
        raise DataError(f"{path} is damaged or of another form ({type(error).__name__}: {error}); {get}") from error


def read_mat(path: Path) -> dict[str, Any]:
    """The variables of a MATLAB file, as scipy gives them; call it inside `reading`."""
    from scipy.io import loadmat

    with path.open("rb") as file:
        return dict(loadmat(file))


def read_json(path: Path) -> Any:
    """The content of a JSON file; call it inside `reading`."""
    return json.loads(path.read_text(encoding="utf-8"))


def unwrap(value: Any) -> Any:
    """What lies in a MATLAB cell: the content of 1 x 1 arrays, one in the other, down to the first that is more."""
    while isinstance(value, np.ndarray) and value.size == 1:
        value = value.flat[0]
    return value


def text(value: Any) -> str:
    """The text in a MATLAB cell.

    Raises:
        TypeError: something else is in it.
    """
    inner = unwrap(value)
    if not isinstance(inner, str):
        raise TypeError(f"a text is expected, got {inner!r:.60}")
    return str(inner)


def check_folder(path: Path, get: str) -> None:
    """Raises DataError unless the folder is there; `get` says how to get the data set."""
    if not path.is_dir():
        raise DataError(f"{path} is not a folder; {get}")

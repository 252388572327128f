"""Annotation files: read, or a clear error that says what to download and where to put it."""

import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from personsearch.checks import no_pipe
from personsearch.errors import DataError
from personsearch.images import DAMAGED
from personsearch.options import from_json

ORIENTATION, LYING = 0x0112, (5, 6, 7, 8)  # the EXIF tag, and its values for pictures turned by 90 degrees


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
    """The content of a JSON file; call it inside `reading`.

    Raises:
        DataError: The file is not JSON.
    """
    no_pipe(path, DataError)
    return from_json(path.read_bytes(), "the file", error=DataError)


def upright_size(path: Path) -> tuple[int, int]:
    """(width, height) of a picture after its EXIF orientation; pixels are not decoded.

    Raises:
        DataError: The file is not a picture.
    """
    from PIL import Image

    try:
        with Image.open(path) as picture:
            width, height = picture.size
            lying = picture.getexif().get(ORIENTATION, 1) in LYING
    except (*DAMAGED, Image.DecompressionBombError) as error:
        raise DataError(f"{path} is damaged or not a picture ({type(error).__name__}: {error!s:.100})") from error
    return (height, width) if lying else (width, height)


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
    if not os.path.isdir(path):
        raise DataError(f"{path} is not a folder; {get}")

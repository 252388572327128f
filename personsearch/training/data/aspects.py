"""Wide and tall pictures of a data set, for batches that hold one kind."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from personsearch.boxes import Array
from personsearch.training.data.dataset import PeopleDataset, path_of

ORIENTATION, TURNED = 0x0112, (5, 6, 7, 8)  # EXIF: pictures stored on their side


def by_aspect(dataset: PeopleDataset) -> Sequence[Array]:
    """Numbers of the pictures that are not wider than high, and of those that are.

    Files are opened, but not decoded; pictures without a known file are.

    Source: mmdet 2.4.0 (`CustomDataset._set_group_flag`), as AlignPS's code uses it.
    """
    wide = np.array([_is_wide(dataset, number) for number in range(len(dataset))], bool)
    return np.flatnonzero(~wide), np.flatnonzero(wide)


def _is_wide(dataset: PeopleDataset, number: int) -> bool:
    path = path_of(dataset, number)
    size = None if path is None else _size(path)
    if size is None:
        height, width = dataset[number].image.shape[:2]
        return bool(width > height)
    return size[0] > size[1]


def _size(path: Path) -> tuple[int, int] | None:
    """Width and height as the picture is seen; None for a file whose header Pillow does not read."""
    try:
        with Image.open(path) as picture:
            width, height = picture.size
            return (height, width) if picture.getexif().get(ORIENTATION) in TURNED else (width, height)
    except (OSError, ValueError, SyntaxError):
        return None

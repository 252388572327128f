"""People's own boxes as YOLO has them: `labels/*.txt` beside `images/`, lines of class, centre x, centre y, width, height (0..1).

A sixth number is the identity, as trackers write it: a whole number, the same in every picture; negative or missing: unlabelled.
"""

import os
from pathlib import Path

import numpy as np

from personsearch.datasets.files import check_folder, reading, upright_size
from personsearch.datasets.people import UNLABELLED, Picture, unlabelled, xyxy
from personsearch.errors import DataError
from personsearch.sources import PICTURE_EXTENSIONS

GET = (
    "put the pictures into images/ and a text file of the same name into labels/, lines of: class x y width height [identity] "
    "(x and y of the centre, all 0..1)"
)

BOX = 5  # numbers of a line without an identity


def load(root: Path, *, person_class: int = 0) -> tuple[Picture, ...]:
    """The pictures of `images/` by path; one without a text file has no people.

    Args:
        root: the folder of `images/` and `labels/`; subfolders of the two correspond.
        person_class: number of the class that counts; COCO's is 0.

    Raises:
        DataError: a folder is missing, no picture was found, or a text file or picture is broken.
    """
    images = root / "images"
    check_folder(images, GET)
    check_folder(root / "labels", GET)
    paths = sorted(path for path in images.rglob("*") if path.suffix.lower() in PICTURE_EXTENSIONS)
    if not paths:
        raise DataError(f"{images} holds no picture; {GET}")
    return tuple(read_picture(path, (root / "labels" / path.relative_to(images)).with_suffix(".txt"), person_class) for path in paths)


def read_picture(path: Path, labels: Path, person_class: int = 0) -> Picture:
    """A picture with the people that its text file has; none without one.

    Raises:
        DataError: the text file or the picture is broken.
    """
    if not os.path.isfile(labels):
        return Picture(path, xyxy([]), unlabelled(0))
    width, height = upright_size(path)  # boxes are of the upright picture
    with reading(labels, GET):
        rows = np.array([_numbers(line) for line in labels.read_text().splitlines() if line.strip()]).reshape(-1, 6)
        centres, sizes = rows[rows[:, 0] == person_class, 1:3], rows[rows[:, 0] == person_class, 3:5]
        boxes = xyxy(np.concatenate([centres - sizes / 2, centres + sizes / 2], axis=1) * [width, height, width, height])
        return Picture(path, boxes, rows[rows[:, 0] == person_class, 5].astype(np.int64))


def _numbers(line: str) -> list[float]:
    """Class, box and identity of a line.

    Raises:
        ValueError: the line has another length, or the identity is not a whole number, for example a score.
    """
    numbers = [float(number) for number in line.split()]
    if len(numbers) == BOX:
        return [*numbers, UNLABELLED]
    if len(numbers) != BOX + 1 or numbers[BOX] != int(numbers[BOX]):
        raise ValueError(f"a line is: class x y width height [identity], got {line!r:.80}")
    return [*numbers[:BOX], max(UNLABELLED, numbers[BOX])]

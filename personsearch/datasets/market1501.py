"""Market-1501: crops of people from six cameras; the files' names hold everything.

Layout: `bounding_box_train/`, `query/`, `bounding_box_test/` with files such as `0002_c1s1_000451_03.jpg`.
"""

import re
from pathlib import Path

from personsearch.datasets.crops import Crop, CropSet
from personsearch.datasets.files import check_folder
from personsearch.errors import DataError

GET = "download Market-1501-v15.09.15, unpack it, and name the folder that holds bounding_box_train/"
JUNK = -1  # a person of the test set, badly cut: counts neither for nor against
DISTRACTOR = 0  # in the gallery, but never a query
_NAME = re.compile(r"(-1|\d{4})_c(\d)s\d_\d+_\d+\.jpg(\.jpg)?")


def load(root: Path) -> CropSet:
    """All parts, identities as the names have them (0: distractors); junk is left out.

    Raises:
        DataError: a folder is missing or holds no such file; the message says what to download.
    """
    return CropSet(*(_load(root / name) for name in ("bounding_box_train", "query", "bounding_box_test")))


def _load(folder: Path) -> tuple[Crop, ...]:
    check_folder(folder, GET)
    crops = [_crop(path) for path in sorted(folder.glob("*.jpg"))]
    if not crops:
        raise DataError(f"{folder} holds no .jpg files; {GET}")
    return tuple(crop for crop in crops if crop.identity != JUNK)


def _crop(path: Path) -> Crop:
    found = _NAME.fullmatch(path.name)
    if found is None:
        raise DataError(f"{path}: the name must be as 0002_c1s1_000451_03.jpg (person, camera, frame, box); {GET}")
    return Crop(path, int(found[1]), int(found[2]))

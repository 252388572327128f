"""MSMT17: crops of people from fifteen cameras, named in lists.

Layout: `train/` and `test/` (in version 2 `mask_train_v2/` and `mask_test_v2/`), and `list_train.txt`, `list_val.txt`, `list_query.txt`,
`list_gallery.txt`; a line is `0000/0000_045_12_0303morning_0006_2.jpg 0`: file (the third number is the camera) and identity.
"""

from pathlib import Path

from personsearch.datasets.crops import Crop, CropSet
from personsearch.datasets.files import reading
from personsearch.errors import DataError

GET = "ask the authors of MSMT17 for the data set, unpack it, and name the folder that holds list_train.txt"


def load(root: Path) -> CropSet:
    """All parts; the authors' train and val lists together are `train`, as the papers use them.

    Raises:
        DataError: a list is missing or broken; the message says what to download.
    """
    train, test = (_folder(root, part) for part in ("train", "test"))
    return CropSet(
        read_list(root / "list_train.txt", train) + read_list(root / "list_val.txt", train),
        read_list(root / "list_query.txt", test),
        read_list(root / "list_gallery.txt", test),
    )


def read_list(file: Path, folder: Path) -> tuple[Crop, ...]:
    """The crops of one list.

    Raises:
        DataError: the list is missing or broken.
    """
    with reading(file, GET):
        lines = file.read_text(encoding="utf-8").splitlines()
        return tuple(_crop(line, number, folder) for number, line in enumerate(lines, 1) if line.strip())


def _crop(line: str, number: int, folder: Path) -> Crop:
    fields = line.split()
    parts = fields[0].rpartition("/")[2].split("_")
    if len(fields) != 2 or not fields[1].isdigit() or len(parts) < 3 or not parts[2].isdigit():
        raise DataError(f"line {number} must be as 0000/0000_045_12_0303morning_0006_2.jpg 0, got {line!r:.80}")
    return Crop(folder / fields[0], int(fields[1]), int(parts[2]))


def _folder(root: Path, part: str) -> Path:
    second = root / f"mask_{part}_v2"
    return second if second.is_dir() else root / part

"""EuroCity Persons: people in street scenes of European cities by day and night, no identities.

Layout: `day/img/train/<city>/*.png` with `day/labels/train/<city>/*.json`, and the same under `night`.
"""

from pathlib import Path
from typing import Literal

from personsearch.datasets.files import check_folder, read_json, reading
from personsearch.datasets.people import Picture, unlabelled, xyxy
from personsearch.errors import DataError

GET = "ask the authors of EuroCity Persons for the data set, unpack img and labels, and name the folder that holds day/ or night/"
PEOPLE = ("pedestrian", "rider")


def load(root: Path, split: Literal["train", "val"] = "train", *, time: Literal["day", "night"] = "day") -> tuple[Picture, ...]:
    """The pictures of one part, by city and name.

    Raises:
        DataError: a file is missing or broken; the message says what to download.
    """
    labels = root / time / "labels" / split
    check_folder(labels, GET)
    files = sorted(labels.glob("*/*.json"))
    if not files:
        raise DataError(f"{labels} holds no city with JSON files; {GET}")
    return tuple(read_labels(file, root / time / "img" / split / file.parent.name) for file in files)


def read_labels(file: Path, folder: Path) -> Picture:
    """One picture; groups far away are regions to ignore, vehicles do not count.

    Raises:
        DataError: the file is missing or broken.
    """
    with reading(file, GET):
        found = [(one["identity"], [one["x0"], one["y0"], one["x1"], one["y1"]]) for one in read_json(file)["children"]]
        boxes = xyxy([box for name, box in found if name in PEOPLE])
        ignore = xyxy([box for name, box in found if "group" in name])
        return Picture(folder / f"{file.stem}.png", boxes, unlabelled(len(boxes)), ignore=ignore)

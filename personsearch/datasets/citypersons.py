"""CityPersons: people in the street scenes of Cityscapes, no identities.

Layout: `anno_train.mat` and `anno_val.mat` (in the folder itself or in `annotations/`), `leftImg8bit/train/<city>/*.png`.

Source: the README of its annotations (rows of class, x, y, w, h, instance, visible x, y, w, h).
"""

from pathlib import Path
from typing import Any, Literal

import numpy as np

from personsearch.datasets.files import read_mat, reading, text, unwrap
from personsearch.datasets.people import Picture, unlabelled, xywh_to_xyxy

GET = (
    "download leftImg8bit_trainvaltest of Cityscapes and the annotations of CityPersons (cvgroup-njust/CityPersons), "
    "and name the folder that holds leftImg8bit/ and annotations/anno_train.mat"
)
PEOPLE = (1, 2, 3, 4)  # pedestrian, rider, sitting, unusual posture; 0 is not a person, 5 a group with one box


def load(root: Path, split: Literal["train", "val"] = "train") -> tuple[Picture, ...]:
    """The pictures of one part.

    Raises:
        DataError: the file is missing or broken; the message says what to download.
    """
    file = root / f"anno_{split}.mat"
    return read_annotations(file if file.is_file() else root / "annotations" / file.name, root / "leftImg8bit" / split)


def read_annotations(file: Path, folder: Path) -> tuple[Picture, ...]:
    """The pictures of a file `anno_train.mat` or `anno_val.mat`; images and groups of people are regions to ignore.

    Raises:
        DataError: the file is missing or broken.
    """
    with reading(file, GET):
        return tuple(_picture(cell, folder) for cell in np.ravel(read_mat(file)[f"{file.stem}_aligned"]))


def _picture(cell: Any, folder: Path) -> Picture:
    record = unwrap(cell)
    rows = np.asarray(record["bbs"], np.float64).reshape(-1, 10)  # stored as unsigned: x + w must not wrap
    rows = rows[(rows[:, 3:5] > 0).all(axis=1)]
    is_person = np.isin(rows[:, 0], PEOPLE)
    boxes = xywh_to_xyxy(rows[is_person, 1:5])
    path = folder / text(record["cityname"]) / text(record["im_name"])
    return Picture(path, boxes, unlabelled(len(boxes)), ignore=xywh_to_xyxy(rows[~is_person, 1:5]))

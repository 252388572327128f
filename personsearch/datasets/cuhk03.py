"""CUHK03 with the new protocol: crops of people from pairs of cameras; 767 people to learn from, 700 to test.

Layout: `cuhk03_new_protocol_config_labeled.mat` or `..._detected.mat`, `images_labeled/` or `images_detected/` with the crops as .png.

Source: zhunzhong07/person-re-ranking (the protocol's files).
"""

from pathlib import Path
from typing import Literal

import numpy as np

from personsearch.datasets.crops import Crop, CropSet
from personsearch.datasets.files import read_mat, reading, text
from personsearch.errors import DataError

GET = (
    "download CUHK03, write its crops as .png files into images_labeled/ or images_detected/, and put the new protocol's .mat file "
    "(zhunzhong07/person-re-ranking) beside that folder"
)


def load(root: Path, boxes: Literal["labeled", "detected"] = "detected") -> CropSet:
    """All parts, of crops cut by people ("labeled") or by a detector.

    Raises:
        DataError: the file is missing or broken; the message says what to download.
    """
    return read_protocol(root / f"cuhk03_new_protocol_config_{boxes}.mat", root / f"images_{boxes}")


def read_protocol(file: Path, folder: Path) -> CropSet:
    """The crops of the new protocol's file; its indices count from 1.

    Raises:
        DataError: the file is missing or broken.
    """
    with reading(file, GET):
        content = read_mat(file)
        names = [text(name) for name in np.ravel(content["filelist"])]
        labels, cameras = (np.ravel(content[key]).astype(int).tolist() for key in ("labels", "camId"))
        crops = [Crop(folder / name, label, camera) for name, label, camera in zip(names, labels, cameras, strict=True)]
        return CropSet(*(_choose(crops, np.ravel(content[f"{part}_idx"]).astype(int).tolist()) for part in ("train", "query", "gallery")))


def _choose(crops: list[Crop], places: list[int]) -> tuple[Crop, ...]:
    outside = [place for place in places if not 1 <= place <= len(crops)]
    if outside:
        raise DataError(f"an index is {outside[0]}, but there are {len(crops)} crops")
    return tuple(crops[place - 1] for place in places)

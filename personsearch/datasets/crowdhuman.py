"""CrowdHuman: crowds with full-body boxes, no identities.

Layout: `annotation_train.odgt`, `annotation_val.odgt` (one JSON object a line), `Images/*.jpg`.
"""

from pathlib import Path
from typing import Any, Literal

from personsearch.datasets.files import reading
from personsearch.datasets.people import Picture, unlabelled, xywh_to_xyxy
from personsearch.errors import DataError
from personsearch.options import from_json

GET = "download CrowdHuman from its authors' page, unpack all of it, and name the folder that holds annotation_train.odgt and Images/"


def load(root: Path, split: Literal["train", "val"] = "train") -> tuple[Picture, ...]:
    """The pictures of one part.

    Raises:
        DataError: the file is missing or broken; the message says what to download.
    """
    return read_odgt(root / f"annotation_{split}.odgt", root / "Images")


def read_odgt(file: Path, folder: Path) -> tuple[Picture, ...]:
    """The pictures of an .odgt file; boxes are of the whole body, also where it is hidden or beyond the picture's edge.

    Masks and boxes marked `ignore` are regions to ignore.

    Raises:
        DataError: the file is missing or broken.
    """
    with reading(file, GET):
        lines = file.read_text(encoding="utf-8").splitlines()
        return tuple(_picture(line, number, folder) for number, line in enumerate(lines, 1) if line.strip())


def _picture(line: str, number: int, folder: Path) -> Picture:
    content = from_json(line, f"line {number}", error=DataError)
    found = [box for box in content["gtboxes"] if min(box["fbox"][2:]) > 0]
    boxes = xywh_to_xyxy([box["fbox"] for box in found if not _is_ignored(box)])
    ignore = xywh_to_xyxy([box["fbox"] for box in found if _is_ignored(box)])
    return Picture(folder / f"{content['ID']}.jpg", boxes, unlabelled(len(boxes)), ignore=ignore)


def _is_ignored(box: dict[str, Any]) -> bool:
    return bool(box["tag"] != "person" or box.get("extra", {}).get("ignore", 0) == 1)

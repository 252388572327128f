"""People's own boxes as COCO has them: one JSON file with `images`, `annotations` and `categories`.

Of each image `file_name` and if there `camera`; of each annotation `bbox` (x y w h) and if there `person_id` (negative: unlabelled).
Categories that are not called "person" do not count; `iscrowd` boxes are regions to ignore.
"""

from pathlib import Path
from typing import Any

import numpy as np

from personsearch.datasets.files import read_json, reading
from personsearch.datasets.people import UNLABELLED, Picture, xywh_to_xyxy

GET = 'write it as COCO does: "images" with id and file_name, "annotations" with image_id and bbox (x, y, width, height)'


def load(file: Path, folder: Path) -> tuple[Picture, ...]:
    """The pictures of a file, those without people too.

    Args:
        file: the JSON file.
        folder: `file_name` is relative to it.

    Raises:
        DataError: the file is missing or of another form.
    """
    with reading(file, GET):
        content = read_json(file)
        person = {one["id"] for one in content.get("categories", []) if one["name"] == "person"}
        rows: dict[Any, list[Any]] = {image["id"]: [] for image in content["images"]}
        for one in content["annotations"]:
            if not content.get("categories") or one["category_id"] in person:
                rows[one["image_id"]].append(one)
        return tuple(_picture(folder, image, rows[image["id"]]) for image in content["images"])


def _picture(folder: Path, image: dict[str, Any], rows: list[Any]) -> Picture:
    people = [one for one in rows if not one.get("iscrowd")]
    identities = np.array([max(int(one.get("person_id", UNLABELLED)), UNLABELLED) for one in people], np.int64)
    ignore = xywh_to_xyxy([one["bbox"] for one in rows if one.get("iscrowd")])
    return Picture(folder / image["file_name"], xywh_to_xyxy([one["bbox"] for one in people]), identities, image.get("camera"), ignore)

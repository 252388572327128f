"""People's own boxes as COCO has them: one JSON file with `images`, `annotations` and `categories`.

Of each image `id` and `file_name` are read, and if there `camera`, `width` and `height`; of each annotation `image_id` and `bbox`
(x y w h), and if there `person_id` (a number or a name; null or negative: unlabelled), `visibility` and `iscrowd` (a region to
ignore). Other categories than "person" do not count. All mistakes of a file are reported in one message.
"""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from personsearch.datasets.files import read_json, reading
from personsearch.datasets.identities import find_field, numbered
from personsearch.datasets.people import Picture, xywh_to_xyxy
from personsearch.datasets.problems import Problems, check_picture
from personsearch.errors import DataError, excerpt

GET = 'write it as COCO does: "images" with id and file_name, "annotations" with image_id and bbox (x, y, width, height)'
PERSON = "person"  # COCO's name of the category; case does not matter
FARTHEST = 1e6  # pixels; coordinates beyond are mistakes

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Fields:
    """What a file calls people and their identities.

    Attributes:
        category: Name of the category of people, in any case; None: "person".
        identity: Field with the identity, in the annotations or their `attributes`; None: `person_id`; "none": no identities.
    """

    category: str | None = None
    identity: str | None = None


DEFAULTS = Fields()


@dataclass(frozen=True)
class _Person:
    row: Row
    place: str  # annotations[3]
    crowd: bool


def load(
    file: Path, folder: Path, fields: Fields = DEFAULTS, *, min_visibility: float = 0.0, check_pictures: bool = False
) -> tuple[Picture, ...]:
    """The pictures of a file, those without people too.

    Args:
        file: JSON file: UTF-8 or UTF-16, with a byte order mark or without.
        folder: Folder that `file_name` is relative to.
        fields: Names of the category and of the identity, where they are not COCO's and ours.
        min_visibility: Smallest visible share of a person, 0..1; others are left out.
        check_pictures: Whether to open the header of every picture: missing ones, other sizes and boxes outside are then mistakes too.

    Raises:
        DataError: The file is missing or of another form; the message counts the mistakes of each kind, and has the first of each.
    """
    with reading(file, GET):
        content = read_json(file)
    if not isinstance(content, dict) or not all(isinstance(content.get(key), list) for key in ("images", "annotations")):
        raise DataError(f'{file} has no lists "images" and "annotations"; {GET}')
    problems = Problems()
    images = _images(content["images"], problems)
    people = _people(content, images, fields.category, problems)
    people = [one for one in people if _visibility(one.row) >= min_visibility]
    labelled = [one for one in people if not one.crowd]
    rows = [one.row for one in labelled]
    field = find_field(rows, fields.identity, problems)
    identities = dict(zip((one.place for one in labelled), numbered(rows, [one.place for one in labelled], field, problems), strict=True))
    cameras = _cameras(images, problems)
    if not check_pictures:
        problems.check(file)
    grouped: dict[Any, list[_Person]] = {image: [] for image in images}
    for one in people:
        grouped[one.row["image_id"]].append(one)
    pictures = []
    for image, row in images.items():
        picture = _picture(folder / row["file_name"], grouped[image], identities, cameras[image])
        if check_pictures:
            check_picture(picture, _declared(row), problems)
        pictures.append(picture)
    problems.check(file)
    return tuple(pictures)


def _images(rows: list[Any], problems: Problems) -> dict[Any, Row]:
    """The rows of images by id."""
    images: dict[Any, Row] = {}
    for number, row in enumerate(rows):
        name = row.get("file_name") if isinstance(row, dict) else None
        if not isinstance(row, dict) or not _is_id(row.get("id")) or not isinstance(name, str) or not name or "\0" in name:
            problems.add("image without id and file_name", f"images[{number}] is {excerpt(row)}")
        elif row["id"] in images:
            problems.add("image with the id of an earlier one", f"images[{number}] ({name!r:.80}) has id {excerpt(row['id'])}")
        else:
            images[row["id"]] = row
    return images


def _people(content: Row, images: Mapping[Any, Row], category: str | None, problems: Problems) -> list[_Person]:
    """The annotations of people, and of crowds of them, that are as they should be."""
    annotations = [(f"annotations[{number}]", row) for number, row in enumerate(content["annotations"])]
    for place, row in annotations:
        if not isinstance(row, dict) or "bbox" not in row or not _is_id(row.get("image_id")):
            problems.add("annotation without image_id and bbox", f"{place} is {excerpt(row)}")
    annotations = [(place, row) for place, row in annotations if isinstance(row, dict) and "bbox" in row and _is_id(row.get("image_id"))]
    wanted = _person_categories(content.get("categories"), [row for _, row in annotations], category, problems)
    people = []
    for place, row in annotations:
        if wanted is not None and not _is_id(row.get("category_id")):
            problems.add("annotation without category_id, though the file has categories", f"{place} is {excerpt(row)}")
        elif wanted is not None and row["category_id"] not in wanted:
            continue
        elif row["image_id"] not in images:
            problems.add("annotation of an image that is missing from images", f"{place} is of image {excerpt(row['image_id'])}")
        elif not _is_box(row["bbox"]):
            problems.add("bbox that is not x, y, width, height with a positive size", f"{place} has {excerpt(row['bbox'])}")
        elif not _is_number(_visibility(row)):
            problems.add("visibility that is not a number", f"{place} has {excerpt(row['visibility'])}")
        else:
            people.append(_Person(row, place, bool(row.get("iscrowd"))))
    return people


def _person_categories(rows: Any, annotations: list[Row], category: str | None, problems: Problems) -> set[Any] | None:
    """Ids of the categories of people; None: the file has no categories, so everybody counts."""
    if not rows:
        if category is not None:
            problems.add(f"category {category!r:.60} asked for, but the file has no categories", "leave it out")
        return None
    if not isinstance(rows, list) or not all(isinstance(row, dict) and _is_id(row.get("id")) for row in rows):
        problems.add("categories that are not a list of id and name", excerpt(rows))
        return None
    names = {row["id"]: row["name"].strip() for row in rows if isinstance(row.get("name"), str)}
    used = Counter(row["category_id"] for row in annotations if _is_id(row.get("category_id")))
    for unknown in sorted(used.keys() - names.keys(), key=str):
        where = "without a name" if any(row["id"] == unknown for row in rows) else "that is missing from categories"
        problems.add(f"category {where}", f"{excerpt(unknown)}, of {used[unknown]} annotations")
    wanted = {id_ for id_, name in names.items() if name.casefold() == (PERSON if category is None else category.strip()).casefold()}
    if not wanted and not (category is None and not names):
        listed = ", ".join(f"{name!r:.60} ({used[id_]} boxes)" for id_, name in list(names.items())[:20]) or "none with a name"
        example = next(iter(names.values()), "pedestrian")
        problems.add(
            f"category {(category or PERSON)!r:.60} that the file does not have; name the category of people with "
            f"--category (in Python: category={example!r:.60})",
            f"the file has {listed}",
        )
    return wanted


def _cameras(images: Mapping[Any, Row], problems: Problems) -> dict[Any, int | None]:
    """The camera of each image as a number; names of cameras are numbered in their order."""
    values = {image: row.get("camera") for image, row in images.items()}
    for image, value in values.items():
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | str)):
            problems.add("camera that is neither a whole number nor a name", f"image {excerpt(image)} has {excerpt(value)}")
    names = sorted({value for value in values.values() if isinstance(value, str)})
    after = 1 + max((value for value in values.values() if isinstance(value, int)), default=-1)
    numbers = {name: after + number for number, name in enumerate(names)}
    return {image: numbers[value] if isinstance(value, str) else value for image, value in values.items()}


def _picture(path: Path, people: list[_Person], identities: Mapping[str, int], camera: int | None) -> Picture:
    labelled = [one for one in people if not one.crowd]
    ignore = xywh_to_xyxy([one.row["bbox"] for one in people if one.crowd])
    numbers = np.array([identities[one.place] for one in labelled], np.int64)
    return Picture(path, xywh_to_xyxy([one.row["bbox"] for one in labelled]), numbers, camera, ignore)


def _declared(row: Row) -> tuple[int, int] | None:
    width, height = row.get("width"), row.get("height")
    return (width, height) if isinstance(width, int) and isinstance(height, int) and width > 0 < height else None


def _visibility(row: Row) -> Any:
    return 1.0 if row.get("visibility") is None else row["visibility"]


def _is_id(value: Any) -> bool:
    return isinstance(value, int | float | str) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= FARTHEST


def _is_box(value: Any) -> bool:
    """Four numbers whose size does not vanish when they are added in float32."""
    if not isinstance(value, list) or len(value) != 4 or not all(map(_is_number, value)):
        return False
    x1, y1, x2, y2 = xywh_to_xyxy([value])[0].tolist()
    return all(map(math.isfinite, (x1, y1, x2, y2))) and x2 > x1 and y2 > y1

"""Data sets to learn from: pictures with boxes and identities, one small protocol, and a reader of COCO-style JSON."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from personsearch import images
from personsearch.boxes import Array
from personsearch.datasets.people import UNLABELLED
from personsearch.errors import DataError

PERSON = "person"  # COCO's name of the category


@dataclass(frozen=True)
class Sample:
    """One picture with all its people."""

    image: Array  # (H, W, 3) uint8, RGB
    boxes: Array  # (N, 4) float32, xyxy pixels; N may be 0
    identities: Array  # (N,) int64, 0..L-1, or -1 for unlabelled people
    camera: int | None = None

    def __post_init__(self) -> None:
        n = len(self.identities)
        if self.boxes.shape != (n, 4) or self.identities.shape != (n,):
            raise DataError(f"{n} identities need boxes ({n}, 4), got {self.boxes.shape}; give each person a box and an identity or -1")


class PeopleDataset(Protocol):
    """Pictures by number. Identities are numbered 0..L-1 without gaps over the whole set."""

    @property
    def identities(self) -> int:
        """L."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Sample: ...


@dataclass(frozen=True)
class _CocoPicture:
    path: Path
    camera: int | None
    boxes: Array
    identities: Array


class CocoPeople:
    """Pictures and people of a COCO-style JSON file.

    Of each annotation `bbox` (x y w h) is read, and if there `person_id` (negative: unlabelled), and `visibility`; of each
    image `file_name`, relative to the folder of the JSON file, and if there `camera`. Where the file names categories, only
    those called "person" count; `iscrowd` boxes do not. Identities get new numbers without gaps, in order of the old ones:
    numbers with gaps would land behind OIM's table, in its queue.

    Args:
        file: the JSON file.
        min_visibility: smallest visible share of a person, 0..1; others are left out.
        folder: folder of the pictures; None for the file's own.

    Raises:
        DataError: the file is missing or not of this form; the message names the first mistake.
    """

    def __init__(self, file: Path, *, min_visibility: float = 0.0, folder: Path | None = None) -> None:
        content = _read(file)
        kept = _people_by_image(content, file, min_visibility)
        old = sorted({int(row.get("person_id", UNLABELLED)) for rows in kept.values() for row in rows})
        new = {identity: number for number, identity in enumerate(identity for identity in old if identity >= 0)}
        self.identities = len(new)
        self._pictures = [
            _picture(image, kept.get(image["id"], []), new, file.parent if folder is None else folder) for image in content["images"]
        ]

    def __len__(self) -> int:
        return len(self._pictures)

    def __getitem__(self, index: int) -> Sample:
        """The picture, decoded now. Raises ImageError if it is not readable."""
        picture = self._pictures[index]
        return Sample(images.load(picture.path), picture.boxes, picture.identities, picture.camera)


class JoinedPeople:
    """Several data sets in a row; identities of different sets are different people."""

    def __init__(self, parts: Sequence[PeopleDataset]) -> None:
        self._parts = list(parts)
        self._starts = np.cumsum([0, *(len(part) for part in parts)])
        self._names = np.cumsum([0, *(part.identities for part in parts)])

    @property
    def identities(self) -> int:
        """Of all parts together."""
        return int(self._names[-1])

    def __len__(self) -> int:
        return int(self._starts[-1])

    def __getitem__(self, index: int) -> Sample:
        """Picture `index` of all, with its identities moved behind those of the earlier parts."""
        if not 0 <= index < len(self):
            raise IndexError(f"picture {index} of {len(self)}")
        part = int(np.searchsorted(self._starts, index, side="right")) - 1
        sample = self._parts[part][index - int(self._starts[part])]
        moved = np.where(sample.identities >= 0, sample.identities + self._names[part], UNLABELLED)
        return Sample(sample.image, sample.boxes, moved, sample.camera)


def _read(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"{file} cannot be read ({error}); pass a COCO-style JSON file") from error
    except json.JSONDecodeError as error:
        raise DataError(f"{file} is not JSON ({error})") from error
    if not isinstance(content, dict) or not all(isinstance(content.get(key), list) for key in ("images", "annotations")):
        raise DataError(f'{file} has no lists "images" and "annotations"; is it a COCO-style file?')
    for key, needed in (("images", ("id", "file_name")), ("annotations", ("image_id", "bbox"))):
        for number, row in enumerate(content[key]):
            if not isinstance(row, dict) or not all(name in row for name in needed):
                raise DataError(f"{file}: {key}[{number}] needs {' and '.join(needed)}, got {row!r:.80}")
    return content


def _people_by_image(content: dict[str, Any], file: Path, min_visibility: float) -> dict[Any, list[dict[str, Any]]]:
    kept: dict[Any, list[dict[str, Any]]] = {image["id"]: [] for image in content["images"]}
    people = {row["id"] for row in content.get("categories", []) if row["name"] == PERSON}
    for number, row in enumerate(content["annotations"]):
        if row["image_id"] not in kept:
            raise DataError(f"{file}: annotations[{number}] is of image {row['image_id']!r}, which is missing from images")
        box = np.asarray(row["bbox"], np.float64)
        if box.shape != (4,) or not np.isfinite(box).all() or (box[2:] <= 0).any():
            raise DataError(f"{file}: annotations[{number}] has bbox {row['bbox']!r}; it must be x, y, width, height with a positive size")
        counts = not people or row.get("category_id") in people
        if counts and not row.get("iscrowd") and row.get("visibility", 1.0) >= min_visibility:
            kept[row["image_id"]].append(row)
    return kept


def _picture(image: dict[str, Any], rows: list[dict[str, Any]], new: dict[int, int], folder: Path) -> _CocoPicture:
    boxes = np.array([row["bbox"] for row in rows], np.float32).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    identities = np.array([new.get(int(row.get("person_id", UNLABELLED)), UNLABELLED) for row in rows], np.int64)
    return _CocoPicture(folder / image["file_name"], image.get("camera"), boxes, identities)

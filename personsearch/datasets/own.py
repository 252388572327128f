"""People's own data as a test set: every labelled person that other pictures show too is a query, searched in all other pictures."""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal, TypeAlias, get_args

import numpy as np

from personsearch.datasets import coco, yolo
from personsearch.datasets.coco import DEFAULTS, Fields
from personsearch.datasets.people import UNLABELLED, Picture, QueryPerson, SearchSet
from personsearch.errors import DataError

Own: TypeAlias = Literal["coco", "yolo"]
OWN: tuple[str, ...] = get_args(Own)
ANNOTATIONS = "annotations.json"


def load_test(name: Own, root: Path, fields: Fields = DEFAULTS) -> SearchSet:
    """Own pictures and queries.

    Args:
        name: "coco" or "yolo".
        root: Folder with `annotations.json`, or a JSON file ("coco"); folder of `images/` and `labels/` ("yolo").
        fields: Names of the category of people and of the identity in a COCO-style file.

    Raises:
        DataError: the data are broken, or have no person to search for.
    """
    if name == "yolo":
        pictures: Sequence[Picture] = yolo.load(root)
    else:
        file = root / ANNOTATIONS if os.path.isdir(root) else root
        pictures = coco.load(file, file.parent, fields, check_pictures=True)
    return search_set(pictures, root)


def across_cameras(data: SearchSet) -> SearchSet:
    """The same pictures, and only the queries whose person another camera shows; without queries if a picture has no camera."""
    cameras: dict[int, set[int | None]] = {}
    for picture in data.gallery:
        for identity in picture.identities.tolist():
            cameras.setdefault(identity, set()).add(picture.camera)
    known = all(picture.camera is not None for picture in data.gallery)
    return replace(data, queries=tuple(query for query in data.queries if known and len(cameras[query.identity]) > 1))


def search_set(pictures: Sequence[Picture], root: Path) -> SearchSet:
    """The pictures as a gallery, and a query for each labelled person whose identity another picture has too.

    Raises:
        DataError: no person is labelled in two pictures.
    """
    where: dict[int, set[Path]] = {}
    for picture in pictures:
        for identity in picture.identities[picture.identities != UNLABELLED].tolist():
            where.setdefault(identity, set()).add(picture.path)
    queries = [
        QueryPerson(picture.path, box, identity, picture.camera)
        for picture in pictures
        for box, identity in zip(picture.boxes, picture.identities.tolist(), strict=True)
        if identity != UNLABELLED and len(where[identity]) > 1
    ]
    if not queries:
        people = int(sum(len(picture.boxes) for picture in pictures))
        labelled = int(np.sum([(picture.identities != UNLABELLED).sum() for picture in pictures]))
        raise DataError(
            f"{root} has {people} people in {len(pictures)} pictures, {labelled} with an identity, but no identity in two pictures, so "
            "there is nothing to search for; give the boxes of a person in all pictures the same person_id (YOLO: a sixth number)"
        )
    return SearchSet(tuple(pictures), tuple(queries))

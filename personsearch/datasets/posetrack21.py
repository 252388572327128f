"""PoseTrack21: people in video sequences; a query picture may ask for several of them.

Layout: `posetrack_person_search/train.json`, `val.json` and `query.json`, and the pictures at the `file_name` in them (`images/...`).

Source: anDoer/PoseTrack21@b783a23 baselines/seqnet/datasets/posetrack_psearch.py (boxes cut to whole numbers, pictures without people left
out), @9324fc8 baselines/seqnet/eval_func.py (queries whose person is nowhere else are left out; what regions to ignore do is in
`personsearch.evaluation.ignored`).
"""

from pathlib import Path
from typing import Any

import numpy as np

from personsearch.boxes import Array
from personsearch.datasets.files import read_json, reading
from personsearch.datasets.people import Picture, QueryPerson, SearchSet, number_identities, xywh_to_xyxy, xyxy

GET = (
    "ask the authors of PoseTrack21 for the data set (anDoer/PoseTrack21 says how), unpack it, "
    "and name the folder that holds images/ and posetrack_person_search/"
)


def load_train(root: Path) -> tuple[tuple[Picture, ...], int]:
    """The training pictures with identities 0..L-1, and L.

    Raises:
        DataError: a file is missing or broken; the message says what to download.
    """
    return number_identities(_read(root, "train"))


def load_test(root: Path) -> SearchSet:
    """The pictures of `val.json` and the queries, each searched in all pictures but its own; the sequence counts as the camera.

    Raises:
        DataError: a file is missing or broken; the message says what to download.
    """
    gallery = _read(root, "val")
    where: dict[int, set[Path]] = {}
    for picture in gallery:
        for identity in picture.identities.tolist():
            where.setdefault(identity, set()).add(picture.path)
    queries = [
        QueryPerson(picture.path, box, identity, picture.camera)
        for picture in _read(root, "query")
        for box, identity in zip(picture.boxes, picture.identities.tolist(), strict=True)
        if where.get(identity, set()) - {picture.path}
    ]
    return SearchSet(gallery, tuple(queries))


def _read(root: Path, part: str) -> tuple[Picture, ...]:
    path = root / "posetrack_person_search" / f"{part}.json"
    with reading(path, GET):
        content = read_json(path)
        people: dict[int, list[Any]] = {image["id"]: [] for image in content["images"]}
        for one in content["annotations"]:
            people[one["image_id"]].append(one)
        return tuple(_picture(root, image, people[image["id"]]) for image in content["images"] if people[image["id"]])


def _picture(root: Path, image: dict[str, Any], people: list[Any]) -> Picture:
    boxes = np.trunc(xywh_to_xyxy([one["bbox"] for one in people]))
    identities = np.array([one["person_id"] for one in people], np.int64)
    ignored = _ignored(image)
    around = xyxy([np.concatenate([one.min(axis=0), one.max(axis=0)]) for one in ignored])
    return Picture(root / image["file_name"], boxes, identities, int(image["vid_id"]), around, ignored)


def _ignored(image: dict[str, Any]) -> tuple[Array, ...]:
    """The polygons to ignore, (P, 2) each; a single polygon may come without a list around it."""
    xs, ys = image.get("ignore_regions_x", []), image.get("ignore_regions_y", [])
    if xs and not isinstance(xs[0], list):
        xs, ys = [xs], [ys]
    return tuple(np.array(list(zip(x, y, strict=True)), np.float32) for x, y in zip(xs, ys, strict=True) if x)

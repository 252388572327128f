"""The gallery of each query, and the query person's true boxes in it.

The rules are those of the authors' code:

* PRW: every picture but the query's own; people of the same camera count. Cross-camera: only pictures of other cameras.
* CUHK-SYSU: each query's own list, with the person's box or none; (x, y, w, h) are truncated to whole numbers.
* If a person has two boxes in a picture, the first one counts.
* A picture listed twice is searched once, but the person in it is expected twice.

Source: serend1p1ty/SeqNet@edec285 eval_func.py.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from personsearch.boxes import Array
from personsearch.errors import DataError
from personsearch.evaluation.arrays import EvaluationData, EvaluationQuery, GalleryEntry


@dataclass(frozen=True)
class QueryGallery:
    """The pictures in which one query is searched."""

    scenes: Array  # (G,) int64, ascending and unique: positions in `EvaluationData.scenes`
    boxes: dict[int, Array]  # scene -> (4,) float32 xyxy, the person's true box in it
    expected: int  # number of times the person should be found


def prw(data: EvaluationData, *, cross_camera: bool = False) -> Callable[[int], QueryGallery]:
    """The PRW protocol, as a function of the query's number.

    Raises:
        DataError: `cross_camera` is set, and a picture or query has no camera.
    """
    if cross_camera:
        _check_cameras(data)
    names = np.array([scene.name for scene in data.scenes], object)
    cameras = np.array([scene.camera for scene in data.scenes], object)
    where: dict[int, dict[int, Array]] = {}
    for number, scene in enumerate(data.scenes):
        for identity, box in zip(scene.ids.tolist(), scene.boxes, strict=True):
            where.setdefault(identity, {}).setdefault(number, box)

    def gallery(number: int) -> QueryGallery:
        query = data.queries[number]
        searched = names != query.scene
        if cross_camera:
            searched &= cameras != query.camera
        boxes = {scene: box for scene, box in where.get(query.identity, {}).items() if searched[scene]}
        return QueryGallery(np.flatnonzero(searched), boxes, len(boxes))

    return gallery


def cuhk_sysu(data: EvaluationData) -> Callable[[int], QueryGallery]:
    """The CUHK-SYSU protocol, as a function of the query's number.

    Raises:
        DataError: a query has no list, or its list names an unknown picture.
    """
    numbers = {scene.name: number for number, scene in enumerate(data.scenes)}
    lists = [_known(query, number, numbers) for number, query in enumerate(data.queries)]

    def gallery(number: int) -> QueryGallery:
        entries = lists[number]
        boxes: dict[int, Array] = {}
        first = {numbers[entry.scene]: entry for entry in reversed(entries)}
        for scene, entry in first.items():
            if entry.box_xywh is not None:
                x, y, width, height = (int(value) for value in entry.box_xywh)
                boxes[scene] = np.array([x, y, x + width, y + height], np.float32)
        expected = sum(entry.box_xywh is not None for entry in entries)
        return QueryGallery(np.array(sorted(first), np.int64), boxes, expected)

    return gallery


def _known(query: EvaluationQuery, number: int, numbers: dict[str, int]) -> tuple[GalleryEntry, ...]:
    if query.gallery is None:
        raise DataError(f"queries[{number}] has no cuhk_gallery; the CUHK-SYSU protocol needs a list of pictures for each query")
    for position, entry in enumerate(query.gallery):
        if entry.scene not in numbers:
            raise DataError(f"queries[{number}].cuhk_gallery[{position}] names {entry.scene!r}, which is not in images")
    return query.gallery


def _check_cameras(data: EvaluationData) -> None:
    items: list[tuple[str, int | None]] = [(f"images[{number}]", scene.camera) for number, scene in enumerate(data.scenes)]
    items += [(f"queries[{number}]", query.camera) for number, query in enumerate(data.queries)]
    for field, camera in items:
        if camera is None:
            raise DataError(f"{field} has no camera; the cross-camera protocol needs the camera of every picture and query")

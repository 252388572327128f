"""The real pictures of the bundled model: boxes of their people for the detector, crops of some for the calibration."""

import logging
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from examples.nano.labeller import Labeller
from personsearch import images
from personsearch.boxes import Array, iou
from personsearch.datasets import yolo
from personsearch.datasets.files import check_folder
from personsearch.errors import DataError, ImageError
from personsearch.models.nano.steps import resize
from personsearch.models.two_step.model import crop
from personsearch.sources import Frame, open_source

log = logging.getLogger(__name__)

COCO = "coco128"
UNLABELLED = {"photos": 4, "street_photos": 4, "coco_val2014_20": 2, "18f_cc0": 1, "intel_frames": 1}  # folder: times each is listed
MAY_BE_MISSING = ("coco_val2014_20", "18f_cc0", "intel_frames")
HELD_OUT = 4  # one in so many pictures of coco128, by name, is for calibration
CROP = (256, 128)  # pixels, height and width
LEAST_LABEL = (16, 40)  # pixels, width and height of a labelled person that makes a crop
LIST_FRAMES = 28  # one in so many of a video
SURE = 0.3  # the labeller's score from which on a box is a person's
UNSURE = 0.12  # and above which it may be one
UNLABELLED_PERSON = 0.25  # the same where people have labelled the picture, who miss few
SAME = 0.5  # overlap of a found box with a labelled one from which on they are one person's
GET = "the card of the model, personsearch/data/nano/README.md, says which files belong there"


def readable(paths: Iterable[Path]) -> Iterator[tuple[Path, Array]]:
    """Path and RGB uint8 pixels (H, W, 3) of each picture; one that cannot be read is left out with a message."""
    for path in paths:
        try:
            pixels = images.load(path)
        except ImageError as error:
            log.warning("left out: %s", error)
            continue
        yield path, pixels


def labelled(folder: Path) -> Iterator[tuple[int, Path, Array, Array]]:
    """Number by name, path, pixels and people's boxes (N, 4) of the pictures that have a file of labels.

    Without one the picture is unlabelled: it counts neither as people nor as a place without people.

    Raises:
        DataError: pictures or labels are missing, or a file of labels is broken.
    """
    paths = _files(folder / "images", "*.jpg")
    _files(folder / "labels", "*.txt")
    number = {path: k for k, path in enumerate(paths)}
    labels = {path: folder / "labels" / f"{path.stem}.txt" for path in paths}
    for path, pixels in readable(path for path in paths if labels[path].exists()):
        yield number[path], path, pixels, yolo.read_picture(path, labels[path]).boxes


def unlabelled(data: Path) -> Iterator[tuple[Path, Array, int]]:
    """Path and pixels of the photographs without labels, and how often each is listed.

    Raises:
        DataError: a folder is missing or empty.
    """
    for name, repeats in UNLABELLED.items():
        if name in MAY_BE_MISSING and not (data / name).is_dir():
            log.warning("left out: %s is missing", data / name)
            continue
        for path, pixels in readable(_files(data / name, "*.jpg")):
            yield path, pixels, repeats


def frames(data: Path, every: int) -> Iterator[Frame]:
    """One in `every` frames of the videos; one that cannot be read is left out with a message.

    Raises:
        DataError: The folder has no video.
    """
    for path in _files(data / "videos", "*.mp4"):
        try:
            for item in open_source(path).items:
                yield from item.frames(every)
        except ImageError as error:
            log.warning("left out: %s", error)


def held_out_crops(data: Path) -> tuple[Array, Array]:
    """Crops (H, 256, 128, 3) of labelled people who are not trained on, and (H,) the numbers of their pictures."""
    crops, numbers = [], []
    for number, _, pixels, boxes in labelled(data / COCO):
        if number % HELD_OUT == 0:
            large = (boxes[:, 2:] - boxes[:, :2] >= LEAST_LABEL).all(axis=1)
            crops += [resize(crop(pixels, box), *CROP) for box in boxes[large]]
            numbers += [number] * int(large.sum())
    return np.array(crops, np.uint8).reshape(-1, *CROP, 3), np.array(numbers, int)


def list_people(data: Path, labeller: Labeller, folder: Path) -> list[dict[str, Any]]:
    """Rows of photos.json: `path`, `boxes` of people and `unsure` boxes, xyxy pixels; a video's frames are written into `folder`."""
    rows = []
    for number, path, pixels, boxes in labelled(data / COCO):
        if number % HELD_OUT:
            rows.append(_row(path, boxes, _beside(boxes, *labeller.people(pixels)) if len(boxes) else boxes))
    for path, pixels, repeats in unlabelled(data):
        rows += [_found(path, pixels, labeller)] * repeats
    folder.mkdir(parents=True, exist_ok=True)
    for frame in frames(data, LIST_FRAMES):
        path = folder / f"{Path(frame.image).stem}_{frame.frame:05}.png"
        cv2.imwrite(str(path), cv2.cvtColor(frame.pixels, cv2.COLOR_RGB2BGR))
        rows.append(_found(path, frame.pixels, labeller))
    return rows


def places_without_people(data: Path) -> list[Path]:
    """The labelled pictures without people."""
    return [path for _, path, _, boxes in labelled(data / COCO) if not len(boxes)]


def _files(folder: Path, pattern: str) -> list[Path]:
    check_folder(folder, GET)
    found = sorted(folder.glob(pattern))
    if not found:
        raise DataError(f"{folder} holds no {pattern}; {GET}")
    return found


def _beside(labels: Array, boxes: Array, scores: Array) -> Array:
    """The boxes, of (N, 4), that may be people missing from the labels (L, 4)."""
    missed: Array = boxes[(scores > UNLABELLED_PERSON) & (iou(boxes, labels).max(axis=1) < SAME)]
    return missed


def _found(path: Path, pixels: Array, labeller: Labeller) -> dict[str, Any]:
    boxes, scores = labeller.people(pixels)
    return _row(path, boxes[scores >= SURE], boxes[(scores > UNSURE) & (scores < SURE)])


def _row(path: Path, boxes: Array, unsure: Array) -> dict[str, Any]:
    return {"path": str(path.resolve()), "boxes": boxes.tolist(), "unsure": unsure.tolist()}

"""Crops of the people in the free photographs and videos, with what lies around them, so that they can be framed anew.

`python -m examples.nano.real_people --shared DIR --out DIR` writes `people.npy` and `pieces.npy`.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import typer

from examples.nano.command import run
from examples.nano.photographs import COCO, HELD_OUT, SAME, frames, readable
from examples.nano.teachers import Finder
from personsearch.boxes import Array, iou
from personsearch.datasets import yolo

WIDE = (320, 160)  # pixels, height and width; the person's box is the middle 256 x 128
MARGIN = 1.25  # the wide crop's sides over the box's
FOLDERS = ("coco_val2014_20", "photos", "street_photos", "18f_cc0", "intel_frames")
EVERY = 8  # frames of a video
LEAST_SCORE, LEAST_HEIGHT, LEAST_WIDTH = 0.25, 40, 14  # of a person found
PIECES = 12  # of each photograph, whatever it shows
PEOPLE_FILE, PIECES_FILE = "people.npy", "pieces.npy"
SEED = 5
NO_BOXES = np.zeros((0, 4), np.float32)


def photographs(data: Path) -> Iterator[tuple[Array, Array]]:
    """Pixels and known boxes (N, 4) of all pictures to learn from; pictures without labels have N = 0."""
    paths = sorted((data / COCO / "images").glob("*.jpg"))
    for path, pixels in readable(path for number, path in enumerate(paths) if number % HELD_OUT):
        labels = data / COCO / "labels" / f"{path.stem}.txt"
        yield pixels, yolo.read_picture(path, labels).boxes if labels.exists() else NO_BOXES
    for folder in FOLDERS:
        for _, pixels in readable(sorted((data / folder).rglob("*.jpg"))):
            yield pixels, NO_BOXES


def people_of(image: Array, known: Array, finder: Finder) -> Array:
    """Wide crops (N, 320, 160, 3) of the people whose boxes are known and of those that the finder adds."""
    found = finder.people(image, LEAST_SCORE)
    if len(known) and len(found):
        found = found[iou(found, known).max(axis=1) < SAME]
    boxes = np.concatenate([known, found])
    sides = boxes[:, 2:] - boxes[:, :2]
    large = (sides[:, 0] >= LEAST_WIDTH) & (sides[:, 1] >= LEAST_HEIGHT)
    return np.array([wide_crop(image, box) for box in boxes[large]], np.uint8).reshape(-1, *WIDE, 3)


def wide_crop(image: Array, box: Array) -> Array:
    """(320, 160, 3) uint8: the box and a margin; beyond the picture its border goes on."""
    height, width = WIDE
    size = (box[2:] - box[:2]) * MARGIN / (width, height)  # picture's pixels of one of the crop's
    middle = (box[:2] + box[2:]) / 2
    # averaged where it shrinks: warping takes single pixels
    shrink = max(1, int(min(size)))
    small = cv2.resize(image, None, fx=1 / shrink, fy=1 / shrink, interpolation=cv2.INTER_AREA) if shrink > 1 else image
    step, centre = size / shrink, middle / shrink
    matrix = np.array([[step[0], 0, centre[0] - step[0] * width / 2], [0, step[1], centre[1] - step[1] * height / 2]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(small, matrix, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE))


def pieces_of(image: Array, rng: np.random.Generator) -> Array:
    """Wide crops of random boxes of a person's shape."""
    rows, columns = image.shape[:2]
    heights = rng.uniform(40, max(41, min(rows, 2 * columns)), PIECES)
    widths = heights * rng.uniform(0.35, 0.65, PIECES)
    left, top = rng.uniform(0, (columns - widths).clip(1)), rng.uniform(0, (rows - heights).clip(1))
    boxes = np.stack([left, top, left + widths, top + heights], axis=1)
    return np.stack([wide_crop(image, box) for box in boxes])


def main(
    shared: Annotated[Path, typer.Option(help="Folder with data/ and teachers/.")],
    out: Annotated[Path, typer.Option(help="Folder to write.")],
) -> None:
    """Write the crops of people and pieces of photographs."""
    finder, rng = Finder(shared / "teachers"), np.random.default_rng(SEED)
    people, pieces = [], []
    for image, known in photographs(shared / "data"):
        people.append(people_of(image, known, finder))
        pieces.append(pieces_of(image, rng))
    people += [people_of(frame.pixels, NO_BOXES, finder) for frame in frames(shared / "data", EVERY)]
    out.mkdir(parents=True, exist_ok=True)
    for name, crops in ((PEOPLE_FILE, people), (PIECES_FILE, pieces)):
        np.save(out / name, np.concatenate(crops))
        print(f"{name}: {sum(map(len, crops))}")


if __name__ == "__main__":
    run(main)

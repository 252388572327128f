"""Pictures that the detector learns from: rendered scenes, labelled photographs, and photographs that a public detector labels."""

import json
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from personsearch import images
from personsearch.boxes import Array

SIDE = 416  # pixels of a training view
MIN_HEIGHT = 16  # pixels in the view; a smaller person is ignored
MIN_SEEN = 0.35  # people with less than this share of their box visible are ignored
GREY = 114
SCALES = {"scene": (0.5, 1.3), "photo": (0.3, 1.3)}  # of the picture, whose long side is first made LONG
LONG = 832


@dataclass(frozen=True)
class Picture:
    """A picture with its people, and with boxes that may or may not hold a person."""

    path: Path
    kind: str  # "scene" or "photo"
    boxes: Array  # (N, 4) float32 xyxy pixels
    unsure: Array  # (M, 4)


@dataclass(frozen=True)
class TrainView:
    """A piece of a picture as the network takes it."""

    canvas: Array  # (SIDE, SIDE, 3) uint8 RGB
    boxes: Array  # (N, 4) float32 xyxy pixels of the canvas
    unsure: Array  # (M, 4)


def rendered(folder: Path) -> list[Picture]:
    """The scenes of a folder made by `personsearch.synthetic`."""
    content = json.loads((folder / "annotations.json").read_text())
    rows: dict[int, list[tuple[list[float], float]]] = {image["id"]: [] for image in content["images"]}
    for row in content["annotations"]:
        x, y, width, height = row["bbox"]
        rows[row["image_id"]].append(([x, y, x + width, y + height], row["visibility"]))
    pictures = []
    for image in content["images"]:
        boxes = np.array([box for box, _ in rows[image["id"]]], np.float32).reshape(-1, 4)
        seen = np.array([visible >= MIN_SEEN for _, visible in rows[image["id"]]], bool)
        pictures.append(Picture(folder / image["file_name"], "scene", boxes[seen], boxes[~seen]))
    return pictures


def listed(file: Path) -> list[Picture]:
    """Photographs of a JSON list of {"path", "boxes", "unsure"}, as `examples.nano.pack` writes it."""
    return [
        Picture(Path(row["path"]), "photo", *(np.array(row[key], np.float32).reshape(-1, 4) for key in ("boxes", "unsure")))
        for row in json.loads(file.read_text())
    ]


def view(picture: Picture, rng: np.random.Generator, side: int = SIDE) -> TrainView:
    """A random piece of the picture, at a random scale, mirrored or not, in other light."""
    piece = _piece(picture, rng, side, 1.0)
    return TrainView(_light(piece.canvas, rng), piece.boxes, piece.unsure)


def mosaic(chosen: list[Picture], rng: np.random.Generator, side: int = SIDE) -> TrainView:
    """Pieces of four pictures, at half the scale, in one view: small people."""
    half = side // 2
    canvas = np.empty((side, side, 3), np.uint8)
    boxes, unsure = [], []
    for number, picture in enumerate(chosen):
        piece = _piece(picture, rng, half, 0.5)
        top, left = number // 2 * half, number % 2 * half
        canvas[top : top + half, left : left + half] = piece.canvas
        at = np.array([left, top] * 2, np.float32)
        boxes.append(piece.boxes + at)
        unsure.append(piece.unsure + at)
    return TrainView(_light(canvas, rng), np.concatenate(boxes), np.concatenate(unsure))


def _piece(picture: Picture, rng: np.random.Generator, side: int, shrink: float) -> TrainView:
    """A random piece of the picture of `side` pixels, at a random scale times `shrink`, mirrored or not."""
    image = images.load(picture.path)
    height, width = image.shape[:2]
    low, high = SCALES[picture.kind]
    scale = shrink * LONG / max(height, width) * float(np.exp(rng.uniform(np.log(low), np.log(high))))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    image = cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    left, top = (int(rng.integers(min(0, length - side), max(0, length - side) + 1)) for length in size)
    canvas = np.full((side, side, 3), GREY, np.uint8)
    pixels = image[max(0, top) : top + side, max(0, left) : left + side]
    at_y, at_x = max(0, -top), max(0, -left)
    canvas[at_y : at_y + pixels.shape[0], at_x : at_x + pixels.shape[1]] = pixels
    ratio = np.array([size[0] / width, size[1] / height] * 2, np.float32)
    boxes, cut = _inside(picture.boxes * ratio - np.array([left, top] * 2, np.float32), side)
    unsure, _ = _inside(picture.unsure * ratio - np.array([left, top] * 2, np.float32), side, least=0)
    unsure = np.concatenate([unsure, cut])
    if rng.random() < 0.5:
        canvas = canvas[:, ::-1]
        boxes, unsure = _mirrored(boxes, side), _mirrored(unsure, side)
    return TrainView(canvas, boxes, unsure)


def _inside(boxes: Array, side: int, least: float = MIN_SEEN) -> tuple[Array, Array]:
    """Boxes cut to the view: those of which enough is inside, and those of which less is."""
    kept = boxes.clip(0, side)
    sides, whole = kept[:, 2:] - kept[:, :2], boxes[:, 2:] - boxes[:, :2]
    share = sides.prod(axis=1) / whole.prod(axis=1).clip(1e-6)
    good = (share >= least) & (sides.min(axis=1) > 2) & (whole[:, 1] >= MIN_HEIGHT)
    return kept[good], kept[~good & (sides.min(axis=1) > 0)]


def _mirrored(boxes: Array, side: int) -> Array:
    return np.stack([side - boxes[:, 2], boxes[:, 1], side - boxes[:, 0], boxes[:, 3]], axis=1)


def _light(canvas: Array, rng: np.random.Generator) -> Array:
    gain = rng.uniform(0.65, 1.35) * (1 + 0.06 * rng.standard_normal(3))
    changed = canvas * gain.astype(np.float32) + rng.uniform(-20, 20)
    if rng.random() < 0.1:
        changed = np.repeat(changed.mean(axis=2, keepdims=True), 3, axis=2)
    if rng.random() < 0.2:
        changed = changed + rng.uniform(1, 8) * rng.standard_normal(changed.shape, np.float32)
    result = changed.clip(0, 255).astype(np.uint8)
    return cv2.GaussianBlur(result, (0, 0), float(rng.uniform(0.4, 1.2))) if rng.random() < 0.15 else result

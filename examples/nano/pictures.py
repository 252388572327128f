"""Pictures that the detector learns from, and the pieces of them that it sees: what it should say of them its teacher knows."""

import json
import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

from personsearch import images
from personsearch.boxes import Array

GREY = 114
LONG = 832  # pixels of a picture's long side at scale 1
SCALES = (0.3, 1.3)
STRETCH = 0.06  # spread of the logarithm of height over width
NEAR = 0.5  # of the pieces of a picture with people, those that lie around a person
HELD = 2048  # pictures in memory


@dataclass(frozen=True)
class Picture:
    """A picture and where people may be."""

    path: Path
    boxes: Array  # (N, 4) float32 xyxy pixels; may be empty though there are people


def rendered(folder: Path) -> list[Picture]:
    """The scenes of a folder made by `personsearch.synthetic`; their people are so many that every piece has some."""
    return [Picture(path, np.zeros((0, 4), np.float32)) for path in sorted(folder.rglob("*.jpg"))]


def listed(file: Path) -> list[Picture]:
    """Photographs of a JSON list of {"path", "boxes"}, as `examples.nano.pack` writes it; each as often as it is listed."""
    return [Picture(Path(row["path"]), np.array(row["boxes"], np.float32).reshape(-1, 4)) for row in json.loads(file.read_text())]


def view(picture: Picture, rng: np.random.Generator, size: tuple[int, int]) -> Array:
    """A piece (height, width, 3) of the picture, uint8 RGB, at a random scale, mirrored or not, in other light."""
    return _light(_piece(picture, rng, size, 1.0), rng)


def mosaic(chosen: list[Picture], rng: np.random.Generator, size: tuple[int, int]) -> Array:
    """Pieces of four pictures, at half the scale, in one view: small people."""
    height, width = size[0] // 2, size[1] // 2
    canvas = np.full((*size, 3), GREY, np.uint8)
    for number, picture in enumerate(chosen):
        top, left = number // 2 * height, number % 2 * width
        canvas[top : top + height, left : left + width] = _piece(picture, rng, (height, width), 0.5)
    return _light(canvas, rng)


@lru_cache(maxsize=HELD)
def _loaded(path: Path) -> tuple[Array, float]:
    """A picture no larger than the largest scale needs, and its size over the file's."""
    image = images.load(path)
    ratio = min(1.0, LONG * SCALES[1] / max(image.shape[:2]))
    size = (max(1, round(image.shape[1] * ratio)), max(1, round(image.shape[0] * ratio)))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA) if ratio < 1 else image, ratio


def _piece(picture: Picture, rng: np.random.Generator, size: tuple[int, int], shrink: float) -> Array:
    """A random piece of the picture of `size`, at a random scale times `shrink`, on grey if the picture is smaller."""
    image, ratio = _loaded(picture.path)
    scale = shrink * LONG / max(image.shape[:2]) * math.exp(rng.uniform(*np.log(SCALES)))
    stretch = math.exp(rng.normal(0, STRETCH))
    scales = np.array([scale / stretch, scale * stretch])  # of height and width
    whole = np.array(image.shape[:2])
    part = np.minimum(whole, np.ceil(size / scales).astype(int))
    corner = rng.integers(whole - part + 1)
    if len(picture.boxes) and rng.random() < NEAR:
        box = picture.boxes[rng.integers(len(picture.boxes))] * ratio
        point = rng.uniform(box[[1, 0]], box[[3, 2]])
        corner = (point - rng.uniform(0.3, 0.7, 2) * part).clip(0, whole - part).astype(int)
    (top, left), (height, width) = corner, part
    target = np.clip(np.round(part * scales).astype(int), 1, size)
    pixels = np.ascontiguousarray(image[top : top + height, left : left + width])
    small = cv2.resize(pixels, tuple(target[::-1].tolist()), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    canvas = np.full((*size, 3), GREY, np.uint8)
    y, x = rng.integers(np.array(size) - target + 1)
    canvas[y : y + target[0], x : x + target[1]] = small[:, ::-1] if rng.random() < 0.5 else small
    return canvas


def _light(canvas: Array, rng: np.random.Generator) -> Array:
    if rng.random() < 0.3:
        return canvas
    gain = rng.uniform(0.55, 1.45) * (1 + 0.08 * rng.standard_normal(3))
    levels = np.arange(256)[:, None] * gain + rng.uniform(-25, 25)
    changed: Array = cv2.LUT(canvas, levels.clip(0, 255).astype(np.uint8)[None])
    kind = rng.random()
    if kind < 0.1:
        changed = np.repeat(changed.mean(axis=2, keepdims=True).astype(np.uint8), 3, axis=2)
    elif kind < 0.25:
        noisy = changed + rng.uniform(1, 8) * rng.standard_normal(changed.shape, np.float32)
        changed = noisy.clip(0, 255).astype(np.uint8)
    elif kind < 0.4:
        changed = np.asarray(cv2.GaussianBlur(changed, (0, 0), float(rng.uniform(0.4, 1.3))))
    return changed

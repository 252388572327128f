"""What a camera and a detector make of a person: framing, light, colours, blur, coarse pixels, JPEG, something in the way."""

import math
from dataclasses import dataclass

import cv2
import numpy as np

from personsearch.boxes import Array

SIZE = (256, 128)  # pixels of the changed crop, height and width
SOLID = 0.3  # share of covers that have one colour


@dataclass(frozen=True)
class Changes:
    """How often and how much a camera changes a crop; the defaults are strong, `STREET` is what cameras in a street do."""

    upper: float = 0.08  # share of crops that show the upper body only
    lit: float = 0.85
    light: float = 1.0  # factor of the changes of light
    grey: float = 0.03
    coarse: float = 0.4
    least_height: int = 36  # pixels of a coarse person
    blurred: float = 0.3
    most_blur: float = 3.0  # pixels
    noisy: float = 0.2
    jpeg: float = 0.4
    covered: float = 0.25


STRONG = Changes()
STREET = Changes(
    upper=0.03, lit=0.6, light=0.5, grey=0.01, coarse=0.35, least_height=70, blurred=0.15, most_blur=1.2, noisy=0.1, covered=0.08
)


def seen(wide: Array, covers: Array, rng: np.random.Generator, changes: Changes = STRONG) -> Array:
    """A changed crop (256, 128, 3) uint8 of a wide crop (320, 160, 3), whose box is the middle.

    Args:
        wide: with the person.
        covers: (N, H, W, 3) of which pieces stand before the person.
        rng: draws all changes.
        changes: How often and how much.
    """
    crop = framed(wide, rng, changes.upper)
    if rng.random() < changes.covered:
        covered(crop, covers, rng)
    if rng.random() < changes.lit:
        crop = lit(crop, rng, changes)
    return coarse(crop, rng, changes)


def framed(wide: Array, rng: np.random.Generator, upper_share: float) -> Array:
    """The person's box, moved, stretched, turned and mirrored a little, as by another detector."""
    rows, columns = SIZE
    height = rows * (rng.uniform(0.5, 0.7) if (upper := rng.random() < upper_share) else np.exp(rng.normal(0.02, 0.07)))
    width = columns * np.exp(rng.normal(0.02, 0.08))
    x = wide.shape[1] / 2 + rng.normal(0, 0.035) * columns
    y = (wide.shape[0] - rows + height) / 2 if upper else wide.shape[0] / 2 + rng.normal(0, 0.025) * rows
    angle, shear = math.radians(rng.normal(0, 1.5)), rng.normal(0, 0.02)
    mirror = -1 if rng.random() < 0.5 else 1
    turn = np.array([[math.cos(angle), -math.sin(angle) + shear], [math.sin(angle), math.cos(angle)]])
    step = turn * (mirror * width / columns, height / rows)
    matrix = np.column_stack([step, (x, y) - step @ (columns / 2, rows / 2)])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(wide, matrix, (columns, rows), flags=flags, borderMode=cv2.BORDER_REPLICATE))


def covered(crop: Array, covers: Array, rng: np.random.Generator) -> None:
    """Put a piece of another crop, or one colour, over a part of a crop, in place."""
    rows, columns = SIZE
    height, width = int(rows * rng.uniform(0.1, 0.5)), int(columns * rng.uniform(0.15, 0.6))
    top = rows - height if rng.random() < 0.4 else int(rng.integers(rows - height + 1))
    left = int(rng.integers(columns - width + 1))
    if rng.random() < SOLID:
        crop[top : top + height, left : left + width] = rng.integers(0, 256, 3)
    else:
        cover = covers[int(rng.integers(len(covers)))]
        crop[top : top + height, left : left + width] = cover[top : top + height, left : left + width]


def lit(crop: Array, rng: np.random.Generator, changes: Changes) -> Array:
    """Another gain, gamma, white balance, contrast, haze and saturation."""
    light = changes.light
    gain = np.exp(rng.normal(0, 0.25 * light)) * np.exp(rng.normal(0, 0.07 * light, 3))
    gamma, haze = np.exp(rng.normal(0, 0.22 * light)), max(0.0, rng.normal(-0.05, 0.1 * light))
    levels = (np.arange(256) / 255)[:, None] ** gamma * gain * (1 - haze) + haze
    crop = np.asarray(cv2.LUT(crop, (levels * 255).clip(0, 255).astype(np.uint8)[None]))
    saturation = 0.0 if rng.random() < changes.grey else float(np.exp(rng.normal(0, 0.3 * light)))
    grey = cv2.cvtColor(cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    return np.asarray(cv2.addWeighted(crop, saturation, grey, 1 - saturation, 0))


def other_light(picture: Array, rng: np.random.Generator) -> Array:
    """Mild changes of colour and contrast, each of half of the pictures."""
    pixels = picture.astype(np.float32)
    if rng.random() < 0.5:
        pixels *= np.exp(rng.normal(0, 0.15, 3)).astype(np.float32)
    if rng.random() < 0.5:
        middle = pixels.mean()
        pixels = (pixels - middle) * np.float32(np.exp(rng.normal(0, 0.2))) + middle + np.float32(rng.normal(0, 12))
    return pixels.clip(0, 255).astype(np.uint8)


def sharpened(picture: Array, rng: np.random.Generator) -> Array:
    """A picture as sharp as cameras make it, half of them with their noise.

    Crops of 60 to 160 pixels from a camera have several times the finest detail of crops that were made small on a computer.
    """
    pixels = picture.astype(np.float32)
    amount = np.exp(rng.uniform(np.log(0.3), np.log(3.5)))
    pixels += np.float32(amount) * (pixels - cv2.GaussianBlur(pixels, (0, 0), rng.uniform(0.6, 1.3)))
    if rng.random() < 0.5:
        channels = 3 if rng.random() < 0.5 else 1
        pixels += rng.normal(0, rng.uniform(1, 12), (*picture.shape[:2], channels)).astype(np.float32)
    return pixels.clip(0, 255).astype(np.uint8)


def coarse(crop: Array, rng: np.random.Generator, changes: Changes) -> Array:
    """A crop as a poorer camera has it: farther away, out of focus or shaken, noisy, compressed."""
    rows, columns = SIZE
    if small := rng.random() < changes.coarse:
        height = int(np.exp(rng.uniform(np.log(changes.least_height), np.log(180))))
        crop = cv2.resize(crop, (max(8, height // 2), height), interpolation=cv2.INTER_AREA)
    if rng.random() < changes.blurred:
        sigma = rng.uniform(0.4, 1.0 if small else changes.most_blur)
        shaken = rng.random() < 0.3
        crop = cv2.GaussianBlur(crop, (0, 0), sigmaX=sigma * (2 if shaken else 1), sigmaY=0.3 if shaken else sigma)
    if rng.random() < changes.noisy:
        crop = (crop + rng.normal(0, rng.uniform(2, 12), crop.shape)).clip(0, 255).astype(np.uint8)
    if rng.random() < changes.jpeg:
        quality = int(rng.uniform(25, 90))
        crop = np.asarray(cv2.imdecode(cv2.imencode(".jpg", crop, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_COLOR))
    return np.asarray(cv2.resize(crop, (columns, rows), interpolation=cv2.INTER_LINEAR)) if small else np.asarray(crop)

"""What a camera and a detector make of a person: framing, light, colours, blur, coarse pixels, JPEG, something in the way."""

import math

import cv2
import numpy as np

from personsearch.boxes import Array

SIZE = (256, 128)  # pixels of the changed crop, height and width
UPPER = 0.08  # share of crops that show the upper body only
LIT, GREY, COARSE, BLURRED, NOISY, JPEG, COVERED = 0.85, 0.03, 0.4, 0.3, 0.2, 0.4, 0.25
SOLID = 0.3  # share of covers that have one colour


def seen(wide: Array, covers: Array, rng: np.random.Generator) -> Array:
    """A changed crop (256, 128, 3) uint8 of a wide crop (320, 160, 3), whose box is the middle.

    Args:
        wide: with the person.
        covers: (N, H, W, 3) of which pieces stand before the person.
        rng: draws all changes.
    """
    crop = framed(wide, rng)
    if rng.random() < COVERED:
        covered(crop, covers, rng)
    if rng.random() < LIT:
        crop = lit(crop, rng)
    return coarse(crop, rng)


def framed(wide: Array, rng: np.random.Generator) -> Array:
    """The person's box, moved, stretched, turned and mirrored a little, as by another detector."""
    rows, columns = SIZE
    height = rows * (rng.uniform(0.5, 0.7) if (upper := rng.random() < UPPER) else np.exp(rng.normal(0.02, 0.07)))
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


def lit(crop: Array, rng: np.random.Generator) -> Array:
    """Another gain, gamma, white balance, contrast, haze and saturation."""
    gain = np.exp(rng.normal(0, 0.25)) * np.exp(rng.normal(0, 0.07, 3))
    gamma, haze = np.exp(rng.normal(0, 0.22)), max(0.0, rng.normal(-0.05, 0.1))
    levels = (np.arange(256) / 255)[:, None] ** gamma * gain * (1 - haze) + haze
    crop = np.asarray(cv2.LUT(crop, (levels * 255).clip(0, 255).astype(np.uint8)[None]))
    saturation = 0.0 if rng.random() < GREY else float(np.exp(rng.normal(0, 0.3)))
    grey = cv2.cvtColor(cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    return np.asarray(cv2.addWeighted(crop, saturation, grey, 1 - saturation, 0))


def coarse(crop: Array, rng: np.random.Generator) -> Array:
    """A crop as a poorer camera has it: farther away, out of focus or shaken, noisy, compressed."""
    rows, columns = SIZE
    if small := rng.random() < COARSE:
        height = int(np.exp(rng.uniform(np.log(36), np.log(180))))
        crop = cv2.resize(crop, (max(8, height // 2), height), interpolation=cv2.INTER_AREA)
    if rng.random() < BLURRED:
        sigma = rng.uniform(0.4, 1.0 if small else 3.0)
        shaken = rng.random() < 0.3
        crop = cv2.GaussianBlur(crop, (0, 0), sigmaX=sigma * (2 if shaken else 1), sigmaY=0.3 if shaken else sigma)
    if rng.random() < NOISY:
        crop = (crop + rng.normal(0, rng.uniform(2, 12), crop.shape)).clip(0, 255).astype(np.uint8)
    if rng.random() < JPEG:
        quality = int(rng.uniform(25, 90))
        crop = np.asarray(cv2.imdecode(cv2.imencode(".jpg", crop, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_COLOR))
    return np.asarray(cv2.resize(crop, (columns, rows), interpolation=cv2.INTER_LINEAR)) if small else np.asarray(crop)

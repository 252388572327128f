"""What a picture shows: clothes in other colours, two people joined at the hips or mixed, so that few people become many."""

import cv2
import numpy as np

from personsearch.boxes import Array

JOINED, MIXED, RECOLOURED = 0.2, 0.1, 0.5  # share of pictures
SOFT = 6  # rows over which two people run into each other


def varied(crop: Array, others: Array, rng: np.random.Generator, *, muted: bool = False) -> Array:
    """A wide crop (H, W, 3) uint8, maybe joined or mixed with one of `others` (N, H, W, 3), maybe in other colours.

    Args:
        crop: Crop to vary.
        others: Crops to join it or mix it with.
        rng: Source of all changes.
        muted: Whether the other colours are those of a street: dark, grey, pale.
    """
    kind = rng.random()
    if kind < JOINED + MIXED:
        other = others[int(rng.integers(len(others)))]
        other = other[:, ::-1] if rng.random() < 0.5 else other
        crop = joined(crop, other, rng.uniform(0.4, 0.6)) if kind < JOINED else mixed(crop, other, rng.uniform(0.25, 0.5))
    return recoloured(crop, rng, muted=muted) if rng.random() < RECOLOURED else crop


def joined(upper: Array, lower: Array, at: float) -> Array:
    """The upper part of one crop over the lower part of another; `at` is the border's height, 0..1 from the top."""
    rows = np.arange(len(upper))
    weight = ((rows - at * len(upper)) / SOFT).clip(0, 1)[:, None, None]
    both: Array = (upper * (1 - weight) + lower * weight).round().astype(np.uint8)
    return both


def mixed(crop: Array, other: Array, share: float) -> Array:
    """The mean of two crops, with `share` of the other."""
    return np.asarray(cv2.addWeighted(crop, 1 - share, np.ascontiguousarray(other), share, 0))


def recoloured(crop: Array, rng: np.random.Generator, *, muted: bool) -> Array:
    """A crop in other colours, those above the hips and below changed each in their own way."""
    hsv = cv2.cvtColor(np.ascontiguousarray(crop), cv2.COLOR_RGB2HSV)
    border = int(len(hsv) * rng.uniform(0.42, 0.58))
    levels = np.arange(256)
    for part in (hsv[:border], hsv[border:]):
        if rng.random() < 0.25:
            continue
        hue = (levels + rng.uniform(0, 180)) % 180
        if muted:
            saturation = levels * rng.uniform(0, 0.7) + rng.uniform(0, 12)
            value = levels * np.exp(rng.uniform(np.log(0.25), np.log(1.3)))
        else:
            saturation = levels * np.exp(rng.normal(0, 0.5)) + rng.uniform(0, 50)
            value = levels * np.exp(rng.normal(0, 0.35)) + rng.normal(0, 20)
        tables = np.stack([hue, saturation, value], axis=1).clip(0, 255).astype(np.uint8)
        part[:] = cv2.LUT(part, tables[None])
    return np.asarray(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB))

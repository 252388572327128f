"""A checksum for each person, because Lance does not notice when the disk gives back other values."""

import zlib
from collections.abc import Sequence

import numpy as np

from personsearch.boxes import Array

CHECKSUM = "checksum"  # column of the table
ROWS_AT_ONCE = 8192
# Products of two odd numbers are odd, so that no change of one value leaves a sum as it was.
ODD = 0x9E3779B97F4A7C15
NAME, FRAME, ROW = (np.uint64(number * ODD % 2**64) for number in (3, 5, 7))


def checksums(images: Array, frames: Array, rows: Array, boxes: Array, scores: Array, embeddings: Array) -> Array:
    """(N,) int64: a sum over each person's values, modulo 2^64.

    Args:
        images: (N,) str objects.
        frames: (N,) int.
        rows: (N,) int.
        boxes: (N, 4) float32.
        scores: (N,) float32.
        embeddings: (N, D) float32, as they come back from the storage.
    """
    sums = np.empty(len(images), np.uint64)
    weights = np.arange(11, 11 + 2 * (5 + embeddings.shape[1]), 2, dtype=np.uint64) * np.uint64(ODD)
    for start in range(0, len(images), ROWS_AT_ONCE):
        part = slice(start, start + ROWS_AT_ONCE)
        values = np.concatenate([boxes[part], scores[part, None], embeddings[part]], axis=1, dtype=np.float32)
        sums[part] = values.view(np.uint32).astype(np.uint64) @ weights
    sums += _digests(images) * NAME
    sums += np.asarray(frames).astype(np.uint64) * FRAME + np.asarray(rows).astype(np.uint64) * ROW
    return sums.view(np.int64)


def moved(sums: Array, old: Sequence[str], new: Sequence[str]) -> Array:
    """The checksums of people whose image has got another name."""
    names = _digests(np.array(new, dtype=object)) - _digests(np.array(old, dtype=object))
    return (np.asarray(sums, np.int64).view(np.uint64) + names * NAME).view(np.int64)


def _digests(images: Array) -> Array:
    known: dict[str, int] = {}
    for image in images:
        if image not in known:
            known[image] = zlib.crc32(image.encode(errors="surrogatepass"))
    return np.array([known[image] for image in images], np.uint64)

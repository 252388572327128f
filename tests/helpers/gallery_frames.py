"""Helpers of the gallery's tests: a model's key, frames with random people, a search in files, other processes."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from personsearch.boxes import Array
from personsearch.gallery import FramePeople, Gallery, ModelKey
from personsearch.results import Detections

KEY = ModelKey("tiny", "a1" * 32, embedding_dim=3)


def frame(
    image: str, people: int = 1, *, number: int = 0, time: float | None = None, last: bool = True, seed: int = 0, dim: int = 3
) -> FramePeople:
    """A frame with `people` people whose arrays are random, but the same for the same arguments."""
    rng = np.random.default_rng([seed, number, *image.encode()])
    embeddings = rng.standard_normal((people, dim)).astype(np.float32)
    detections = Detections(
        rng.uniform(0, 100, (people, 4)).astype(np.float32), np.sort(rng.uniform(size=people).astype(np.float32))[::-1], embeddings
    )
    return FramePeople(image, number, time, 480, 640, f"digest of {image}", 1234, 10**18, "photos", last, detections)


def embeddings_of(gallery: Gallery, image: str) -> Array:
    people = gallery.people()
    return people.embeddings[people.images == image]


def files_with(folder: Path, data: bytes) -> list[str]:
    return [str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() and data in path.read_bytes()]


def run(script: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True, timeout=60, env=environment())


def environment() -> dict[str, str]:
    """For processes that import this file as `tests.helpers.gallery_frames`."""
    return {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}

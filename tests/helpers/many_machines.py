"""Pictures for several workers, a stand-in for their cluster, and the comparison of what they found."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from personsearch import Gallery
from personsearch.distributed import cluster
from personsearch.gallery import People
from tests.helpers.fake_ray import FakeRay
from tests.helpers.fakes import BLUE, GREEN, RED, scene


def write_photos(folder: Path, count: int) -> Path:
    """A folder of pictures with one to three people each."""
    folder.mkdir()
    for number in range(count):
        people = [(RED, 10, 10, 40 + number), (GREEN, 60, 20, 60 + number % 7), (BLUE, 100, 20, 70)][: 1 + number % 3]
        Image.fromarray(scene(*people)).save(folder / f"{number:02}.png")
    return folder


def fake_cluster(monkeypatch: pytest.MonkeyPatch) -> FakeRay:
    """A cluster whose workers run in this process."""
    fake = FakeRay()

    @contextmanager
    def joined(workers: int) -> Iterator[FakeRay]:
        yield fake

    monkeypatch.setattr(cluster, "joined", joined)
    return fake


def same_people(gallery: Gallery, other: Gallery) -> bool:
    """Whether two galleries have the same people, to the bit."""
    one, two = gallery.people(), other.people()
    return all(np.array_equal(getattr(one, name), getattr(two, name), equal_nan=name == "times") for name in People.__dataclass_fields__)

"""The scenes and people of one version of a gallery, by number."""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from threading import Lock

import numpy as np

from personsearch.gallery import Gallery, People

FRESH_SECONDS = 0.5  # looking for a newer version takes longer than a search


@dataclass(frozen=True)
class Scene:
    """One picture, or one frame of a video, with its people."""

    image: int  # number of the picture or video
    name: str  # its path
    frame: int
    people: range  # rows of `Catalog.people`


@dataclass(frozen=True)
class Catalog:
    """One version of a gallery. Of a video, the frames with people are scenes; of pictures all are."""

    people: People
    scenes: Sequence[Scene]  # by name and frame
    positions: dict[tuple[int, int], int]  # image number and frame -> position in `scenes`
    image_count: int

    def scene(self, image: int, frame: int) -> Scene | None:
        """The scene of an image number and a frame; None if this version has no such scene."""
        position = self.positions.get((image, frame))
        return None if position is None else self.scenes[position]

    def time(self, scene: Scene) -> float | None:
        """Seconds into the video; None for a picture."""
        if not scene.people:
            return None
        seconds = float(self.people.times[scene.people.start])
        return None if np.isnan(seconds) else seconds

    def row(self, scene: Scene, row: int) -> int | None:
        """Row of `people` of the person with this row in the scene; None if there is none."""
        rows = self.people.rows[scene.people.start : scene.people.stop]
        position = int(np.searchsorted(rows, row))
        return scene.people.start + position if position < len(rows) and rows[position] == row else None


@dataclass
class Catalogs:
    """The catalog of a gallery's newest version. Numbers of images stay when the gallery changes."""

    _numbers: dict[str, int] = field(default_factory=dict)
    _last: Catalog | None = None
    _gallery: Gallery | None = None
    _checked: float = 0.0
    _lock: Lock = field(default_factory=Lock)

    def newest(self, gallery: Gallery) -> Catalog:
        """The catalog, made anew only if the gallery has changed; what another process wrote is seen within `FRESH_SECONDS`."""
        with self._lock:
            if self._last is not None and self._gallery is gallery and time.monotonic() < self._checked + FRESH_SECONDS:
                return self._last
        checked, people = time.monotonic(), gallery.people()  # the same object while nothing changes
        with self._lock:
            self._gallery, self._checked = gallery, checked
            if self._last is None or self._last.people is not people:
                self._last = self._make(gallery, people)
            return self._last

    def number(self, name: str) -> int | None:
        """Number of a picture or video; None if no catalog has had it."""
        return self._numbers.get(name)

    def _make(self, gallery: Gallery, people: People) -> Catalog:
        starts = np.flatnonzero(np.diff(people.scenes, prepend=-1))
        stops = np.append(starts, len(people))[1:]
        shown = {
            (str(people.images[start]), int(people.frames[start])): range(start, stop)
            for start, stop in zip(starts.tolist(), stops.tolist(), strict=True)
        }
        records = gallery.images()
        for name in [*records, *dict.fromkeys(name for name, _ in shown)]:
            self._numbers.setdefault(name, len(self._numbers))
        with_people = {name for name, _ in shown}
        shown |= {(name, 0): range(0) for name, record in records.items() if name not in with_people and record.frames == {0}}
        scenes = [Scene(self._numbers[name], name, frame, shown[name, frame]) for name, frame in sorted(shown)]
        return Catalog(people, scenes, {(scene.image, scene.frame): i for i, scene in enumerate(scenes)}, len(records))


def short_name(path: str) -> str:
    """The last part of a path."""
    return os.path.basename(path.rstrip("/\\")) or path

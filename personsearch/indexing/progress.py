"""How far a run of indexing is, counted in frames."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from personsearch.indexing.decoding import Decoded


@dataclass(frozen=True)
class Progress:
    """How far one run of indexing is; a picture is one frame."""

    done: int  # frames that were looked at, and pictures and videos that cannot be read
    total: int  # frames expected in all; grows when a video is opened, as its length is known only then
    people: int  # people detected in this run
    seconds: float  # since the run began
    image: str  # picture or video that was looked at last

    @property
    def seconds_left(self) -> float | None:
        """Seconds to the end at the run's mean speed; None before the first frame."""
        return None if self.done == 0 else self.seconds / self.done * max(self.total - self.done, 0)


OnProgress: TypeAlias = Callable[[Progress], None]


class Tally:
    """Counts the frames of one run."""

    def __init__(self) -> None:
        self.total = self.people = 0
        self.unreadable = 0
        self._frames = 0
        self._image = ""
        self._begun: dict[str, tuple[int, int]] = {}  # image that is being read -> its frames done, and expected
        self._start = time.monotonic()

    def add(self, decoded: Decoded, people: int) -> None:
        """Count a frame and its people."""
        image = decoded.item.image
        if image not in self._begun:
            self._begun[image] = 0, max(decoded.expected or 1, 1)
            self.total += self._begun[image][1] - 1
        done, expected = self._begun[image][0] + 1, self._begun[image][1]
        wanted = done if decoded.last else max(done, expected)
        self.total += wanted - expected
        self._begun[image] = done, wanted
        if decoded.last:
            del self._begun[image]
        self._frames, self._image, self.people = self._frames + 1, image, self.people + people

    def progress(self) -> Progress:
        """The state now."""
        return Progress(self._frames + self.unreadable, self.total, self.people, time.monotonic() - self._start, self._image)

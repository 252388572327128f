"""Group the hits of a search by spell: one person's stretch of neighbouring video frames counts once, as its best frame."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from personsearch import checks
from personsearch.boxes import Array
from personsearch.errors import QueryError
from personsearch.hits import Hit
from personsearch.tracks.linking import SAME_TIME, least_cosine, link

GAP = 1.0  # seconds without the person within one spell


@dataclass(frozen=True)
class Sightings:
    """All people of some pictures and videos, sorted by (image, frame, row)."""

    images: Array  # (N,) str objects
    frames: Array  # (N,) int
    rows: Array  # (N,) int
    times: Array  # (N,) float seconds, nan in pictures
    boxes: Array  # (N, 4) xyxy pixels
    embeddings: Array  # (N, D) float32 unit rows; D may be 0
    every: int = 1  # step between the frames that were looked at
    linked: dict[Any, Any] = field(default_factory=dict)  # videos linked before, kept by the owner of the people


PeopleOf = Callable[[Sequence[str]], Sightings]  # the people of some images, by name


@dataclass(frozen=True)
class Spell:
    """One person's stretch of neighbouring frames of a video."""

    label: tuple[str, int]  # video, and a number that no other spell of it has
    start: float  # seconds of the first frame
    end: float  # seconds of the last frame


def check_gap(gap: Any) -> float:
    """`gap` as seconds.

    Raises:
        QueryError: It is not a number of 0 or more.
    """
    seconds = checks.number("gap", gap, QueryError)
    if not 0 <= seconds < float("inf"):
        raise QueryError(f"gap must be seconds, 0 or more, got {gap!r:.80}")
    return seconds


def group_by_spell(hits: Sequence[Hit], people_of: PeopleOf | None, gap: float) -> tuple[Hit, ...]:
    """The best hit of each spell with the spell's start and end, ranked anew; a hit in a picture stays alone.

    Args:
        hits: Hits of one search, best first.
        people_of: Function that gives all people of some videos, so that a spell reaches from the person's first frame to the last,
            hit or not; None: only the hits are known, and they are linked by place and time.
        gap: Largest number of seconds without the person within a spell.
    """
    in_videos = [hit for hit in hits if hit.time is not None]
    finder = SpellFinder(people_of or (lambda _: _of_hits(in_videos)), gap)
    return tuple(replace(finder.dated(hits[i]), rank=rank) for rank, i in enumerate(finder.first_of_each(hits), start=1))


class SpellFinder:
    """Finds the spells of hits. Only the stretches of a video around hits are linked, each once.

    Args:
        people_of: Function that gives all people of some videos.
        gap: Largest number of seconds without the person within a spell.
    """

    def __init__(self, people_of: PeopleOf, gap: float) -> None:
        self._people_of, self._gap = people_of, check_gap(gap)
        self._videos: dict[str, _Video] = {}

    def first_of_each(self, hits: Sequence[Hit]) -> list[int]:
        """Positions of the first hit of each spell, ascending; every hit in a picture is one."""
        new = sorted({hit.image for hit in hits if hit.time is not None} - set(self._videos))
        if new:
            people = self._people_of(new)
            for image in new:
                key = image, self._gap, people.every
                if key not in people.linked:
                    people.linked[key] = _Video(image, people, self._gap)
                self._videos[image] = people.linked[key]
        first: dict[Any, int] = {}
        for i, hit in enumerate(hits):
            spell = self._spell(hit)
            first.setdefault(i if spell is None else spell.label, i)
        return sorted(first.values())

    def dated(self, hit: Hit) -> Hit:
        """The hit with start and end of its spell; of a video that was indexed anew since, only those of its frame."""
        spell = self._spell(hit)
        return replace(hit, start=hit.time, end=hit.time) if spell is None else replace(hit, start=spell.start, end=spell.end)

    def _spell(self, hit: Hit) -> Spell | None:
        return self._videos[hit.image].spell(hit) if hit.time is not None and hit.image in self._videos else None


class _Video:
    """The people of one video, linked stretch by stretch."""

    def __init__(self, image: str, people: Sightings, gap: float) -> None:
        start, end = (int(np.searchsorted(people.images, image, side)) for side in ("left", "right"))
        self._image, self._people, self._gap = image, people, gap
        self._least = least_cosine(people.frames[start:end], people.embeddings[start:end])
        self._stretches = _stretches(people, np.arange(start, end), gap)
        self._first_frames = np.array([people.frames[rows[0]] for rows in self._stretches], np.int64)
        self._linked: set[int] = set()
        self._spells: dict[tuple[int, Any], Spell] = {}  # by frame and row

    def spell(self, hit: Hit) -> Spell | None:
        """The spell of a hit; None if the people have no such person."""
        number = int(np.searchsorted(self._first_frames, hit.frame, "right")) - 1
        if number >= 0 and number not in self._linked:
            self._link(number)
        return self._spells.get((hit.frame, _row(hit)))

    def _link(self, number: int) -> None:
        people, rows = self._people, self._stretches[number]
        columns = (people.frames[rows], people.times[rows], people.boxes[rows], people.embeddings[rows])
        labels = link(*columns, self._gap, people.every, least=self._least)
        for label in range(int(labels.max()) + 1):
            own = rows[labels == label]
            spell = Spell((self._image, int(own[0])), float(people.times[own[0]]), float(people.times[own[-1]]))
            self._spells.update({(int(people.frames[row]), people.rows[row]): spell for row in own.tolist()})
        self._linked.add(number)


def _row(hit: Hit) -> Any:
    return hit.box if hit.row is None else hit.row


def _of_hits(hits: Sequence[Hit]) -> Sightings:
    ordered = sorted(hits, key=lambda hit: (hit.image, hit.frame))
    keys = np.empty(len(ordered), object)
    keys[:] = [_row(hit) for hit in ordered]
    return Sightings(
        images=np.array([hit.image for hit in ordered], object),
        frames=np.array([hit.frame for hit in ordered], np.int64),
        rows=keys,
        times=np.array([hit.time for hit in ordered], float),
        boxes=np.array([hit.box for hit in ordered], float).reshape(-1, 4),
        embeddings=np.zeros((len(ordered), 0), np.float32),
    )


def _stretches(people: Sightings, rows: Array, gap: float) -> list[Array]:
    """The rows of one video, cut where no person was seen for longer than the gap, so that no spell goes across."""
    if not len(rows):
        return []
    seconds, steps = np.diff(people.times[rows]), np.diff(people.frames[rows])
    is_cut = ~((seconds <= gap + SAME_TIME) | (steps <= people.every))
    return np.split(rows, np.flatnonzero(is_cut) + 1)

"""Group the hits of a search by spell: one person's stretch of neighbouring video frames counts once, as its best frame."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
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


PeopleOf = Callable[[Sequence[str]], Sightings]  # the people of some images, by name


@dataclass(frozen=True)
class _Spell:
    label: tuple[str, int]  # video, and number of the track
    start: float
    end: float


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
    sightings = _of_hits(in_videos) if people_of is None or not in_videos else people_of(sorted({hit.image for hit in in_videos}))
    spells = _spells(in_videos, sightings, check_gap(gap))
    first: dict[Any, Hit] = {}
    for number, hit in enumerate(hits):
        spell = spells.get((hit.image, hit.frame, _row(hit)))
        if spell is not None:
            first.setdefault(spell.label, replace(hit, start=spell.start, end=spell.end))
        elif hit.time is not None:  # the video was indexed anew since
            first[number] = replace(hit, start=hit.time, end=hit.time)
        else:
            first[number] = hit
    return tuple(replace(hit, rank=rank) for rank, hit in enumerate(first.values(), start=1))


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


def _spells(hits: Sequence[Hit], people: Sightings, gap: float) -> dict[tuple[str, int, Any], _Spell]:
    """The spell of each hit, by (image, frame, row). Only the stretches of a video around hits are linked."""
    frames_of: dict[str, set[int]] = defaultdict(set)
    for hit in hits:
        frames_of[hit.image].add(hit.frame)
    spells: dict[tuple[str, int, Any], _Spell] = {}
    for image, frames in frames_of.items():
        start, end = (int(np.searchsorted(people.images, image, side)) for side in ("left", "right"))
        least = least_cosine(people.frames[start:end], people.embeddings[start:end])
        count = 0
        for rows in _stretches(people, np.arange(start, end), gap):
            if not frames & set(people.frames[rows].tolist()):
                continue
            columns = (people.frames[rows], people.times[rows], people.boxes[rows], people.embeddings[rows])
            labels = link(*columns, gap, people.every, least=least)
            for label in range(int(labels.max()) + 1):
                own = rows[labels == label]
                spell = _Spell((image, count + label), float(people.times[own[0]]), float(people.times[own[-1]]))
                spells.update(((image, int(people.frames[row]), people.rows[row]), spell) for row in own.tolist())
            count += int(labels.max()) + 1
    return spells


def _stretches(people: Sightings, rows: Array, gap: float) -> list[Array]:
    """The rows of one video, cut where no person was seen for longer than the gap, so that no spell goes across."""
    if not len(rows):
        return []
    seconds, steps = np.diff(people.times[rows]), np.diff(people.frames[rows])
    is_cut = ~((seconds <= gap + SAME_TIME) | (steps <= people.every))
    return np.split(rows, np.flatnonzero(is_cut) + 1)

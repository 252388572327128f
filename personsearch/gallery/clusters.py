"""Group a gallery's people by appearance: who appears where, without a query.

Groups grow by average linkage: of all groups, the two with the largest mean cosine between their people are joined, as long as it
reaches a threshold and no picture shows both, because people of one picture are different people. The people of a video are linked
over neighbouring frames first (see `personsearch.tracks`), and then whole tracks are joined.

The pairs of people who share a picture also set the threshold: it is a cosine that nearly all of them stay below, so it follows the
model and the pictures.

Neither scipy nor scikit-learn has such a linkage with pairs that must stay apart.
"""

import heapq
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from personsearch import checks
from personsearch.boxes import Array, iou
from personsearch.errors import QueryError
from personsearch.gallery.table import People
from personsearch.gallery.where import Where, part_of, where_options
from personsearch.hits import Hit, HitSequence
from personsearch.tracks import GAP, link

if TYPE_CHECKING:
    from personsearch.gallery.gallery import Gallery

MOST_PEOPLE = 100_000  # compared in pairs
NEIGHBOURS = 50  # most similar groups of each group that it may join first
BLOCK = 2048  # rows compared at once
SURE = 0.98  # share of the pairs of people in one picture that stay below the threshold
MOST_OVERLAP = 0.5  # IoU; boxes that overlap more may be one person twice
LEAST_PAIRS = 20  # pairs that tell how alike different people are
UNSURE_COSINE = 0.6  # the threshold where fewer pairs are known
SCENES_SAMPLED = 2000


@dataclass(frozen=True)
class Person(HitSequence):
    """One person of a gallery, as its people look alike: every appearance as a hit, the most typical first."""

    number: int  # 1 = seen most often
    hits: tuple[Hit, ...]  # `similarity` is the cosine with the mean of all appearances
    cohesion: float  # mean cosine of two appearances; 1 for a single one

    def __repr__(self) -> str:
        return f"Person({self.number}, seen {len(self)} times in {len(self.images)} images, cohesion {self.cohesion:.2f})"

    @property
    def images(self) -> list[str]:
        """Pictures and videos that show the person, sorted."""
        return sorted({hit.image for hit in self.hits})

    @property
    def scenes(self) -> int:
        """Number of pictures and video frames that show the person."""
        return len({(hit.image, hit.frame) for hit in self.hits})

    def to_dict(self) -> dict[str, Any]:
        """Plain values: `person`, `cohesion` and `hits`."""
        return {"person": self.number, "cohesion": round(self.cohesion, 4), "hits": [asdict(hit) for hit in self.hits]}


def cluster(gallery: "Gallery", min_similarity: float | None = None, where: Where | None = None) -> list[Person]:
    """The people of a gallery grouped by appearance, the most often seen first.

    Args:
        gallery: Gallery.
        min_similarity: Mean cosine from which two groups are joined; None: by the people who share a picture.
        where: Part of the gallery to group; None: all of it.

    Raises:
        QueryError: `min_similarity` is not a cosine, `where` is not a `Where`, or the people are too many.
    """
    people = part_of(gallery, where_options(where))
    labels = labels_of(people, min_similarity=min_similarity, every=gallery.every or 1)
    order = np.argsort(labels, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(labels[order])) + 1) if len(labels) else []
    return [_person(people, rows, number, gallery.location) for number, rows in enumerate(groups, start=1)]


def labels_of(people: People, *, min_similarity: float | None = None, every: int = 1) -> Array:
    """(N,) int: the group of each person, 0 = the largest; equally large ones by their first person.

    Raises:
        QueryError: `min_similarity` is not a cosine, or the people are too many.
    """
    if min_similarity is not None:
        min_similarity = checks.number("min_similarity", min_similarity, QueryError)
        if not -1 <= min_similarity <= 1:
            raise QueryError(f"min_similarity must be a cosine, -1..1, got {min_similarity:g}")
    if len(people) > MOST_PEOPLE:
        raise QueryError(f"{len(people):,} people are too many to compare in pairs, at most {MOST_PEOPLE:,}; name a part with where=")
    if len(people) == 0:
        return np.zeros(0, np.int64)
    units = _tracks(people, every)
    least = threshold_of(people) if min_similarity is None else min_similarity
    joined = _Linkage(people.embeddings, people.scenes, units).joined(least)[units]
    _, first, labels, counts = np.unique(joined, return_index=True, return_inverse=True, return_counts=True)
    ranks = np.empty(len(first), np.int64)
    ranks[np.lexsort((first, -counts))] = np.arange(len(first))
    return ranks[labels]


def threshold_of(people: People) -> float:
    """The cosine that nearly all pairs of people in one picture stay below; the pairs of boxes that overlap much do not count."""
    starts = np.flatnonzero(np.diff(people.scenes, prepend=-1))
    groups = [rows for rows in np.split(np.arange(len(people)), starts[1:]) if len(rows) > 1]
    pairs = [np.zeros(0)]
    for rows in groups[:: max(1, len(groups) // SCENES_SAMPLED)]:
        apart = iou(people.boxes[rows], people.boxes[rows]) <= MOST_OVERLAP
        cosines = people.embeddings[rows] @ people.embeddings[rows].T
        pairs.append(cosines[np.triu(apart, 1)])
    cosines = np.concatenate(pairs)
    return float(np.quantile(cosines, SURE)) if len(cosines) >= LEAST_PAIRS else UNSURE_COSINE


def _tracks(people: People, every: int) -> Array:
    """(N,) int: number of each person's track; in pictures each person is one."""
    tracks = np.arange(len(people))
    starts = np.flatnonzero(np.diff(people.scenes, prepend=-1))
    images = people.images[starts]
    changes = np.flatnonzero(images[1:] != images[:-1]) + 1
    for rows in np.split(np.arange(len(people)), starts[changes]):
        if not np.isnan(people.times[rows]).all():
            labels = link(people.frames[rows], people.times[rows], people.boxes[rows], people.embeddings[rows], GAP, every)
            first = np.unique(labels, return_index=True)[1]
            tracks[rows] = rows[first][labels]
    return np.unique(tracks, return_inverse=True)[1]


class _Linkage:
    """Average linkage of units, each of some people, with units of one scene kept apart."""

    def __init__(self, embeddings: Array, scenes: Array, units: Array) -> None:
        count = int(units.max()) + 1
        sums = np.zeros((count, embeddings.shape[1]))
        np.add.at(sums, units, embeddings.astype(np.float64))
        self.sums: dict[int, Array] = dict(enumerate(sums))
        self.sizes: dict[int, int] = dict(enumerate(np.bincount(units).tolist()))
        self.scenes: dict[int, set[int]] = {unit: set() for unit in range(count)}
        for unit, scene in zip(units.tolist(), scenes.tolist(), strict=True):
            self.scenes[unit].add(scene)
        self.means = sums / np.bincount(units)[:, None]
        self.near: dict[int, set[int]] = {unit: set() for unit in range(count)}
        self.heap: list[tuple[float, int, int]] = []

    def joined(self, least: float) -> Array:
        """(units,) int: a number for each unit that those of one group share."""
        self._propose(least)
        count = len(self.means)
        parent = list(range(count))
        while self.heap:
            _, a, b = heapq.heappop(self.heap)
            if a not in self.sums or b not in self.sums or self.scenes[a] & self.scenes[b]:
                continue
            new = len(parent)
            parent.append(new)
            parent[a] = parent[b] = new
            self._join(a, b, new, least)
        for group in range(len(parent) - 1, -1, -1):  # a group is older than the group that it joined
            parent[group] = parent[parent[group]]
        return np.array(parent[:count])

    def _propose(self, least: float) -> None:
        """Fill the heap with the most similar pairs of units."""
        for start in range(0, len(self.means), BLOCK):
            cosines = self.means[start : start + BLOCK] @ self.means.T
            cosines[np.arange(len(cosines)), np.arange(start, start + len(cosines))] = -2
            width = min(NEIGHBOURS, cosines.shape[1])
            best = np.argpartition(-cosines, width - 1, axis=1)[:, :width]
            for row, columns in enumerate(best):
                for column in columns[cosines[row, columns] >= least].tolist():
                    self._push(float(cosines[row, column]), *sorted((start + row, column)))

    def _push(self, cosine: float, a: int, b: int) -> None:
        if b not in self.near[a]:
            self.near[a].add(b)
            self.near[b].add(a)
            heapq.heappush(self.heap, (-cosine, a, b))

    def _join(self, a: int, b: int, new: int, least: float) -> None:
        """Replace two groups by one, and propose it to the neighbours of both."""
        self.sums[new] = self.sums.pop(a) + self.sums.pop(b)
        self.sizes[new] = self.sizes.pop(a) + self.sizes.pop(b)
        self.scenes[new] = self.scenes.pop(a) | self.scenes.pop(b)
        neighbours = sorted(one for one in self.near.pop(a) | self.near.pop(b) if one in self.sums)
        self.near[new] = set()
        if not neighbours:
            return
        cosines = np.array([self.sums[one] for one in neighbours]) @ self.sums[new]
        cosines /= np.array([self.sizes[one] for one in neighbours]) * self.sizes[new]
        for one, cosine in zip(neighbours, cosines.tolist(), strict=True):
            self.near[one] -= {a, b}
            if cosine >= least:
                self._push(cosine, one, new)


def _person(people: People, rows: Array, number: int, location: str) -> Person:
    """The group of some rows (K,), most typical first."""
    embeddings = people.embeddings[rows].astype(np.float64)
    total = embeddings.sum(axis=0)
    similarities = embeddings @ total / max(float(np.linalg.norm(total)), 1e-12)
    pairs = len(rows) * (len(rows) - 1)
    cohesion = 1.0 if pairs == 0 else float((total @ total - (embeddings**2).sum()) / pairs)
    order = np.lexsort((rows, -similarities.round(6)))
    hits = tuple(
        Hit(
            rank=rank,
            image=str(people.images[row]),
            frame=int(people.frames[row]),
            time=None if np.isnan(people.times[row]) else float(people.times[row]),
            box=tuple(people.boxes[row].tolist()),
            score=float(people.scores[row]),
            similarity=float(similarity),
            ranked_by=float(similarity),
            row=int(people.rows[row]),
            gallery=location,
        )
        for rank, (row, similarity) in enumerate(zip(rows[order], similarities[order], strict=True), start=1)
    )
    return Person(number, hits, cohesion)

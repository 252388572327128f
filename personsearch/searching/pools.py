"""The people that a search compares: of one gallery or several, all of them, a part, or candidates of a vector index."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np

from personsearch.boxes import Array
from personsearch.gallery import Gallery, People, Where, people_where
from personsearch.home import expand_user
from personsearch.results import Engine

SUFFIX = ".lance"  # end of an address that may be a gallery where it is one of several


@dataclass(frozen=True)
class Pool:
    """The people of one gallery that are compared."""

    gallery: Gallery
    people: People  # the whole gallery, or the candidates of its index
    engine: Engine
    part: Array | None = None  # (P,) int, ascending: the rows of `people` that are compared; None: all

    @property
    def compared(self) -> int:
        """Number of people."""
        return len(self.people) if self.part is None else len(self.part)

    def selected(self) -> tuple[People, Array]:
        """The people that are compared, and their rows in `people`."""
        rows = np.arange(len(self.people)) if self.part is None else self.part
        return (self.people if self.part is None else self.people.take(self.part)), rows


@dataclass(frozen=True)
class Pools:
    """Several galleries as one: its row r is row r - offset of the last pool whose offset is at most r."""

    pools: tuple[Pool, ...]

    @cached_property
    def offsets(self) -> Array:
        """(pools + 1,) int: first row of each pool, and the number of all rows."""
        return np.concatenate([[0], np.cumsum([len(pool.people) for pool in self.pools])]).astype(np.int64)

    @property
    def compared(self) -> int:
        """Number of people that are compared."""
        return sum(pool.compared for pool in self.pools)

    @property
    def engine(self) -> Engine:
        """What was compared: "index" if candidates of a vector index are among the people."""
        return "index" if any(pool.engine == "index" for pool in self.pools) else "exact"

    def people(self, rows: Array) -> tuple[People, list[str]]:
        """People of any rows (K,), in that order, and the location of each one's gallery."""
        owners = np.searchsorted(self.offsets, rows, "right") - 1
        parts = [pool.people.take(rows[owners == i] - self.offsets[i]) for i, pool in enumerate(self.pools)]
        joined = People(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(People)))
        order = np.empty(len(rows), np.int64)
        order[np.argsort(owners, kind="stable")] = np.arange(len(rows))
        return joined.take(order), [self.pools[owner].gallery.location for owner in owners]


def is_gallery(value: Any) -> bool:
    """Whether an entry of a list is a gallery, or the folder or URI of one, and not a source.

    Raises:
        GalleryError: The folder has a Lance table of another kind, or a damaged gallery.
    """
    if not isinstance(value, str | os.PathLike):
        return isinstance(value, Gallery)
    place = os.fspath(value)
    if not isinstance(place, str):
        return False
    may_be = place.rstrip("/").endswith(SUFFIX) if "://" in place else os.path.isdir(expand_user(place))
    return may_be and Gallery.exists(place)


def whole(gallery: Gallery, where: Where | None) -> Pool | None:
    """The people of a gallery that can be compared without its vector index; None if they are too many."""
    if gallery.fits_in_memory:
        people = gallery.people()
        return Pool(gallery, people, "exact", None if where is None else np.flatnonzero(where.keeps(people)))
    part = None if where is None else people_where(gallery, where)
    return None if part is None else Pool(gallery, part, "exact")


def candidates(gallery: Gallery, rows: Array, count: int, where: Where | None, *, scenes: bool) -> list[Pool]:
    """For each of several query rows the people that the gallery's vector index proposes.

    Args:
        gallery: Gallery too large for memory.
        rows: (R, D) unit rows of the queries.
        count: Number of people.
        where: Conditions on the people; the index leaves out the others.
        scenes: Whether to add all other people of their scenes.
    """
    return [Pool(gallery, people, "index") for people in gallery.nearest(rows, count, scenes=scenes, where=where)]


def united(pools: Sequence[Pool], where: Where | None) -> Pool:
    """Candidates of several rows of one query as one pool, each person once; those that meet the conditions are compared."""
    people = pools[0].people
    if len(pools) > 1:
        joined = People(*(np.concatenate([getattr(pool.people, field.name) for pool in pools]) for field in fields(People)))
        keys = list(zip(joined.images.tolist(), joined.frames.tolist(), joined.rows.tolist(), strict=True))
        first = {key: i for i, key in enumerate(keys)}
        people = joined.take(np.array([first[key] for key in sorted(first)], np.int64))
    return Pool(pools[0].gallery, people, "index", None if where is None else np.flatnonzero(where.keeps(people)))

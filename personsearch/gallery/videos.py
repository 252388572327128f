"""All people of some videos of a gallery, for linking them over time."""

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import numpy as np

from personsearch.gallery.gallery import Gallery
from personsearch.gallery.snapshot import Snapshot
from personsearch.gallery.table import People
from personsearch.tracks import PeopleOf, Sightings


class PeopleOfVideos:
    """Reads all people of some images; pickled, it travels as the gallery's location, and opens it when it is first called.

    Args:
        gallery: Open gallery.
    """

    def __init__(self, gallery: Gallery) -> None:
        self.location = gallery.location
        self._gallery: Gallery | None = gallery

    def __getstate__(self) -> dict[str, Any]:
        return {"location": self.location, "_gallery": None}

    def __call__(self, images: Sequence[str]) -> Sightings:
        """The people of some images, by name, and perhaps of others, with the step between the frames.

        Raises:
            GalleryError: The gallery was deleted, or cannot be read.
        """
        return self._sightings(images, shared=True)

    def copied(self, images: Sequence[str]) -> Sightings:
        """The people of these images only."""
        return self._sightings(images, shared=False)

    def _sightings(self, images: Sequence[str], *, shared: bool) -> Sightings:
        if self._gallery is None:
            self._gallery = Gallery.open(self.location)
        gallery = self._gallery
        in_memory, every = gallery.fits_in_memory, gallery.every or 1

        def read(snapshot: Snapshot) -> Sightings:
            whole = shared and in_memory
            people = snapshot.people if whole else _people_of(snapshot, images, in_memory=in_memory)
            columns = (people.images, people.frames, people.rows, people.times, people.boxes, people.embeddings)
            return Sightings(*columns, every, snapshot.spells if whole else {})

        return gallery._read(read)


class PeopleOfGalleries:
    """As `PeopleOfVideos` for several galleries; an image that two of them have is taken from the first.

    Args:
        galleries: Open galleries.
    """

    def __init__(self, galleries: Sequence[Gallery]) -> None:
        self.parts = [PeopleOfVideos(gallery) for gallery in galleries]

    def __call__(self, images: Sequence[str]) -> Sightings:
        """The people of some images, by name, with the largest step between the frames of a gallery.

        Raises:
            GalleryError: A gallery was deleted, or cannot be read.
        """
        known: set[str] = set()
        sightings = []
        for part in self.parts:
            one = part.copied([image for image in images if image not in known])
            known |= set(one.images.tolist())
            sightings.append(one)
        names = ("images", "frames", "rows", "times", "boxes", "embeddings")
        columns: dict[str, Any] = {name: np.concatenate([getattr(one, name) for one in sightings]) for name in names}
        order = np.argsort(columns["images"], kind="stable")
        return Sightings(**{name: column[order] for name, column in columns.items()}, every=max(one.every for one in sightings))


def people_of(galleries: Sequence[Gallery]) -> PeopleOf:
    """What reads all people of some videos of one gallery or several."""
    return PeopleOfVideos(galleries[0]) if len(galleries) == 1 else PeopleOfGalleries(galleries)


def _people_of(snapshot: Snapshot, images: Sequence[str], *, in_memory: bool) -> People:
    if not in_memory:
        return snapshot.people_from(images)
    people = snapshot.people
    rows = np.flatnonzero(np.isin(people.images, np.array(list(images), object)))
    return people if len(rows) == len(people) else People(*(getattr(people, column.name)[rows] for column in fields(People)))

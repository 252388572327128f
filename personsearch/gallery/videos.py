"""All people of some videos of a gallery, for linking them over time."""

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import numpy as np

from personsearch.gallery.gallery import Gallery
from personsearch.gallery.snapshot import Snapshot
from personsearch.gallery.table import People
from personsearch.tracks import Sightings


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
        """The people of some images, by name, with the step between the frames.

        Raises:
            GalleryError: The gallery was deleted, or cannot be read.
        """
        if self._gallery is None:
            self._gallery = Gallery.open(self.location)
        gallery = self._gallery
        in_memory = gallery.fits_in_memory
        people = gallery._read(lambda snapshot: _people_of(snapshot, images, in_memory=in_memory))
        return Sightings(people.images, people.frames, people.rows, people.times, people.boxes, people.embeddings, gallery.every or 1)


def _people_of(snapshot: Snapshot, images: Sequence[str], *, in_memory: bool) -> People:
    wanted = np.flatnonzero(np.isin(snapshot.names, np.array(list(images), object)))
    rows = np.flatnonzero(np.isin(snapshot.person_keys[0], wanted))
    if not in_memory:
        return snapshot.people_at(rows)
    people = snapshot.people
    return people if len(rows) == len(people) else People(*(getattr(people, column.name)[rows] for column in fields(People)))

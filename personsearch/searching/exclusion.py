"""Leave out what shows the query itself: its own picture, its own frame of a video, or its whole video."""

import os
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np

from personsearch.boxes import Array
from personsearch.errors import ImageError, QueryError
from personsearch.gallery import People
from personsearch.hits import Query
from personsearch.sources import is_memory_name, is_picture, memory_digest, read_at

Exclude: TypeAlias = Literal["frame", "image"]
SAME_TIME = 0.0005  # seconds; two readings of one timestamp differ by rounding only


def exclude_options(value: Any) -> Exclude | None:
    """What `exclude=` names; True is "frame", False is None.

    Raises:
        QueryError: It is something else.
    """
    if value is None or value is False:
        return None
    if value is True or (isinstance(value, str) and value == "frame"):
        return "frame"
    if isinstance(value, str) and value == "image":
        return "image"
    raise QueryError(
        f'exclude must be "frame" (the query\'s own picture or frame), "image" (its picture or whole video) or None, got {value!r:.80}; '
        "where= leaves out other parts of a gallery"
    )


@dataclass(frozen=True)
class OwnPicture:
    """Where a query comes from."""

    image: str = ""  # name of the picture or video; "" for a picture in memory
    digest: str = ""  # end of the names of a picture in memory; "" for a file
    frame: int | None = None  # of a video; None: not known
    time: float | None = None  # seconds of the frame; None: not known, or a picture

    def is_in(self, people: People, exclude: Exclude) -> Array:
        """(N,) bool, which people are in the query's own picture, frame or video."""
        images = np.array([self._is(image) for image in people.images.tolist()], bool)
        if exclude == "image" or (self.frame is None and self.time is None):
            return images
        still = np.isnan(people.times) & (people.frames == 0)
        own = people.frames == self.frame if self.frame is not None else np.abs(people.times - (self.time or 0.0)) <= SAME_TIME
        return np.asarray(images & (still | own))

    def _is(self, image: str) -> bool:
        return image == self.image if self.image else is_memory_name(image) and image.endswith(self.digest)


def own_picture(query: Query, exclude: Exclude) -> OwnPicture | None:
    """Where a query comes from; None if that cannot be in a gallery.

    Raises:
        ImageError: The frame of a video at the query's time cannot be read.
    """
    image = query.image
    if isinstance(image, str | os.PathLike):
        name = os.fsdecode(image)
        name = name if is_memory_name(name) else os.path.abspath(name)
        if query.frame is not None or query.time is None or exclude == "image":
            return OwnPicture(name, frame=query.frame)
        return OwnPicture(name, time=read_at(name, query.time).time)
    if not is_picture(image) or hasattr(image, "read"):
        return None
    try:
        return OwnPicture(digest=memory_digest(image))
    except ImageError:
        return None

"""Detection and hit: one person of a scene, and one ranked person of a gallery; each is a query, and has its pixels."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from personsearch import checks
from personsearch.boxes import Array, check_boxes, clip
from personsearch.errors import QueryError
from personsearch.sources import Query as Query
from personsearch.sources import Shots as Shots
from personsearch.sources import read_frame, read_query
from personsearch.sources.query import Box as Box
from personsearch.sources.query import Combine as Combine

if TYPE_CHECKING:
    from PIL.Image import Image

SMALL = 60  # pixels; of rendered people below this height, more than half of the true pairs across cameras are below the threshold


@dataclass(frozen=True)
class Detection:
    """One person detected in a scene; `PersonSearcher.search` takes it as a query."""

    person: int  # number in its scene, 1 = best score
    box: Box  # xyxy pixels of the original image
    score: float  # detector confidence, 0..1
    image: Any = field(default=None, repr=False, compare=False)  # the caller's image, or a `Query` that names a frame of a video

    @property
    def query(self) -> Query:
        """This person as a query.

        Raises:
            QueryError: The picture is not known.
        """
        if self.image is None:
            raise QueryError("this detection does not hold its picture; pass Query(image, box=detection.box)")
        if isinstance(self.image, Query):
            return Query(self.image.image, self.box, time=self.image.time, frame=self.image.frame)
        return Query(self.image, self.box)

    def crop(self, *, margin: float = 0.0) -> "Image":
        """The person cut out of the scene, as a PIL picture; see `Hit.crop`."""
        return _cut_out(read_query(self.query), self.box, margin)

    def scene(self) -> "Image":
        """The whole scene, as a PIL picture.

        Raises:
            ImageError: The picture cannot be read.
        """
        return _as_picture(read_query(self.query))


@dataclass(frozen=True)
class Hit:
    """One person of the gallery, ranked for a query; `PersonSearcher.search` takes it as the next query."""

    rank: int  # 1 = best
    image: str  # path of the picture or video
    frame: int  # frame number in a video, 0 in a picture
    time: float | None  # seconds into a video, None in a picture
    box: Box  # xyxy pixels of the original image
    score: float  # detector confidence, 0..1
    similarity: float  # cosine, -1..1
    ranked_by: float  # sort key: the similarity, similarity x score, or what re-ranking gives
    row: int | None = None  # person of the frame, as in `People.rows`: `gallery.remove_person(hit.image, hit.row, hit.frame)`
    threshold: float | None = None  # cosine from which the model calls two people the same; None: the model is not calibrated
    start: float | None = None  # seconds into the video at which the person's spell begins; None: hits are not grouped by spell
    end: float | None = None  # seconds into the video of the last frame of the spell
    gallery: str | None = field(default=None, repr=False, compare=False)  # location of the gallery; None: unknown

    @property
    def query(self) -> Query:
        """This person as a query, in their picture or frame of a video."""
        return Query(self.image, self.box, time=self.time, frame=self.frame or None)

    @property
    def is_match(self) -> bool | None:
        """Whether the similarity reaches the model's calibrated threshold; below it the hit is probably somebody else.

        None if the model is not calibrated.
        """
        return None if self.threshold is None else self.similarity >= self.threshold

    @property
    def is_small(self) -> bool:
        """Whether the person is less than `SMALL` pixels high, so that the similarity says less."""
        return self.box[3] - self.box[1] < SMALL

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, with `is_match` and `is_small`; numbers that are not finite are None."""
        where = ("rank", "image", "frame", "row", "time", "start", "end", "box")
        names = (*where, "score", "similarity", "ranked_by", "is_match", "is_small", "gallery")
        return {name: _plain(getattr(self, name)) for name in names}

    def crop(self, *, margin: float = 0.0) -> "Image":
        """The person cut out of the picture or video frame, which is read again, as a PIL picture.

        Args:
            margin: Share of the box's width and height to add on each side, 0 or more; the crop ends at the picture's edge.

        Raises:
            ImageError: The picture is missing or cannot be read, or was passed in memory, so that its pixels are not stored.
            BoxError: The picture has changed, and the box lies outside.
            QueryError: `margin` is out of range.
        """
        return _cut_out(self._pixels(), self.box, margin)

    def scene(self) -> "Image":
        """The whole picture or video frame, which is read again, as a PIL picture.

        Raises:
            ImageError: The picture is missing or cannot be read, or was passed in memory, so that its pixels are not stored.
        """
        return _as_picture(self._pixels())

    def _pixels(self) -> Array:
        return read_frame(self.image, self.frame, self.time)


def _cut_out(scene: Array, box: Box, margin: float) -> "Image":
    """The part of a scene (H, W, 3) in a box, with whole pixels and a margin, as a PIL picture."""
    share = checks.number("margin", margin, QueryError)
    if not 0 <= share < float("inf"):
        raise QueryError(f"margin must be a share of the box's sides, 0 or more, got {margin!r:.80}")
    height, width = scene.shape[:2]
    inside = check_boxes(box, height, width)
    sides = (inside[:, 2:] - inside[:, :2]) * share
    x1, y1, x2, y2 = clip(inside + np.concatenate([-sides, sides], axis=1), height, width)[0].tolist()
    return _as_picture(scene[math.floor(y1) : math.ceil(y2), math.floor(x1) : math.ceil(x2)])


def _plain(value: Any) -> Any:
    """A value of a hit for JSON, which has no NaN."""
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _as_picture(pixels: Array) -> "Image":
    from PIL import Image

    return Image.fromarray(np.ascontiguousarray(pixels))


class HitSequence:
    """What holds `hits` is a sequence of them; a slice is a tuple of hits."""

    hits: tuple[Hit, ...]

    def __len__(self) -> int:
        return len(self.hits)

    def __iter__(self) -> Iterator[Hit]:
        return iter(self.hits)

    @overload
    def __getitem__(self, index: int) -> Hit: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Hit, ...]: ...
    def __getitem__(self, index: int | slice) -> Hit | tuple[Hit, ...]:
        return self.hits[index]

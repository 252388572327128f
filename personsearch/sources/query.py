"""The query: the person to search for."""

import os
from collections.abc import Iterable
from dataclasses import KW_ONLY, dataclass
from typing import Any, Literal, TypeAlias, get_args

from personsearch import checks
from personsearch.boxes import corners
from personsearch.errors import QueryError

Box = tuple[float, float, float, float]
Combine: TypeAlias = Literal["mean", "best"]


@dataclass(frozen=True)
class Query:
    """The person to search for: a crop of the person, or one person of a whole scene, by box or by number.

    Without box, person and crop, the detector looks at the picture, and a `QueryWarning` names the people in it if it does not look
    like a crop of one person. CBGM needs the scene, as it compares the people around the query. A row of `Detections.boxes` is a
    valid box.

    Args:
        image: Path, bytes, PIL picture or RGB uint8 array (H, W, 3); with `time` the path of a video.
        box: Person in the scene, xyxy pixels of the upright picture.
        person: Number of the person in the scene, as `PersonSearcher.detect` numbers them: 1 has the best score.
        crop: Whether the picture shows this person only, so that the detector need not look at it.
        time: Seconds into a video; the frame shown at this time is the scene.
        frame: Number of the frame in a video or animation, counted from 0; with `time` it is found faster.

    Raises:
        BoxError: the box is not four numbers.
        QueryError: another value has the wrong type or range, or more than one of box, person and crop is used.
    """

    image: Any
    box: Box | None = None
    _: KW_ONLY
    person: int | None = None
    crop: bool = False
    time: float | None = None
    frame: int | None = None

    def __post_init__(self) -> None:
        if self.box is not None:
            object.__setattr__(self, "box", corners(self.box))  # a row of an array has no truth value and cannot be written as JSON
        if self.person is not None:
            object.__setattr__(self, "person", checks.count("person", self.person, QueryError))
        object.__setattr__(self, "crop", checks.flag("crop", self.crop, QueryError))
        if self.time is not None:
            object.__setattr__(self, "time", _seconds(self.time))
        if self.frame is not None and self.frame != 0:
            object.__setattr__(self, "frame", checks.count("frame", self.frame, QueryError))
        if (self.box is not None) + (self.person is not None) + self.crop > 1:
            raise QueryError("box, person and crop exclude each other; pass one of them")

    @staticmethod
    def of(pictures: Any, *, negatives: Any = (), combine: Combine = "mean") -> "Shots":
        """One person in several pictures as one query.

        Args:
            pictures: List of at least one picture of the person; each is anything that `PersonSearcher.search` takes as a query.
            negatives: List of pictures of other people. A person of the gallery who is at least as similar to one of them as to the
                query is dropped.
            combine: "mean": the mean of the pictures' embeddings is the query. "best": each picture is compared, and the most
                similar one counts.

        Raises:
            QueryError: No picture, or `combine` is unknown.
        """
        return Shots(_several(pictures), () if negatives is None else _several(negatives), combine)


@dataclass(frozen=True)
class Shots:
    """One person in several pictures, and people who are not this person; `Query.of` makes it.

    Raises:
        QueryError: No picture, `combine` is unknown, or a picture is itself several.
    """

    pictures: tuple[Any, ...]  # each a query: a crop, `Query`, `Hit`, `Detection` or an embedded query
    negatives: tuple[Any, ...] = ()  # likewise
    combine: Combine = "mean"

    def __post_init__(self) -> None:
        object.__setattr__(self, "pictures", tuple(self.pictures))
        object.__setattr__(self, "negatives", tuple(self.negatives))
        checks.choice("combine", self.combine, get_args(Combine), QueryError)
        if not self.pictures:
            raise QueryError("a query needs at least one picture of the person, got an empty list")
        if any(isinstance(one, Shots | list | tuple) for one in (*self.pictures, *self.negatives)):
            raise QueryError("a picture of Query.of is itself a list of pictures; pass one flat list")


def _several(value: Any) -> tuple[Any, ...]:
    """A user's list of pictures; a single picture counts as a list of one."""
    single = (
        isinstance(value, str | bytes | bytearray | memoryview | os.PathLike | Query | Shots)
        or hasattr(value, "shape")
        or hasattr(value, "read")
    )
    return tuple(value) if isinstance(value, Iterable) and not single else (value,)


def _seconds(value: Any) -> float:
    seconds = checks.number("time", value, QueryError)
    if not 0 <= seconds < float("inf"):
        raise QueryError(f"time must be seconds from the start of the video, 0 or more, got {value!r:.80}")
    return seconds

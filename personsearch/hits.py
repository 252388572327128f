"""Query and hit: the person to search for, and one ranked person of a gallery."""

from dataclasses import dataclass
from typing import Any

from personsearch.boxes import corners


@dataclass(frozen=True)
class Query:
    """The person to search for: a crop, or a box in a whole scene.

    CBGM needs the scene, as it compares the people around the query. A row of `Detections.boxes` is a valid box.

    Raises:
        BoxError: the box is not four numbers.
    """

    image: Any  # path, bytes, PIL picture or RGB uint8 (H, W, 3)
    box: tuple[float, float, float, float] | None = None  # xyxy pixels of `image`; None = the image is a crop of the person

    def __post_init__(self) -> None:
        if self.box is not None:
            object.__setattr__(self, "box", corners(self.box))  # a row of an array has no truth value and cannot be written as JSON


@dataclass(frozen=True)
class Hit:
    """One person of the gallery, ranked for a query."""

    rank: int  # 1 = best
    image: str  # path of the picture or video
    frame: int  # frame number in a video, 0 in a picture
    time: float | None  # seconds into a video, None in a picture
    box: tuple[float, float, float, float]  # xyxy pixels of the original image
    score: float  # detector confidence, 0..1
    similarity: float  # cosine, -1..1
    ranked_by: float  # sort key: the similarity, similarity x score, or CBGM's similarity

"""The person to look for, and one person of a gallery as ranked for it."""

from dataclasses import dataclass
from typing import Any

from personsearch.boxes import corners


@dataclass(frozen=True)
class Query:
    """The person to look for: a crop, or a box in a whole scene.

    With a box the scene's other people are known too, which CBGM needs. A row of `Detections.boxes` will do as a box.

    Raises:
        BoxError: the box is not four numbers.
    """

    image: Any  # path, bytes, PIL picture or RGB uint8 (H, W, 3)
    box: tuple[float, float, float, float] | None = None  # xyxy pixels of `image`; None = the image is a crop of the person

    def __post_init__(self) -> None:
        if self.box is not None:
            object.__setattr__(self, "box", corners(self.box))  # a row of an array has no truth value and is no JSON


@dataclass(frozen=True)
class Hit:
    """One person of the gallery, as ranked for a query."""

    rank: int  # 1 = best
    image: str  # path of the picture or video
    frame: int  # frame number in a video, 0 in a picture
    time: float | None  # seconds into a video, None in a picture
    box: tuple[float, float, float, float]  # xyxy pixels of the original image
    score: float  # how sure the detector is, 0..1
    similarity: float  # cosine, -1..1
    ranked_by: float  # what the order follows: the similarity, similarity x score, or CBGM's

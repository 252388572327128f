"""What an evaluation works on: true people, found people and queries, as arrays, wherever they come from."""

from dataclasses import dataclass, replace

from personsearch.boxes import Array
from personsearch.ranking import Context
from personsearch.results import Detections

UNLABELLED = 5555  # identity of a person whom nobody named; such people count for detection only


@dataclass(frozen=True)
class Scene:
    """One picture of the gallery: who is there, and who was found."""

    name: str
    camera: int | None
    boxes: Array  # (M, 4) float32 xyxy, the true people; M may be 0
    ids: Array  # (M,) int64
    found: Detections  # all that the detector keeps, any score; unit embeddings
    ignored: Array | None = None  # (N,) bool of found: in a region to ignore, where nobody is a false alarm; None: there is no region

    def take(self, index: Array) -> "Scene":
        """The scene with the found people at `index`: a boolean keep-mask (N,), or positions in the order wanted."""
        return replace(self, found=self.found.take(index), ignored=None if self.ignored is None else self.ignored[index])


@dataclass(frozen=True)
class GalleryEntry:
    """A picture in one query's own gallery list, as CUHK-SYSU has them."""

    scene: str
    box_xywh: tuple[float, float, float, float] | None  # the query person in it, if there


@dataclass(frozen=True)
class EvaluationQuery:
    """A person to look for."""

    scene: str  # name of the query's picture; need not be in the gallery
    camera: int | None
    identity: int
    embedding: Array  # (D,) float32, unit
    context: Context | None = None  # the people of its scene, for CBGM
    gallery: tuple[GalleryEntry, ...] | None = None  # its own gallery list, for CUHK-SYSU


@dataclass(frozen=True)
class EvaluationData:
    """All of an evaluation; scene names are unique."""

    scenes: tuple[Scene, ...]
    queries: tuple[EvaluationQuery, ...]

"""Input of an evaluation, as arrays: the true people, the detections and the queries."""

from dataclasses import dataclass, replace

from personsearch.boxes import Array
from personsearch.ranking import Context
from personsearch.results import Detections


@dataclass(frozen=True)
class Scene:
    """One picture of the gallery: its true people and its detections."""

    name: str
    camera: int | None
    boxes: Array  # (M, 4) float32 xyxy, the true people; M may be 0
    ids: Array  # (M,) int64 identities; `UNLABELLED` people count for detection only
    detections: Detections  # all people that the detector keeps, any score; unit embeddings
    ignored: Array | None = None  # (N,) bool, detections in a region to ignore, which are not false alarms; None: no such region
    embedding: Array | None = None  # (S,) float32 unit row of the whole scene, from a model with GFN

    def take(self, index: Array) -> "Scene":
        """The scene with the detections at `index`: a boolean keep-mask (N,), or positions in the new order."""
        return replace(self, detections=self.detections.take(index), ignored=None if self.ignored is None else self.ignored[index])


@dataclass(frozen=True)
class GalleryEntry:
    """A picture of one query's own gallery list (CUHK-SYSU)."""

    scene: str
    box_xywh: tuple[float, float, float, float] | None  # the query person's box; None: not in this picture


@dataclass(frozen=True)
class EvaluationQuery:
    """A person to search for."""

    scene: str  # name of the query's picture; need not be in the gallery
    camera: int | None
    identity: int
    embedding: Array  # (D,) float32, unit
    context: Context | None = None  # people of the query's scene, for CBGM
    gallery: tuple[GalleryEntry, ...] | None = None  # the query's own gallery list, for CUHK-SYSU
    scene_embedding: Array | None = None  # (S,) float32 unit row of the query's whole scene, for GFN


@dataclass(frozen=True)
class EvaluationData:
    """Scenes and queries of an evaluation; scene names are unique."""

    scenes: tuple[Scene, ...]
    queries: tuple[EvaluationQuery, ...]

"""Results: the people of one scene, the ranked hits of one search, and the report of one indexing."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np

from personsearch import checks, render
from personsearch.boxes import Array
from personsearch.errors import ImageError, MissingExtraError, QueryError, ShapeError
from personsearch.hits import Detection, Hit, HitSequence, Query, Shots
from personsearch.tracks import GAP, PeopleOf, group_by_spell

if TYPE_CHECKING:
    import pandas as pd
    import supervision as sv
    from PIL.Image import Image


Engine = Literal["exact", "index"]  # the query was compared with every person, or with candidates of the vector index


@dataclass(frozen=True, repr=False)
class Detections:
    """People found in one scene, best score first; N may be 0.

    Each item is a `Detection`, which can be searched for. A slice, a mask or a list of rows gives `Detections` again:
    `detections[detections.scores > 0.8]`.
    """

    boxes: Array  # (N, 4) float32, xyxy pixels of the original image
    scores: Array  # (N,) float32, 0..1
    embeddings: Array  # (N, D) float32, unit L2 norm
    image: Any = field(default=None, repr=False, compare=False)  # the caller's image, for draw()
    numbers: Array | None = field(default=None, repr=False, compare=False)  # (N,) int: person in the scene, from 1; None: 1 to N
    scene: Array | None = field(default=None, repr=False, compare=False)  # (S,) float32 unit row of the whole scene, from a model with GFN

    def __post_init__(self) -> None:
        n = len(self.scores)
        if self.boxes.shape != (n, 4) or self.embeddings.ndim != 2 or len(self.embeddings) != n:
            raise ShapeError(
                f"{n} scores need boxes ({n}, 4) and embeddings ({n}, D), got {self.boxes.shape} and "
                f"{self.embeddings.shape}; build all from one keep-mask"
            )

    def __len__(self) -> int:
        return len(self.scores)

    @overload
    def __getitem__(self, index: int) -> Detection: ...
    @overload
    def __getitem__(self, index: "slice | Array | Sequence[int] | Sequence[bool]") -> "Detections": ...
    def __getitem__(self, index: Any) -> "Detection | Detections":
        if isinstance(index, slice):
            return self.take(np.arange(len(self))[index])
        if isinstance(index, np.ndarray | Sequence) and np.ndim(index):
            return self.take(np.asarray(index) if len(index) else np.zeros(0, np.intp))
        row = range(len(self))[index]
        x1, y1, x2, y2 = self.boxes[row].tolist()
        return Detection(self.people[row], (x1, y1, x2, y2), float(self.scores[row]), self.image)

    def __iter__(self) -> Iterator[Detection]:
        return (self[row] for row in range(len(self)))

    @property
    def people(self) -> list[int]:
        """The number of each person in the scene, which `Query(image, person=N)` takes; 1 has the best score."""
        return list(range(1, len(self) + 1)) if self.numbers is None else [int(number) for number in self.numbers]

    def __repr__(self) -> str:
        scores = f", scores {self.scores.max():.2f} to {self.scores.min():.2f}" if len(self) else ""
        return f"Detections({len(self)} people{scores})"

    def _repr_html_(self) -> str:
        """The scene with the numbered boxes, in a notebook; a table if the picture is not known."""
        if self.image is not None:
            with suppress(ImageError, QueryError):
                return render.picture_html(self.draw(), repr(self))
        rows = [(one.person, *(f"{value:.0f}" for value in one.box), f"{one.score:.2f}") for one in self]
        return render.table_html(("person", "x1", "y1", "x2", "y2", "score"), rows, repr(self))

    def take(self, index: Array) -> "Detections":
        """The detections at `index`: a boolean keep-mask (N,), or integer rows in the new order. People keep their numbers.

        Raises:
            ShapeError: A mask of another length.
        """
        if index.dtype == bool and index.shape != (len(self),):
            raise ShapeError(f"a mask of {len(self)} detections must have shape ({len(self)},), got {index.shape}")
        numbers = None if self.numbers is None else self.numbers[index]
        return replace(self, boxes=self.boxes[index], scores=self.scores[index], embeddings=self.embeddings[index], numbers=numbers)

    def draw(self, image: Any = None) -> "Image":
        """The scene with every box, the person's number and score, as a PIL picture.

        Args:
            image: Scene; by default the detected one.
        """
        return render.draw(self.image if image is None else image, self.boxes, self.scores, self.people)

    def to_supervision(self) -> "sv.Detections":
        """The people as `supervision.Detections`: class 0, `data` with class_name, person (numbers) and embedding.

        Raises:
            MissingExtraError: supervision is not installed.
        """
        numbers, names = np.array(self.people, np.intp), np.array(["person"] * len(self), "<U6")
        data = {"class_name": names, "person": numbers, "embedding": self.embeddings}
        classes = np.zeros(len(self), np.intp)
        made: sv.Detections = _supervision().Detections(self.boxes, confidence=self.scores, class_id=classes, data=data)
        return made

    @classmethod
    def from_supervision(cls, detections: "sv.Detections", *, embeddings: Array | None = None, image: Any = None) -> "Detections":
        """The people of `supervision.Detections`, best score first; a detection without a score counts 1.

        Args:
            detections: People only: what `to_supervision` gave, filtered or not, or what another detector found.
            embeddings: (N, D) rows, as `searcher.embed(image, detections.xyxy)` gives them; None: `detections.data["embedding"]`.
            image: Scene, for `draw` and for searching for one of them.

        Raises:
            ShapeError: The embeddings are missing, or not one for each person.
        """
        rows = detections.data.get("embedding") if embeddings is None else embeddings
        if rows is None:
            if len(detections):
                raise ShapeError("these detections have no embeddings; pass embeddings=searcher.embed(image, detections.xyxy)")
            rows = np.zeros((0, 0), np.float32)
        count = len(detections)
        scores = np.ones(count, np.float32) if detections.confidence is None else np.asarray(detections.confidence, np.float32)
        numbers = detections.data.get("person")
        boxes = np.asarray(detections.xyxy, np.float32).reshape(-1, 4)
        made = cls(boxes, scores, np.asarray(rows, np.float32), image, None if numbers is None else np.asarray(numbers, np.intp))
        made = made.take(np.argsort(-scores, kind="stable"))
        return made if numbers is not None else replace(made, numbers=None)

    def to_dict(self) -> dict[str, Any]:
        """Plain lists: `person` (numbers), `boxes` in xyxy pixels, `scores`. Embeddings are left out, as they describe a person's body."""
        return {
            "person": self.people,
            "boxes": np.round(self.boxes.astype(float), 2).tolist(),
            "scores": np.round(self.scores.astype(float), 4).tolist(),
        }


@dataclass(frozen=True, repr=False)
class SearchResult(HitSequence):
    """The hits of one query, best first; may be empty. A slice is a tuple of hits."""

    hits: tuple[Hit, ...]
    query: Query = field(repr=False, compare=False)
    engine: Engine = "exact"
    not_looked: Mapping[str, str] = field(default_factory=dict)  # picture or folder of the source that was not searched -> reason
    scenes_left_out: int = 0  # scenes with people that were not ranked, because GFN scored them below its threshold
    threshold: float | None = None  # cosine from which the model calls two people the same; None: the model is not calibrated
    people_of: PeopleOf | None = field(default=None, repr=False, compare=False)  # reads all people of some videos of the gallery
    shots: Shots | None = field(default=None, repr=False, compare=False)  # all pictures of a query of several; `query` is the first
    compared: int | None = None  # number of people that the query was compared with; 0: none of the gallery meets `where`
    ranked_by: str = "cosine"  # what the order follows: "cosine", "cosine x score", and what CBGM or GFN add

    def __repr__(self) -> str:
        best = f", best {self.hits[0].similarity:.3f} in {self.hits[0].image}" if self.hits else ""
        missing = f", {len(self.not_looked)} not looked at" if self.not_looked else ""
        missing += f", {self.scenes_left_out} scenes left out" if self.scenes_left_out else ""
        return f"SearchResult({len(self.hits)} hits{best}, engine={self.engine!r}{missing})"

    def spells(self, gap: float = GAP) -> "SearchResult":
        """One hit for each stretch of neighbouring video frames that shows one person: the best frame, with `start` and `end`.

        People are linked by place and appearance, so that two people of one second are two. A spell reaches from the person's first
        frame to the last, and the frames between need not be hits. Hits in pictures stay as they are. `search(group="spell")` gives
        `top_k` spells; this groups the hits that there are.

        Args:
            gap: Largest number of seconds without the person within a spell; two indexed frames in sequence are never too far apart.

        Raises:
            QueryError: `gap` is not a number of 0 or more.
            GalleryError: The gallery was deleted since.
        """
        return replace(self, hits=group_by_spell(self.hits, self.people_of, gap))

    def to_dict(self) -> dict[str, Any]:
        """Plain values: `query` (image if that is a path, box, time), `engine`, `ranked_by`, `threshold`, `hits` (one dict each), ...

        Of a query of several pictures, `query` is the first, with `pictures`, `negatives` and `combine` beside it. `compared` is the
        number of people that the query was compared with.
        """
        several: dict[str, Any] = {}
        if self.shots is not None:
            pictures, negatives = ([_named(one) for one in many] for many in (self.shots.pictures, self.shots.negatives))
            several = {"pictures": pictures, "negatives": negatives, "combine": self.shots.combine}
        return {
            "query": _named(self.query) | several,
            "engine": self.engine,
            "compared": self.compared,
            "ranked_by": self.ranked_by,
            "threshold": self.threshold,
            "hits": [hit.to_dict() for hit in self.hits],
            "not_looked": dict(self.not_looked),
            "scenes_left_out": self.scenes_left_out,
        }

    def to_json(self, path: str | os.PathLike[str] | None = None) -> str:
        """`to_dict()` as one JSON object, also written to `path` if that is given."""
        return _written(json.dumps(self.to_dict(), indent=2, allow_nan=False), path)

    def to_csv(self, path: str | os.PathLike[str] | None = None) -> str:
        """The hits as CSV with a head line, also written to `path` if that is given.

        The columns are those of `to_pandas`. A file name that a spreadsheet would take for a formula gets an apostrophe in front.
        """
        return _written(render.csv_text(self.hits), path)

    def to_coco(self, path: str | os.PathLike[str] | None = None) -> dict[str, Any]:
        """The hits in the format of COCO (images, annotations, categories), also written to `path` if that is given.

        `bbox` is x, y, width, height; each annotation also has score, similarity, rank and `is_match`. A video frame is an image
        with `frame` and `time`. The pictures are read for their sizes, which are null if a picture is missing.
        """
        made = render.coco(self.hits)
        if path is not None:
            _written(json.dumps(made, indent=2, allow_nan=False), path)
        return made

    def to_pandas(self) -> "pd.DataFrame":
        """The hits as a data frame, a row for each.

        Columns: rank, image, frame, row, time, start, end, x1, y1, x2, y2, score, similarity, ranked_by, is_match, is_small.

        Raises:
            MissingExtraError: pandas is not installed.
        """
        try:
            import pandas as pd
        except ModuleNotFoundError as error:
            raise MissingExtraError("pandas is not installed; run: pip install 'personsearch[pandas]'") from error
        return pd.DataFrame(render.table_rows(self.hits), columns=list(render.COLUMNS)).astype(render.COLUMN_TYPES)

    def save_crops(self, folder: str | os.PathLike[str], *, margin: float = 0.0) -> list[Path]:
        """Write each person as a PNG file into a folder; the names begin with the rank. Returns the paths, in the order of the hits.

        Args:
            folder: Folder, which is made; files of the same names are replaced, others stay.
            margin: Share of the box's width and height to add on each side.

        Raises:
            ImagesError: Some pictures are missing or have changed; the crops of the others are written.
        """
        return render.save_crops(self.hits, _path("folder", folder), margin)

    def montage(self) -> "Image":
        """The query beside its hits, each with box, rank and similarity, as a PIL picture."""
        return render.montage(self.query, self.hits)

    def save_html(self, path: str | os.PathLike[str]) -> None:
        """Write the hits as one self-contained page, which opens in any browser and loads nothing from the network."""
        render.save_html(self.query, self.hits, _path("path", path))

    def _repr_html_(self) -> str:
        """The montage, in a notebook."""
        return render.hits_html(self.query, self.hits, repr(self))


def _written(text: str, path: str | os.PathLike[str] | None) -> str:
    """The text, written to a file if a path is given."""
    if path is not None:
        render.write_text(_path("path", path), text)
    return text


def _path(name: str, value: Any) -> Path:
    return Path(checks.path(name, value))


def _supervision() -> Any:
    try:
        import supervision
    except ModuleNotFoundError as error:
        raise MissingExtraError("supervision is not installed; run: pip install 'personsearch[supervision]'") from error
    return supervision


def _named(query: Query) -> dict[str, Any]:
    """A query's picture by name, with box and time."""
    image = os.fsdecode(query.image) if isinstance(query.image, str | os.PathLike) else None
    return {"image": image, "box": query.box, "time": query.time}


@dataclass(frozen=True)
class IndexReport:
    """Changes that one run of indexing made, as image paths in source order."""

    added: tuple[str, ...]
    changed: tuple[str, ...]
    removed: tuple[str, ...]
    unchanged: tuple[str, ...]
    unreadable: dict[str, str]  # image -> reason; its people are not in the gallery
    not_seen: dict[str, str] = field(default_factory=dict)  # image or folder that could not be looked for -> reason; its people stay
    partial: dict[str, str] = field(default_factory=dict)  # video or picture of which only a part was read -> which part
    renamed: dict[str, str] = field(default_factory=dict)  # old name -> new name of an image with the same content

    @property
    def not_looked(self) -> dict[str, str]:
        """Everything that this run could not look at: `unreadable`, `not_seen` and `partial` together."""
        return {**self.unreadable, **self.not_seen, **self.partial}

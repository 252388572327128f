"""Results: the people of one scene, the ranked hits of one search, and the report of one indexing."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np

from personsearch.boxes import Array
from personsearch.errors import ShapeError
from personsearch.hits import Detection, Hit, Query, Shots
from personsearch.tracks import GAP, PeopleOf, group_by_spell

if TYPE_CHECKING:
    from PIL.Image import Image


Engine = Literal["exact", "index"]  # the query was compared with every person, or with candidates of the vector index


@dataclass(frozen=True)
class Detections:
    """People found in one scene, best score first; N may be 0. Each item is a `Detection`, which can be searched for."""

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

    def __getitem__(self, index: int) -> Detection:
        row = range(len(self))[index]
        x1, y1, x2, y2 = self.boxes[row].tolist()
        return Detection(self.people[row], (x1, y1, x2, y2), float(self.scores[row]), self.image)

    def __iter__(self) -> Iterator[Detection]:
        return (self[row] for row in range(len(self)))

    @property
    def people(self) -> list[int]:
        """The number of each person in the scene, which `Query(image, person=N)` takes; 1 has the best score."""
        return list(range(1, len(self) + 1)) if self.numbers is None else [int(number) for number in self.numbers]

    def take(self, index: Array) -> "Detections":
        """The detections at `index`: a boolean keep-mask (N,), or integer rows in the new order. People keep their numbers."""
        numbers = None if self.numbers is None else self.numbers[index]
        return replace(self, boxes=self.boxes[index], scores=self.scores[index], embeddings=self.embeddings[index], numbers=numbers)

    def draw(self, image: Any = None) -> "Image":
        """The scene with every box, the person's number and score, as a PIL picture.

        Args:
            image: Scene; by default the detected one.
        """
        from personsearch import render

        return render.draw(self.image if image is None else image, self.boxes, self.scores, self.people)

    def to_dict(self) -> dict[str, Any]:
        """Plain lists: `person` (numbers), `boxes` in xyxy pixels, `scores`. Embeddings are left out, as they describe a person's body."""
        return {
            "person": self.people,
            "boxes": np.round(self.boxes.astype(float), 2).tolist(),
            "scores": np.round(self.scores.astype(float), 4).tolist(),
        }


@dataclass(frozen=True, repr=False)
class SearchResult:
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
        """Plain values: `query` (image if that is a path, box, time), `engine`, `ranked_by`, `hits` (one dict each), and the rest.

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
            "hits": [asdict(hit) for hit in self.hits],
            "not_looked": dict(self.not_looked),
            "scenes_left_out": self.scenes_left_out,
        }

    def to_json(self) -> str:
        """`to_dict()` as one JSON object."""
        return json.dumps(self.to_dict(), indent=2)

    def montage(self) -> "Image":
        """The query beside its hits, each with box, rank and similarity, as a PIL picture."""
        from personsearch import render

        return render.montage(self.query, self.hits)

    def save_html(self, path: str | Path) -> None:
        """Write the hits as one self-contained page, which opens in any browser and loads nothing from the network."""
        from personsearch import render

        render.save_html(self.query, self.hits, Path(path))


def _named(query: Query) -> dict[str, Any]:
    """A query's picture by name, with box and time."""
    image = str(query.image) if isinstance(query.image, str | Path) else None
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

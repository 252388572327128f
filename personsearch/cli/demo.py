"""A search to begin with: rendered scenes and a query that come with the package, and who the right person is.

The scenes are of `python -m personsearch.synthetic --scenes 40 --seed 2026 --identities 40 --cameras 20 --fewest 3
--most 8`, a world that the package's model was not trained on: thirteen of them, and a crop of identity 0 from scene 34.
"""

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from personsearch.boxes import iou
from personsearch.results import SearchResult
from personsearch.searcher import PersonSearcher
from personsearch.weights.manifest import PACKAGE

SCENES = PACKAGE / "data" / "demo"
TRUTH = "people.json"  # scene -> box of the query's person, xyxy pixels, by file name
SAME_BOX = 0.5  # IoU


@dataclass(frozen=True)
class Demo:
    """What the demo found, and what it should have found."""

    result: SearchResult
    right: tuple[bool, ...]  # of each hit, whether it is the query's person
    shown: int  # scenes in which that person stands

    @property
    def summary(self) -> str:
        """A sentence or two."""
        first = "the right person" if self.right and self.right[0] else "another person"
        hits = f"{sum(self.right)} of the first {len(self.right)} hits are right"
        return f"Rank 1 is {first}. The person stands in {self.shown} of the scenes; {hits}."


def run_demo(searcher: PersonSearcher, *, top_k: int = 5) -> Demo:
    """Search the package's own scenes for the query beside them.

    Args:
        searcher: of any model.
        top_k: hits.
    """
    with tempfile.TemporaryDirectory() as folder:
        gallery = searcher.index(SCENES / "scenes", gallery=Path(folder) / "gallery", progress=False)
        result = searcher.search(SCENES / "query.jpg", gallery, top_k=top_k)
    truth: dict[str, list[float]] = json.loads((SCENES / TRUTH).read_text(encoding="utf-8"))
    right = tuple(_is_right(hit.image, hit.box, truth) for hit in result)
    return Demo(result, right, len(truth))


def _is_right(image: str, box: tuple[float, float, float, float], truth: dict[str, list[float]]) -> bool:
    wanted = truth.get(Path(image).name)
    return wanted is not None and float(iou(np.array([box], np.float32), np.array([wanted], np.float32))[0, 0]) >= SAME_BOX

"""The `demo` command: a first search in rendered scenes that are part of the package, with the right answer.

The scenes were made by `python -m personsearch.synthetic --scenes 40 --seed 2026 --identities 40 --cameras 20 --fewest 3
--most 8`, a world that the package's model was not trained on: thirteen of the scenes, and a crop of identity 0 from scene 34.
"""

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from personsearch.cli.options import Device, Model, check_output, open_searcher, say

if TYPE_CHECKING:
    from personsearch.results import SearchResult
    from personsearch.searcher import PersonSearcher

SCENES = Path(__file__).parent.parent / "data" / "demo"
TRUTH = "people.json"  # scene -> box of the query's person, xyxy pixels, by file name
SAME_BOX = 0.5  # IoU


@dataclass(frozen=True)
class Demo:
    """The demo's hits, and which of them are right."""

    result: "SearchResult"
    right: tuple[bool, ...]  # for each hit, whether it is the query's person
    shown: int  # number of scenes with that person

    @property
    def summary(self) -> str:
        """One or two sentences about the result."""
        first = "the right person" if self.right and self.right[0] else "another person"
        hits = f"{sum(self.right)} of the first {len(self.right)} hits are right"
        return f"Rank 1 is {first}. The person is in {self.shown} of the scenes; {hits}."


def demo(
    out: Annotated[Path, typer.Option(help="Folder for the two files.")] = Path("."),
    model: Model = None,
    device: Device = "auto",
) -> None:
    """Search rendered scenes that are part of the package; writes demo_hits.jpg and demo_hits.html, and says whether rank 1 is right."""
    files = out / "demo_hits.jpg", out / "demo_hits.html"
    for file in files:
        check_output("--out", file)
    outcome = run_demo(open_searcher(model, device))
    outcome.result.montage().save(files[0])
    outcome.result.save_html(files[1])
    say(outcome.summary)
    hits = [
        {"right": right, "image": Path(hit.image).name, "similarity": hit.similarity}
        for right, hit in zip(outcome.right, outcome.result, strict=True)
    ]
    first = bool(outcome.right and outcome.right[0])
    typer.echo(json.dumps({"rank_1_is_right": first, "files": [str(file) for file in files], "hits": hits}))


def run_demo(searcher: "PersonSearcher", *, top_k: int = 5) -> Demo:
    """Search the package's own scenes for the query beside them.

    Args:
        searcher: Searcher with any model.
        top_k: Number of hits.
    """
    from personsearch.hits import Query

    with tempfile.TemporaryDirectory() as folder:
        gallery = searcher.index(SCENES / "scenes", gallery=Path(folder) / "gallery", progress=False)
        result = searcher.search(Query(SCENES / "query.jpg", crop=True), gallery, top_k=top_k)
    truth: dict[str, list[float]] = json.loads((SCENES / TRUTH).read_text(encoding="utf-8"))
    right = tuple(_is_right(hit.image, hit.box, truth) for hit in result)
    return Demo(result, right, len(truth))


def _is_right(image: str, box: tuple[float, float, float, float], truth: dict[str, list[float]]) -> bool:
    import numpy as np

    from personsearch.boxes import iou

    true_box = truth.get(Path(image).name)
    return true_box is not None and float(iou(np.array([box], np.float32), np.array([true_box], np.float32))[0, 0]) >= SAME_BOX

"""Spells of a video against its ground truth: are they one person each, whole, and do they fill the top 10 with different people?

python -m benchmarks spells --shared DIR [--every 1 --every 5 --every 10] [--model NAME]
"""

import csv
import json
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from scipy.optimize import linear_sum_assignment

from benchmarks.real_pictures import PETS_SCALE
from personsearch import Gallery, PersonSearcher, Query, SearchOptions
from personsearch.boxes import Array, iou
from personsearch.gallery import People
from personsearch.query import EmbeddedQuery
from personsearch.tracks import GAP, link

VIDEO = "pets09_s2l1_480x360.mp4"
LEAST_IOU = 0.5  # of a detection and the true box that it is assigned to
QUERY_STEP = 50  # the people of every 50th frame are queries
TOP = 10


def true_identities(people: People, ground_truth: Path) -> Array:
    """(N,) identity of each detection, -1 for what is assigned to no true box."""
    truth: dict[int, list[tuple[int, list[float]]]] = defaultdict(list)
    with ground_truth.open() as file:
        for number, identity, *rest in csv.reader(file):
            x, y, width, height = (PETS_SCALE * float(value) for value in rest[:4])
            truth[int(number) - 1].append((int(identity), [x, y, x + width, y + height]))
    identities = np.full(len(people), -1)
    for frame in np.unique(people.frames).tolist():
        rows = np.flatnonzero(people.frames == frame)
        if not truth[frame]:
            continue
        overlaps = iou(people.boxes[rows], np.array([box for _, box in truth[frame]], np.float32))
        for i, j in zip(*linear_sum_assignment(overlaps, maximize=True), strict=True):
            if overlaps[i, j] >= LEAST_IOU:
                identities[rows[i]] = truth[frame][j][0]
    return identities


def true_stretches(people: People, identities: Array, gap: float, every: int) -> list[Array]:
    """The rows of each stretch in which one person is detected without a longer break than the gap."""
    stretches = []
    for identity in np.unique(identities[identities >= 0]):
        rows = np.flatnonzero(identities == identity)
        cuts = (np.diff(people.times[rows]) > gap + 1e-3) & (np.diff(people.frames[rows]) > every)
        stretches += np.split(rows, np.flatnonzero(cuts) + 1)
    return stretches


def quality(labels: Array, identities: Array, stretches: list[Array]) -> dict[str, Any]:
    """Purity and completeness of spells.

    Purity is the share of the detections that are of their spell's most frequent person, completeness the share of those in the
    largest spell of their true stretch.
    """
    named = identities >= 0
    pure = sum(np.bincount(identities[named & (labels == label)]).max() for label in np.unique(labels[named]))
    whole = sum(np.bincount(labels[rows]).max() for rows in stretches)
    counted = {"spells": len(np.unique(labels)), "true_stretches": len(stretches)}
    return {**counted, "purity": round(pure / named.sum(), 3), "completeness": round(whole / sum(map(len, stretches)), 3)}


def top_ten(searcher: PersonSearcher, gallery: Gallery, people: People, identities: Array, stretches: list[Array]) -> dict[str, Any]:
    """Different people, and stretches of the query person, among the first ten hits with and without spells."""
    number = {int(row): i for i, rows in enumerate(stretches) for row in rows}
    rows = np.flatnonzero((identities >= 0) & (people.frames % QUERY_STEP == 0))
    position = {key: i for i, key in enumerate(zip(people.frames.tolist(), people.rows.tolist(), strict=True))}
    queries = [
        EmbeddedQuery(
            Query(str(people.images[row]), tuple(people.boxes[row].tolist()), frame=int(people.frames[row])),
            people.embeddings[row],
            None,
            searcher.model.fingerprint,
        )
        for row in rows
    ]
    measured: dict[str, Any] = {"queries": len(queries)}
    for name, options in (("hits", SearchOptions(TOP)), ("spells", SearchOptions(TOP, group_by="spell"))):
        results = searcher.search(queries, gallery, options, exclude="frame")
        shown = [[position[hit.frame, hit.row or 0] for hit in result] for result in results]
        different = [len({int(identities[row]) for row in one if identities[row] >= 0}) for one in shown]
        own = [{i for i, rows in enumerate(stretches) if identities[rows[0]] == identities[row]} for row in rows]
        covered = [len(mine & {number[row] for row in one if row in number}) / len(mine) for mine, one in zip(own, shown, strict=True)]
        measured[f"different_people_of_{name}"] = round(float(np.mean(different)), 2)
        measured[f"stretches_found_by_{name}"] = round(float(np.mean(covered)), 3)
    return measured


def main(
    shared: Annotated[Path, typer.Option(help="Folder with data/, as the bundled model's card lists it.")],
    every: Annotated[list[int] | None, typer.Option(help="Step between the frames; repeat it for several.")] = None,
    model: Annotated[str | None, typer.Option(help="Model to measure in place of the bundled one.")] = None,
    gap: Annotated[float, typer.Option(help="Seconds without the person within one spell.")] = GAP,
) -> None:
    """Print one JSON object for each step and way of linking."""
    folder = shared / "data/pets09_s2l1"
    searcher = PersonSearcher.from_pretrained(model, device="cpu")
    with tempfile.TemporaryDirectory() as temporary:
        for step in every or [1, 5, 10]:
            gallery = searcher.index(folder / VIDEO, gallery=Path(temporary, f"{step}.lance"), every=step, progress=False)
            people = gallery.people()
            identities = true_identities(people, folder / "gt.txt")
            stretches = true_stretches(people, identities, gap, step)
            columns = (people.frames, people.times, people.boxes)
            ways = {
                "place and appearance": link(*columns, people.embeddings, gap, step),
                "place alone": link(*columns, people.embeddings[:, :0], gap, step),
                "time alone": np.cumsum(np.diff(people.times, prepend=0.0) > gap),
            }
            about = {"every": step, "people": len(people)}
            for way, labels in ways.items():
                print(json.dumps({**about, "linked_by": way, **quality(labels, identities, stretches)}), flush=True)
            print(json.dumps({**about, **top_ten(searcher, gallery, people, identities, stretches)}), flush=True)


if __name__ == "__main__":
    typer.run(main)

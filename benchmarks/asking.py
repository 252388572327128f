"""What re-ranking gains and costs, what negatives and several pictures do, and how well people are grouped without a query.

Every search goes through a gallery, as a user's does. On CUHK01 each crop is searched among the crops of the other camera. In the
PETS sequence, the MOT17 frames and the rendered scenes, each labelled person is searched among the detections of the other pictures.
"""

import itertools
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, TypeAlias

import numpy as np
import typer

from benchmarks import real_pictures
from benchmarks.crops_across_cameras import embedded, read_crops
from benchmarks.search import machine, print_table
from personsearch import PersonSearcher
from personsearch.boxes import Array, iou
from personsearch.evaluation.metrics import average_precision, rank_of_first
from personsearch.gallery import FramePeople, Gallery, ModelKey
from personsearch.gallery.clusters import labels_of
from personsearch.ranking import KReciprocal, QueryExpansion, Reranking
from personsearch.results import Detections
from personsearch.searching import QueryRows, SearchOptions, search

RERANKINGS: dict[str, Reranking | None] = {
    "cosine": None,
    "k-reciprocal 20,6 (the paper's)": KReciprocal(),
    "k-reciprocal 5,2": KReciprocal(k1=5, k2=2),
    "query expansion by 1": QueryExpansion(neighbours=1),
    "query expansion by 3": QueryExpansion(),
    "query expansion by 10": QueryExpansion(neighbours=10),
    "average query expansion by 3": QueryExpansion(alpha=0),
}
SECONDS_A_FRAME = 1 / 7  # of PETS09-S2L1
LEAST_IOU, MIN_SCORE = 0.5, 0.3
# Of a query's row, identity and scene: the query, and the scenes that are left out of its ranking
RowsFor: TypeAlias = Callable[[Array, int, int], tuple[QueryRows, list[int]]]
LARGE = 100_000  # people of the gallery whose search is timed


@dataclass(frozen=True)
class Labelled:
    """The people of one set, with their true identities, and the queries."""

    name: str
    rows: Array  # (N, D) float32 unit rows
    identities: Array  # (N,) int, -1 unknown
    scenes: Array  # (N,) int, ascending
    boxes: Array  # (N, 4) float32
    queries: list[tuple[Array, int, int]]  # row, identity, and the scene that is left out
    cameras: Array | None = None  # (N,) int; a query is then searched among the other cameras
    is_video: bool = False


def crops(searcher: PersonSearcher, folder: Path) -> Labelled:
    """CUHK01: one person a picture, two cameras."""
    data = read_crops(folder)
    rows = embedded(searcher.model, data.images)
    count = len(rows)
    queries = [(rows[i], int(data.identities[i]), i) for i in range(count)]
    boxes = np.tile(np.array([0, 0, 60, 160], np.float32), (count, 1))
    return Labelled("CUHK01", rows, data.identities, np.arange(count), boxes, queries, data.cameras)


def scenes(name: str, searcher: PersonSearcher, pictures: list[real_pictures.Picture], *, is_video: bool = False) -> Labelled:
    """Detections of pictures, labelled by the true box that each overlaps most, one detection for each true box."""
    data = real_pictures.measured(pictures, searcher)
    parts, identities, numbers = [], [], []
    for number, scene in enumerate(data.scenes):
        people = scene.detections.take(scene.detections.scores >= MIN_SCORE)
        parts.append(people)
        identities.append(labels(people.boxes, scene.boxes, scene.ids))
        numbers.append(np.full(len(people), number))
    own = {scene.name: number for number, scene in enumerate(data.scenes)}
    queries = [(query.embedding, query.identity, own[query.scene]) for query in data.queries]
    rows, boxes = (np.concatenate([getattr(part, column) for part in parts]) for column in ("embeddings", "boxes"))
    return Labelled(name, rows, np.concatenate(identities), np.concatenate(numbers), boxes, queries, is_video=is_video)


def labels(boxes: Array, true_boxes: Array, identities: Array) -> Array:
    """(N,) identity of each detection, -1 for those of no person or of one that a better detection has."""
    result = np.full(len(boxes), -1)
    if len(boxes) and len(true_boxes):
        overlap = iou(boxes, true_boxes)
        for row in np.argsort(-overlap.max(axis=1), kind="stable"):
            best = int(overlap[row].argmax())
            if overlap[row, best] >= LEAST_IOU and identities[best] not in result:
                result[row] = identities[best]
    return result


def gallery_of(data: Labelled, folder: Path, part: Array) -> Gallery:
    """A gallery of some people (P,), whose images are named by their scene."""
    gallery = Gallery.create_or_open(folder, ModelKey("measured", "measured@0", data.rows.shape[1]))
    batch = []
    for scene in np.unique(data.scenes[part]):
        rows = part[data.scenes[part] == scene]
        people = Detections(data.boxes[rows], np.ones(len(rows), np.float32), data.rows[rows])
        when = float(scene) * real_pictures.PETS_STEP * SECONDS_A_FRAME if data.is_video else None
        image, frame = ("video", int(scene)) if data.is_video else (f"{scene:06d}", 0)
        batch.append(FramePeople(image, frame, when, 1, 1, f"{scene}", None, None, None, True, people))
    gallery.add(batch)
    return gallery


def galleries_of(data: Labelled, folder: Path) -> Iterator[tuple[Gallery, Array, list[tuple[Array, int, int]]]]:
    """For each camera the gallery of the others with its rows (P,), and the camera's queries; without cameras one of all."""
    if data.cameras is None:
        part = np.arange(len(data.rows))
        yield gallery_of(data, folder / "all", part), part, data.queries
        return
    for camera in np.unique(data.cameras):
        part = np.flatnonzero(data.cameras != camera)
        queries = [query for query in data.queries if data.cameras[query[2]] == camera]
        yield gallery_of(data, folder / str(camera), part), part, queries


def accuracy(data: Labelled, folder: Path, options: SearchOptions, limit: int, rows_for: RowsFor) -> str:
    """The mAP and top-1, in percent, of at most `limit` queries; the scenes of the query's own pictures do not count."""
    precisions, firsts = [], []
    for gallery, part, queries in galleries_of(data, folder):
        row_of = {key: row for row, key in zip(part.tolist(), _keys(gallery), strict=True)}
        chosen = [queries[i] for i in np.unique(np.linspace(0, len(queries) - 1, limit).astype(int))]
        for row, identity, own in chosen:
            query, own_scenes = rows_for(row, identity, own)
            (ranked,) = search([gallery], [query], options)
            people = ranked.people
            order = np.array(
                [row_of[key] for key in zip(people.images.tolist(), people.frames.tolist(), people.rows.tolist(), strict=True)]
            )
            order = order[~np.isin(data.scenes[order], own_scenes)]
            relevant = data.identities[order] == identity
            if relevant.any():
                keys = -np.arange(len(order), dtype=float)
                precisions.append(average_precision(relevant, keys))
                firsts.append(rank_of_first(relevant, keys) == 1)
        gallery.delete()
    return f"{100 * np.mean(precisions):.1f} / {100 * np.mean(firsts):.1f} ({len(firsts)})"


def _keys(gallery: Gallery) -> list[tuple[str, int, int]]:
    people = gallery.people()
    return list(zip(people.images.tolist(), people.frames.tolist(), people.rows.tolist(), strict=True))


def single(row: Array, identity: int, own: int) -> tuple[QueryRows, list[int]]:
    """A query of its own picture alone."""
    return QueryRows(row[None]), [own]


def several(data: Labelled, count: int, combine: str) -> RowsFor:
    """Queries with up to `count` - 1 further pictures of the person, of the same camera where there are cameras."""
    by_identity: dict[int, list[tuple[Array, int]]] = {}
    for row, identity, own in data.queries:
        by_identity.setdefault(identity, []).append((row, own))

    def rows_for(row: Array, identity: int, own: int) -> tuple[QueryRows, list[int]]:
        others = [
            (other, scene)
            for other, scene in by_identity[identity]
            if scene != own and (data.cameras is None or data.cameras[scene] == data.cameras[own])
        ][: count - 1]
        rows = np.stack([row, *(other for other, _ in others)])
        mean = rows.sum(axis=0)
        query = rows if combine == "best" else (mean / np.linalg.norm(mean))[None]
        return QueryRows(query.astype(np.float32)), [own, *(scene for _, scene in others)]

    return rows_for


def times(dim: int) -> list[list[str]]:
    """CPU milliseconds of one search in a gallery of 100,000 people, by re-ranking."""
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((LARGE, dim), np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    data = Labelled("large", rows, np.zeros(LARGE, int), np.arange(LARGE) // 6, np.zeros((LARGE, 4), np.float32), [])
    lines = []
    with tempfile.TemporaryDirectory() as folder:
        gallery = gallery_of(data, Path(folder) / "large", np.arange(LARGE))
        for name, rerank in RERANKINGS.items():
            seconds = []
            for query in rows[:: LARGE // 11]:
                start = time.process_time()
                search([gallery], [QueryRows(query[None])], SearchOptions(rerank=rerank, confidence_weighted=False))
                seconds.append(time.process_time() - start)
            lines.append([name, f"{1000 * float(np.median(seconds[1:])):.0f}"])
    return lines


def grouping(data: Labelled, folder: Path) -> list[str]:
    """One row of the table of groups: B-cubed precision and recall of the labelled detections."""
    gallery = gallery_of(data, folder / "groups", np.arange(len(data.rows)))
    found = labels_of(gallery.people(), every=1)
    gallery.delete()
    known = data.identities >= 0
    groups, true = found[known], data.identities[known]
    together, same = groups[:, None] == groups[None], true[:, None] == true[None]
    precision, recall = ((together & same).sum(axis=1) / either.sum(axis=1) for either in (together, same))
    purity = sum(np.bincount(true[groups == group]).max() for group in np.unique(groups)) / len(true)
    numbers = [purity, precision.mean(), recall.mean(), 2 / (1 / precision.mean() + 1 / recall.mean())]
    return [data.name, str(len(true)), str(len(np.unique(true))), str(len(np.unique(groups))), *(f"{x:.2f}" for x in numbers)]


def main(
    shared: Annotated[Path, typer.Option(help="Folder with mot17_mini and pets09_s2l1.")],
    campus: Annotated[Path | None, typer.Option("--crops", help="CUHK01's folder campus.")] = None,
    rendered: Annotated[Path | None, typer.Option(help="Folder that personsearch.synthetic wrote; 60 scenes are used.")] = None,
    queries: Annotated[int, typer.Option(help="Largest number of queries of each set, or of each camera.")] = 150,
    timed: Annotated[bool, typer.Option(help="Time searches in 100,000 people too.")] = True,
) -> None:
    """Print the tables of re-ranking, of several pictures, of times and of groups."""
    searcher = PersonSearcher.from_pretrained()
    sets = [
        scenes("MOT17", searcher, list(real_pictures.mot17(shared / "mot17_mini"))),
        scenes("PETS09", searcher, list(real_pictures.pets(shared / "pets09_s2l1")), is_video=True),
    ]
    if rendered is not None:
        sets.append(scenes("rendered", searcher, list(itertools.islice(real_pictures.rendered(rendered), 60))))
    groups = list(sets)
    if campus is not None:
        sets.append(crops(searcher, campus))
    typer.echo(f"{machine()}; at most {queries} queries a set or camera\n")
    with tempfile.TemporaryDirectory() as home:
        place = Path(home)

        def row(name: str, rerank: Reranking | None, rows_for: Callable[[Labelled], RowsFor]) -> list[str]:
            options = SearchOptions(top_k=10**6, rerank=rerank, confidence_weighted=False)
            return [name, *(accuracy(data, place, options, queries, rows_for(data)) for data in sets)]

        lines = [row(name, rerank, lambda _: single) for name, rerank in RERANKINGS.items()]
        lines += [
            row(f"{count} pictures, {combine}", None, partial(several, count=count, combine=combine))
            for count in (2, 4)
            for combine in ("mean", "best")
        ]
        print_table(("ranking; mAP / top-1 (queries)", *(data.name for data in sets)), lines)
        columns = ("pictures", "labelled detections", "people", "groups", "purity", "B-cubed precision", "recall", "F")
        print_table(columns, [grouping(data, place) for data in groups])
    if timed:
        print_table((f"ranking, {LARGE:,} people", "CPU ms / query"), times(searcher.model.embedding_dim))


if __name__ == "__main__":
    typer.run(main)

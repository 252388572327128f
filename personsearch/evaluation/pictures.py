"""Pictures of an evaluation: ranked lists with right and wrong framed, recall over IoU, a map of embeddings by identity."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from personsearch import images
from personsearch.boxes import Array
from personsearch.evaluation.arrays import EvaluationData
from personsearch.evaluation.curves import BOTTOM, GRID, LEFT, RIGHT, SIZE, TOP, colour_of, write_text
from personsearch.evaluation.metrics import mutual_matches
from personsearch.evaluation.search import QueryRanking
from personsearch.models.base import PersonModel
from personsearch.render.views import person

if TYPE_CHECKING:
    from PIL.Image import Image

RIGHT_FRAME, WRONG_FRAME, QUERY_FRAME = (40, 150, 60), (205, 50, 40), (31, 98, 172)
CROP = (96, 192)  # pixels, width and height of a person in a ranked list
GAP = 8
IOUS = tuple(round(0.5 + 0.05 * step, 2) for step in range(10))  # of a recall curve
DOT = 4  # radius


def rank_lists(
    data: EvaluationData, rankings: Sequence[QueryRanking], boxes: Sequence[Array], *, queries: int = 8, hits: int = 8
) -> "Image":
    """One line a query: the query in blue, then its best hits, green if right and red if wrong.

    Args:
        data: Scenes, whose names are the paths of the pictures, and queries.
        rankings: Rankings of the queries.
        boxes: (4,) box of each query of the data.
        queries: Largest number of queries, evenly chosen.
        hits: Number of hits of each.
    """
    from PIL import Image

    count = min(queries, len(rankings))
    chosen = [rankings[number * len(rankings) // count] for number in range(count)]
    width, height = (CROP[0] + GAP) * (hits + 1) + GAP, (CROP[1] + GAP) * max(1, count) + GAP
    picture = Image.new("RGB", (width, height), "white")
    for line, ranking in enumerate(chosen):
        top = GAP + line * (CROP[1] + GAP)
        query = data.queries[ranking.number]
        picture.paste(_framed(query.scene, boxes[ranking.number], QUERY_FRAME), (GAP, top))
        order = np.lexsort((np.arange(len(ranking.keys)), -ranking.keys))[:hits]
        scenes, people = ranking.scenes, ranking.boxes
        for place, row in enumerate(order.tolist(), start=1):
            colour = RIGHT_FRAME if ranking.relevant[row] else WRONG_FRAME
            name = data.scenes[int(scenes[row])].name
            picture.paste(_framed(name, people[row], colour), (GAP + place * (CROP[0] + GAP), top))
    return picture


def recall_over_iou(data: EvaluationData, *, min_score: float, ious: Sequence[float] = IOUS) -> list[float]:
    """The share of true boxes that detections from `min_score` on match, for each IoU (SeqNet, Fig. 4).

    Args:
        data: Scenes.
        min_score: Score below which detections do not count.
        ious: Smallest IoU of a match.
    """
    people = sum(len(scene.boxes) for scene in data.scenes)
    found = [scene.detections.boxes[scene.detections.scores >= min_score] for scene in data.scenes]
    matches = [
        sum(int(mutual_matches(scene.boxes, boxes, iou).sum()) for scene, boxes in zip(data.scenes, found, strict=True)) for iou in ious
    ]
    return [count / people if people else 0.0 for count in matches]


def recall_curves(recalls: Mapping[str, Sequence[float]], ious: Sequence[float] = IOUS) -> "Image":
    """A line for each model: recall in percent over IoU.

    Args:
        recalls: Recall at each IoU by the model's name.
        ious: The IoUs.
    """
    return line_chart(recalls, [f"{iou:.2f}" for iou in ious], "recall (%) over IoU")


def gallery_curves(models: Sequence[Mapping[str, Any]]) -> "Image":
    """A line for each model: mAP in percent over the galleries, without re-ranking (SeqNet, Fig. 5).

    Args:
        models: Results of `evaluate_dataset` on one data set.
    """
    rows = {one["model"]: [row for row in one["search"] if row["cbgm"] is None] for one in models}
    galleries = [row["gallery"] for row in next(iter(rows.values()))]
    return line_chart({name: [row["mAP"] for row in own] for name, own in rows.items()}, galleries, "mAP (%) over galleries")


def line_chart(lines: Mapping[str, Sequence[float]], labels: Sequence[str], title: str) -> "Image":
    """Lines of values 0..1, in percent; where lines are equal, the earlier ones are wider, so that all are seen.

    Args:
        lines: Values at each label by the line's name.
        labels: Texts under the points.
        title: Text above.
    """
    from PIL import Image, ImageDraw

    picture = Image.new("RGB", SIZE, "white")
    canvas = ImageDraw.Draw(picture)
    columns = [LEFT + round((step + 0.5) * (RIGHT - LEFT) / len(labels)) for step in range(len(labels))]
    for percent in range(0, 101, 20):
        y = BOTTOM - round(percent / 100 * (BOTTOM - TOP))
        canvas.line((LEFT, y, RIGHT, y), GRID)
        write_text(canvas, str(percent), LEFT - 40, y - 10)
    for x, label in zip(columns, labels, strict=True):
        write_text(canvas, label, x - 4 * len(label), BOTTOM + 12)
    write_text(canvas, title, LEFT, 12)
    x = LEFT
    paths = [
        [(column, BOTTOM - round(value * (BOTTOM - TOP))) for column, value in zip(columns, values, strict=True)]
        for values in lines.values()
    ]
    for number, (name, path) in enumerate(zip(lines, paths, strict=True)):
        for place, (px, py) in enumerate(path):
            later = [other[place : place + 2] for other in paths[number + 1 :]]
            canvas.line(path[place : place + 2], colour_of(number), 3 + 4 * later.count(path[place : place + 2]))
            dot = DOT + 2 * sum(other[0] == (px, py) for other in later)
            canvas.ellipse((px - dot, py - dot, px + dot, py + dot), colour_of(number))
        x = write_text(canvas, name, x, 40, colour_of(number)) + 24
    return picture


def embedding_map(embeddings: Array, identities: Array, *, people: int = 12) -> "Image":
    """Embeddings as dots in two dimensions, one colour an identity: the first two principal components of the most frequent people.

    Args:
        embeddings: (N, D) unit rows.
        identities: (N,) int, not negative.
        people: Largest number of identities.
    """
    from PIL import Image, ImageDraw

    picture = Image.new("RGB", SIZE, "white")
    canvas = ImageDraw.Draw(picture)
    names, counts = np.unique(identities, return_counts=True)
    chosen = names[np.argsort(-counts, kind="stable")[:people]]
    rows = np.isin(identities, chosen)
    points = plane_of(embeddings[rows])
    low, high = (points.min(axis=0), points.max(axis=0)) if len(points) else (np.zeros(2), np.ones(2))
    places = (points - low) / np.maximum(high - low, 1e-9) * [RIGHT - LEFT, BOTTOM - TOP] + [LEFT, TOP]
    for (x, y), identity in zip(places.tolist(), identities[rows].tolist(), strict=True):
        colour = colour_of(int(np.flatnonzero(chosen == identity)[0]))
        canvas.ellipse((x - DOT, y - DOT, x + DOT, y + DOT), colour)
    write_text(canvas, f"{int(rows.sum())} embeddings of {len(chosen)} people, first two principal components", LEFT, 12)
    return picture


def plane_of(rows: Array) -> Array:
    """(N, 2) float64: rows on their first two principal components, whose largest entries are positive."""
    if not len(rows):
        return np.zeros((0, 2))
    centred = np.asarray(rows, np.float64) - np.mean(rows, axis=0, dtype=np.float64)
    axes = np.linalg.svd(centred, full_matrices=False)[2][:2]
    axes *= np.sign(np.take_along_axis(axes, np.abs(axes).argmax(axis=1)[:, None], axis=1))
    plane = np.zeros((len(rows), 2))
    plane[:, : len(axes)] = centred @ axes.T
    return plane


def embeddings_of(data: EvaluationData, rankings: Sequence[QueryRanking], min_score: float) -> tuple[Array, Array]:
    """The embeddings of the queries and of their right hits, (N, D), and their identities, (N,); each detection once."""
    rows: dict[tuple[int, int], tuple[Array, int]] = {}
    pool = [scene.detections.embeddings[scene.detections.scores >= min_score] for scene in data.scenes]
    for ranking in rankings:
        query = data.queries[ranking.number]
        rows[-1, ranking.number] = query.embedding, query.identity
        scenes = ranking.scenes
        for row in np.flatnonzero(ranking.relevant).tolist():
            scene = int(scenes[row])
            first = int(np.searchsorted(scenes, scene))
            rows[scene, row - first] = pool[scene][row - first], query.identity
    dim = pool[0].shape[1] if pool else 0
    embeddings = np.array([row for row, _ in rows.values()], np.float32).reshape(-1, dim)
    return embeddings, np.array([identity for _, identity in rows.values()], np.int64)


def save_pictures(
    folder: Path,
    model: PersonModel,
    data: EvaluationData,
    rankings: Sequence[QueryRanking],
    boxes: Sequence[Array],
    min_score: float,
    *,
    name: str,
) -> list[Path]:
    """Write ranked lists, the map of embeddings, and the taps of a model with deformable convolutions at the first query.

    Args:
        folder: Folder of the pictures; made if missing.
        model: Model that made the data.
        data: Scenes and queries.
        rankings: Rankings of the queries.
        boxes: (4,) box of each query.
        min_score: Score below which detections were not searched.
        name: Name of the model, with which the names of the files begin.

    Returns:
        The files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    beginning = file_beginning(name)
    drawn = {"ranks": rank_lists(data, rankings, boxes), "embeddings": embedding_map(*embeddings_of(data, rankings, min_score))}
    taps = draw_taps(model, images.load(data.queries[0].scene), boxes[0]) if data.queries else None
    if taps is not None:
        drawn["taps"] = taps
    files = []
    for what, picture in drawn.items():
        files.append(folder / f"{beginning}_{what}.png")
        picture.save(files[-1])
    return files


def file_beginning(name: str) -> str:
    """Beginning of the names of a model's pictures: its name with "-" for what a file's name may not have."""
    return "".join(letter if letter.isalnum() or letter in "-_." else "-" for letter in name)


def draw_taps(model: PersonModel, image: Array, box: Array) -> "Image | None":
    """The picture with the taps of a model's deformable convolutions at the centre of a box, one colour a layer (AlignPS, Fig. 7).

    Args:
        model: Model; one without such layers, or not one PyTorch network for scenes, gives None.
        image: RGB uint8 (H, W, 3).
        box: (4,) xyxy pixels.
    """
    from PIL import Image, ImageDraw

    if not hasattr(model, "network"):  # only such a model has layers to look into, and only these need torch
        return None
    from personsearch.models.taps import taps_at

    layers = taps_at(model, image, box)
    if not layers:
        return None
    picture = Image.fromarray(image)
    canvas = ImageDraw.Draw(picture)
    canvas.rectangle(tuple(box.tolist()), outline=(255, 255, 255), width=2)
    for number, layer in enumerate(layers):
        for x, y in layer.points.tolist():
            canvas.ellipse((x - DOT, y - DOT, x + DOT, y + DOT), colour_of(number))
    return picture


def _framed(path: str, box: Array, colour: tuple[int, int, int]) -> "Image":
    return person(images.load(path), box, CROP, colour)

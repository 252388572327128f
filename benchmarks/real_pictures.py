"""Labelled pictures to measure models on: MOT17 frames, a PETS sequence, Penn-Fudan photographs, rendered scenes."""

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from personsearch import PersonSearcher, images
from personsearch.boxes import Array
from personsearch.evaluation import EvaluationData, EvaluationQuery, Scene
from personsearch.training.data.dataset import CocoPeople

MIN_VISIBILITY = 0.3
PETS_STEP, PETS_SCALE = 20, 0.625  # every 20th frame; the annotated boxes are of a larger original


@dataclass(frozen=True)
class Picture:
    """A picture with its true people."""

    name: str
    camera: int
    image: Array  # (H, W, 3) uint8 RGB
    boxes: Array  # (N, 4) float32 xyxy pixels
    identities: Array  # (N,) int64, -1 unlabelled


def mot17(folder: Path) -> Iterator[Picture]:
    """Every frame of every sequence, with the pedestrians that the ground truth counts and that are at least 30 % visible."""
    for camera, sequence in enumerate(sorted(folder.iterdir())):
        rows: dict[int, list[tuple[int, list[float]]]] = {}
        with (sequence / "gt/gt.txt").open() as file:
            for number, identity, *rest in csv.reader(file):
                x, y, width, height, flag, kind, visible = map(float, rest)
                if flag == 1 and kind == 1 and visible >= MIN_VISIBILITY:
                    person = int(identity) + 1000 * camera  # each sequence numbers its people from 1
                    rows.setdefault(int(number), []).append((person, [x, y, x + width, y + height]))
        for path in sorted((sequence / "img1").glob("*.jpg")):
            people = rows.get(int(path.stem), [])
            yield _picture(f"{sequence.name}/{path.name}", camera, images.load(path), people)


def pets(folder: Path) -> Iterator[Picture]:
    """Every 20th frame of PETS09-S2L1."""
    rows: dict[int, list[tuple[int, list[float]]]] = {}
    with (folder / "gt.txt").open() as file:
        for number, identity, *rest in csv.reader(file):
            x, y, width, height = (PETS_SCALE * float(value) for value in rest[:4])
            rows.setdefault(int(number), []).append((int(identity), [x, y, x + width, y + height]))
    video = cv2.VideoCapture(str(folder / "pets09_s2l1_480x360.mp4"))
    for frame_number in range(1, 10**6):
        is_read, frame = video.read()
        if not is_read:
            return
        if frame_number % PETS_STEP == 1:
            yield _picture(f"{frame_number:04d}", 0, np.ascontiguousarray(frame[..., ::-1]), rows.get(frame_number, []))


def pennfudan(folder: Path) -> Iterator[Picture]:
    """Street photographs, without identities."""
    for file in sorted((folder / "Annotation").glob("*.txt")):
        text = file.read_text(encoding="latin-1")
        corners = re.findall(r"\(Xmin, Ymin\) - \(Xmax, Ymax\) : \((\d+), (\d+)\) - \((\d+), (\d+)\)", text)
        (path,) = (path for path in folder.rglob(file.stem + ".*") if path.suffix in (".png", ".jpg"))
        yield _picture(path.name, 0, images.load(path), [(-1, [float(value) for value in box]) for box in corners])


def rendered(folder: Path) -> Iterator[Picture]:
    """Scenes made by `personsearch.synthetic`, without people who are less than 30 % visible."""
    dataset = CocoPeople(folder / "annotations.json", min_visibility=MIN_VISIBILITY)
    for number in range(len(dataset)):
        sample = dataset[number]
        yield Picture(f"{number:04d}", sample.camera or 0, sample.image, sample.boxes, sample.identities)


def measured(pictures: list[Picture], searcher: PersonSearcher, *, bare_crops: bool = False) -> EvaluationData:
    """Detections of every picture; a query for every labelled person who is in another picture too.

    Args:
        pictures: Pictures of one set.
        searcher: Searcher with the model to measure.
        bare_crops: Whether to embed queries from their crops alone, without the scene.
    """
    scenes, queries = [], []
    for picture in pictures:
        scenes.append(Scene(picture.name, picture.camera, picture.boxes, picture.identities, searcher.detect(picture.image, min_score=0)))
        named = picture.identities >= 0
        boxes, names = picture.boxes[named], picture.identities[named]
        if not len(boxes):
            continue
        rows = (
            np.concatenate(searcher.embed([_crop(picture.image, box) for box in boxes]))
            if bare_crops
            else searcher.embed(picture.image, boxes)
        )
        queries += [EvaluationQuery(picture.name, picture.camera, int(identity), row) for identity, row in zip(names, rows, strict=True)]
    repeated = {identity for identity in {query.identity for query in queries} if sum(identity in scene.ids for scene in scenes) > 1}
    return EvaluationData(tuple(scenes), tuple(query for query in queries if query.identity in repeated))


def precision(data: EvaluationData, min_score: float) -> float:
    """Share of the detections that match a person: each true box matches one detection (IoU 0.5)."""
    hits = total = 0
    for scene in data.scenes:
        detected = scene.detections.boxes[scene.detections.scores >= min_score]
        total += len(detected)
        free = list(range(len(scene.boxes)))
        for box in detected:
            best = max(free, key=lambda row: _iou(box, scene.boxes[row]), default=None)
            if best is not None and _iou(box, scene.boxes[best]) >= 0.5:
                free.remove(best)
                hits += 1
    return hits / max(1, total)


def _picture(name: str, camera: int, image: Array, people: list[tuple[int, list[float]]]) -> Picture:
    boxes = np.array([box for _, box in people], np.float32).reshape(-1, 4)
    return Picture(name, camera, image, boxes, np.array([identity for identity, _ in people], np.int64))


def _crop(image: Array, box: Array) -> Array:
    height, width = image.shape[:2]
    x1, y1, x2, y2 = np.rint(box).astype(int).tolist()
    left, top = min(max(x1, 0), width - 1), min(max(y1, 0), height - 1)
    return image[top : max(top + 1, y2), left : max(left + 1, x2)]


def _iou(first: Array, second: Array) -> float:
    low, high = np.maximum(first[:2], second[:2]), np.minimum(first[2:], second[2:])
    shared = float(np.prod(np.maximum(high - low, 0)))
    areas = [float(np.prod(box[2:] - box[:2])) for box in (first, second)]
    return shared / max(1e-6, sum(areas) - shared)

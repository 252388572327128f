"""False matches and misses by the people's height in pixels, at the model's calibrated threshold.

python -m benchmarks small_people --shared DIR [--scenes DIR] [--model NAME]
"""

import json
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from benchmarks.real_pictures import Picture, mot17, pets, rendered
from personsearch import PersonSearcher, calibrate
from personsearch.boxes import Array
from personsearch.calibration import rates

EDGES = (0, 40, 60, 80, 120, 200, 10_000)  # pixels
FALSE_MATCHES = 0.01  # share of different pairs for which the last column gives a threshold


def people(pictures: Iterable[Picture], searcher: PersonSearcher, *, by_camera: bool) -> tuple[Array, Array, Array, Array]:
    """(N, D) unit rows, and (N,) identities, places and heights of everyone named, at the true boxes.

    Args:
        pictures: Pictures of one set.
        searcher: Searcher with the model to measure.
        by_camera: Whether the place is the camera, not the picture. The cameras of the real sets have no person in common.
    """
    rows, names, places, heights = [], [], [], []
    for number, picture in enumerate(pictures):
        boxes = picture.boxes[picture.identities >= 0]
        if not len(boxes):
            continue
        rows.append(searcher.embed(picture.image, boxes))
        names.append(picture.identities[picture.identities >= 0])
        places.append(np.full(len(boxes), picture.camera if by_camera else number))
        heights.append(boxes[:, 3] - boxes[:, 1])
    return np.concatenate(rows), np.concatenate(names), np.concatenate(places), np.concatenate(heights)


def by_height(rows: Array, names: Array, places: Array, heights: Array, threshold: float) -> Iterator[dict[str, Any]]:
    """A row for each range of heights: that of the smaller person of a pair from two places."""
    first, second = np.triu_indices(len(rows), 1)
    apart = places[first] != places[second]
    first, second = first[apart], second[apart]
    cosines = np.concatenate([(rows[a] * rows[b]).sum(axis=1) for a, b in _parts(first, second)])
    is_same, smaller = names[first] == names[second], np.minimum(heights[first], heights[second])
    for low, high in pairwise(EDGES):
        inside = (smaller >= low) & (smaller < high)
        same, different = cosines[inside & is_same], cosines[inside & ~is_same]
        if not len(same) or not len(different):
            continue
        own = calibrate(same, different, false_match_rate=FALSE_MATCHES, data="")
        shares = {name: round(value, 4) for name, value in rates(same, different, threshold).items()}
        best = {"threshold_at_1_percent": round(own.min_similarity, 3), "miss_there": round(own.miss_rate, 3)}
        yield {"height": [low, high], "same": len(same), "different": len(different), **shares, **best}


def main(
    shared: Annotated[Path, typer.Option(help="Folder with data/, as the bundled model's card lists it.")],
    scenes: Annotated[
        Path | None, typer.Option(help="Folder of rendered scenes, as `python -m personsearch.synthetic` makes them.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="Model to measure in place of the bundled one.")] = None,
    only: Annotated[list[str] | None, typer.Option(help="mot17, pets or rendered; repeat it for several.")] = None,
) -> None:
    """Print one JSON object for each set and range of heights."""
    searcher = PersonSearcher.from_pretrained(model, device="cpu")
    if searcher.calibration is None:
        raise typer.BadParameter("the model has no calibration")
    sets: dict[str, Iterable[Picture]] = {"mot17": mot17(shared / "data/mot17_mini"), "pets": pets(shared / "data/pets09_s2l1")}
    if scenes is not None:
        sets["rendered"] = rendered(scenes)
    for name in only or sets:
        columns = people(sets[name], searcher, by_camera=name == "rendered")
        for row in by_height(*columns, searcher.calibration.min_similarity):
            print(json.dumps({"set": name, **row}), flush=True)


def _parts(first: Array, second: Array, size: int = 200_000) -> Iterator[tuple[Array, Array]]:
    for start in range(0, len(first), size):
        yield first[start : start + size], second[start : start + size]


if __name__ == "__main__":
    typer.run(main)

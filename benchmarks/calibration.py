"""How often a model's threshold errs, by height of the person: pairs of two cameras or two pictures, at true boxes.

    python -m benchmarks calibration --shared DIR [--crops CUHK01/campus] [--model MODEL]

The height of a pair is that of the smaller person. CUHK01's crops are all 160 pixels high, so they are also shrunk to the height of each
group before they are embedded.
"""

import json
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

import cv2
import numpy as np
import typer

from benchmarks.crops_across_cameras import embedded, read_crops
from benchmarks.real_pictures import Picture, mot17, pets
from personsearch import PersonSearcher
from personsearch.boxes import Array
from personsearch.calibration import rates
from personsearch.errors import ConfigError

GROUPS = (0, 64, 128, 256, 10_000)  # pixels; ends of the groups of heights
SHRUNK = (48, 96)  # pixels; heights of CUHK01's crops beside their own


def by_height(rows: Array, identities: Array, places: Array, heights: Array, min_similarity: float) -> list[dict[str, Any]]:
    """`false_match_rate` and `miss_rate` of each group of heights that has pairs of both kinds, with the numbers of pairs.

    Args:
        rows: Unit rows of people, (N, D).
        identities: Identity of each, (N,).
        places: Camera or picture of each, (N,); pairs of one place do not count.
        heights: Height of each in pixels, (N,).
        min_similarity: Cosine of a match.
    """
    first, second = np.triu_indices(len(rows), 1)
    cosines, same = (rows @ rows.T)[first, second], identities[first] == identities[second]
    apart, height = places[first] != places[second], np.minimum(heights[first], heights[second])
    groups = []
    for low, high in pairwise(GROUPS):
        here = apart & (height >= low) & (height < high)
        pairs = cosines[here & same], cosines[here & ~same]
        if len(pairs[0]) and len(pairs[1]):
            groups.append({"from": low, "below": high, "same": len(pairs[0]), "different": len(pairs[1]), **rates(*pairs, min_similarity)})
    return groups


def people_of(pictures: list[Picture], searcher: PersonSearcher) -> tuple[Array, Array, Array, Array]:
    """Rows, identities, places and heights of all named people of labelled pictures."""
    parts = []
    for number, picture in enumerate(pictures):
        named = picture.identities >= 0
        boxes = picture.boxes[named]
        if len(boxes):
            place = np.full(len(boxes), number)
            parts.append((searcher.embed(picture.image, boxes), picture.identities[named], place, boxes[:, 3] - boxes[:, 1]))
    rows, identities, places, heights = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return rows, identities, places, heights


def shrunk(crop: Array, height: int) -> Array:
    """A crop (h, w, 3) of `height` pixels, its shape kept."""
    width = max(1, round(crop.shape[1] * height / crop.shape[0]))
    small: Array = cv2.resize(crop, (width, height), interpolation=cv2.INTER_AREA)
    return small


def main(
    shared: Annotated[Path, typer.Option(help="Folder with data/, as the bundled model's card lists it.")],
    crops: Annotated[Path | None, typer.Option(help="Folder of crops named IIIIKKK.png (identity, number): CUHK01's campus.")] = None,
    model: Annotated[str | None, typer.Option(help="Model to measure in place of the bundled one.")] = None,
) -> None:
    """Print one JSON object per set and group of heights."""
    searcher = PersonSearcher.from_pretrained(model, device="cpu")
    if searcher.calibration is None:
        raise ConfigError("the model has no calibration; calibrate it with personsearch.calibration.calibrate")
    threshold = searcher.calibration.min_similarity
    data = shared / "data"
    sets = {
        "mot17": people_of(list(mot17(data / "mot17_mini")), searcher),
        "pets": people_of(list(pets(data / "pets09_s2l1")), searcher),
    }
    if crops is not None:
        people = read_crops(crops)
        for height in (None, *SHRUNK):
            images = people.images if height is None else [shrunk(crop, height) for crop in people.images]
            heights = np.array([len(image) for image in images])
            sets[f"crops of {heights[0]} pixels"] = embedded(searcher.model, images), people.identities, people.cameras, heights
    for name, arrays in sets.items():
        for group in by_height(*arrays, threshold):
            print(json.dumps({"set": name, "min_similarity": round(threshold, 4), **group}), flush=True)


if __name__ == "__main__":
    typer.run(main)

"""What the tests of pictures and pages share: scenes with one magenta person on grey."""

import base64
import io
import re
from pathlib import Path

import numpy as np
from PIL import Image

from personsearch.boxes import Array
from personsearch.hits import Hit, Query
from personsearch.render import page
from personsearch.results import SearchResult

GREY, MAGENTA = (128, 128, 128), (255, 0, 255)
BOX = (100.0, 60.0, 140.0, 160.0)
TILE = (240, 320)
OFF = 2  # pixels a box may be off the person in a tile: 1 for resampling, which blurs the person's edge, 1 for rounding


def scene(width: int = 400, height: int = 300, box: tuple[float, ...] = BOX) -> Array:
    image = np.full((height, width, 3), GREY, np.uint8)
    x1, y1, x2, y2 = (int(value) for value in box)
    image[y1:y2, x1:x2] = MAGENTA
    return image


def saved(path: Path, image: Array | None = None) -> str:
    Image.fromarray(scene() if image is None else image).save(path)
    return str(path)


def hit(image: str, rank: int = 1, **other: object) -> Hit:
    values = {"frame": 0, "time": None, "box": BOX, "score": 0.9, "similarity": 0.75, "ranked_by": 0.75} | other
    return Hit(rank=rank, image=image, **values)  # type: ignore[arg-type]


def result(*hits: Hit, query: Query | None = None) -> SearchResult:
    return SearchResult(hits, query or Query(scene(), BOX))


def page_of(made: SearchResult) -> str:
    return page.page(made.query, made.hits)


def extent(picture: Image.Image, colour: tuple[int, int, int], tolerance: int = 40) -> list[int]:
    """xyxy of all pixels of about this colour."""
    near = (np.abs(np.asarray(picture).astype(int) - colour) <= tolerance).all(axis=2)
    assert near.any(), f"no pixel is {colour}"
    ys, xs = np.nonzero(near)
    return [int(xs.min()), int(ys.min()), int(xs.max()) + 1, int(ys.max()) + 1]


def misfit(tile: Image.Image, colour: tuple[int, int, int]) -> int:
    """How many pixels the drawn box is off the person, beyond its own line of 2 pixels, at the worst side."""
    person, drawn = np.array(extent(tile, MAGENTA)), np.array(extent(tile, colour))
    return int(np.abs((person - drawn) * [1, 1, -1, -1] - 2).max())


def jpegs(text: str) -> list[Image.Image]:
    return [Image.open(io.BytesIO(base64.b64decode(code))) for code in re.findall(r"data:image/jpeg;base64,([A-Za-z0-9+/=]+)", text)]

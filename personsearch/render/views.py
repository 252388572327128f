"""Views of one person: a cut-out of the scene, the whole scene in small, or a grey tile if the picture is missing."""

from collections.abc import Callable, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from personsearch.boxes import Array, check_boxes
from personsearch.errors import BoxError, ImageError, QueryError
from personsearch.hits import Hit, Query
from personsearch.render.lettering import text_and_font
from personsearch.sources import read_frame, read_query

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw

T = TypeVar("T")
Colour = tuple[int, int, int]
Size = tuple[int, int]  # width, height

QUERY_COLOUR: Colour = (255, 176, 0)
HIT_COLOUR: Colour = (46, 204, 255)
DARK: Colour = (22, 24, 29)  # around a picture that does not fill its tile, and the rim of every box
GREY: Colour = (122, 127, 138)  # tile of a missing picture

PERSON_SHARE = 0.74  # share of a tile's height or width for the person, the rest is context
MAX_ZOOM = 4.0  # beyond this a small person is only blur, and more of the scene is more useful

GONE = "picture not available"
CHANGED = "picture has changed"


def of_hits(hits: Sequence[Hit], show: Callable[[Array, Array], T], missing: Callable[[str], T]) -> list[T]:
    """One view of each hit, in order. A scene with several hits is read once, and only one scene is in memory at a time.

    Args:
        hits: Hits of one search.
        show: Function that makes the view from the scene, RGB uint8 (H, W, 3), and the person's box (4,), inside it.
        missing: Function that makes the view of a hit without a picture, from the reason.
    """
    views: dict[int, T] = {}
    order = sorted(range(len(hits)), key=lambda i: (hits[i].image, hits[i].frame))
    for (image, frame), same in groupby(order, key=lambda i: (hits[i].image, hits[i].frame)):
        group = list(same)
        try:
            scene = read_frame(image, frame, hits[group[0]].time)
        except ImageError:
            views.update((i, missing(GONE)) for i in group)
            continue
        for i in group:
            try:
                views[i] = show(scene, check_boxes(hits[i].box, *scene.shape[:2])[0])
            except BoxError:  # the file is another picture now
                views[i] = missing(CHANGED)
    return [views[i] for i in range(len(hits))]


def of_query(query: Query, size: Size) -> "Image":
    """The query as a tile: the crop, or the person in their scene; grey if the picture is missing."""
    try:
        picture = read_query(query)
        if query.box is None:
            return whole(picture, size)
        return person(picture, check_boxes(query.box, *picture.shape[:2])[0], size, QUERY_COLOUR)
    except (ImageError, QueryError):
        return blank(GONE, size)
    except BoxError:
        return blank(CHANGED, size)


def person(scene: Array, box: Array, size: Size, colour: Colour) -> "Image":
    """A tile with the person, their box and some of the scene around.

    Args:
        scene: Scene, RGB uint8 (H, W, 3).
        box: Box (4,), xyxy pixels of the scene, inside it.
        size: Width and height of the tile.
        colour: Colour of the box.
    """
    from PIL import Image, ImageDraw

    window, scale = _window(box, scene.shape[1], scene.shape[0], size)
    inner = (max(1, round((window[2] - window[0]) * scale)), max(1, round((window[3] - window[1]) * scale)))
    left, top = (size[0] - inner[0]) // 2, (size[1] - inner[1]) // 2
    tile = Image.new("RGB", size, DARK)
    # `box=` accepts fractions of pixels, so that the drawn box fits the person at any scale
    tile.paste(Image.fromarray(scene).resize(inner, Image.Resampling.LANCZOS, box=tuple(window)), (left, top))
    drawn = (box - np.tile(window[:2], 2)) * scale + [left, top, left, top]
    outline(ImageDraw.Draw(tile), drawn, size, colour, max(2, size[1] // 120))
    return tile


def whole(picture: Array, size: Size) -> "Image":
    """A picture scaled to fit a tile, centred."""
    from PIL import Image

    height, width = picture.shape[:2]
    scale = min(size[0] / width, size[1] / height)
    inner = (max(1, round(width * scale)), max(1, round(height * scale)))
    tile = Image.new("RGB", size, DARK)
    resized = Image.fromarray(picture).resize(inner, Image.Resampling.LANCZOS)
    tile.paste(resized, ((size[0] - inner[0]) // 2, (size[1] - inner[1]) // 2))
    return tile


def scene_with_box(scene: Array, box: Array, longest: int, colour: Colour) -> "Image":
    """The whole scene, its longer side at most `longest` pixels, with the person's box."""
    from PIL import Image, ImageDraw

    height, width = scene.shape[:2]
    scale = min(1.0, longest / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = Image.fromarray(scene).resize(size, Image.Resampling.LANCZOS)
    outline(ImageDraw.Draw(small), box * np.tile(np.array(size) / [width, height], 2), size, colour, max(2, longest // 160))
    return small


def blank(message: str, size: Size) -> "Image":
    """A grey tile with a message."""
    from PIL import Image, ImageDraw

    tile = Image.new("RGB", size, GREY)
    text, font = text_and_font(message, max(10, size[0] // 16))
    ImageDraw.Draw(tile).text((size[0] / 2, size[1] / 2), text, fill="white", font=font, anchor="mm", align="center")
    return tile


def outline(canvas: "ImageDraw", box: Array, size: Size, colour: Colour, width: int) -> None:
    """Draw a box around its pixels, with a dark rim for bright backgrounds, always inside the picture.

    Args:
        canvas: Canvas of the picture.
        box: Box (4,), xyxy pixels of the picture.
        size: Width and height of the picture.
        colour: Colour of the line.
        width: Width of the line, pixels.
    """
    x1, y1, x2, y2 = (round(value) for value in box.tolist())
    for grow, line, shade in ((width + 1, width + 2, DARK), (width, width, colour)):
        # at the picture's edge the coloured line leaves one pixel for its rim
        edge = width + 1 - grow
        left, top = max(x1 - grow, edge), max(y1 - grow, edge)
        right, bottom = min(x2 - 1 + grow, size[0] - 1 - edge), min(y2 - 1 + grow, size[1] - 1 - edge)
        if right >= left and bottom >= top:
            canvas.rectangle((left, top, right, bottom), outline=shade, width=line)


def _window(box: Array, width: int, height: int, size: Size) -> tuple[Array, float]:
    """The part of the scene that a tile shows, (4,) xyxy with fractions, and the scale from scene to tile."""
    tile = np.array(size, float)
    scene = np.array([width, height], float)
    corner, opposite = box[:2].astype(float), box[2:].astype(float)
    fits = float((tile / (opposite - corner)).min())  # largest scale that shows the whole box
    covers = float((tile / scene).max())  # smallest scale without an empty margin beside the scene
    scale = max(min(PERSON_SHARE * fits, MAX_ZOOM), min(covers, fits))
    shown = np.minimum(tile / scale, scene)
    start = np.clip((corner + opposite - shown) / 2, 0, scene - shown)
    return np.concatenate([start, start + shown]), scale

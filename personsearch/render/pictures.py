"""Draw results: a scene with all detections, and a montage of a query with its hits."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from personsearch.boxes import Array
from personsearch.errors import ImageError
from personsearch.hits import Hit, Query
from personsearch.render import views
from personsearch.render.lettering import PROBABLY_NOT, clock, file_name, moment, shorten, size_note, text_and_font
from personsearch.sources import read_query

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw

Plate: TypeAlias = tuple[int, int, int, int]  # xyxy pixels of a label's background

# Okabe and Ito's colours, distinct for colour-blind people too; all bright enough for dark letters.
PALETTE: tuple[views.Colour, ...] = ((86, 180, 233), (230, 159, 0), (0, 158, 115), (240, 228, 66), (213, 94, 0), (204, 121, 167))

PAPER: views.Colour = (246, 247, 249)
INK: views.Colour = (26, 29, 35)
FAINT: views.Colour = (98, 104, 116)
RULE: views.Colour = (214, 217, 223)

TILE: views.Size = (240, 320)
GAP = 20
TITLE = 18  # letter heights and gaps are in pixels
LINE = 15
LEADING = 6  # between lines of a caption
COLUMNS = 5  # hits in the first row before a second one begins


def draw(image: Any, boxes: Array, scores: Array, numbers: Sequence[int] | None = None) -> "Image":
    """The scene with each person's box, number and detector score; lines and letters scale with the picture.

    Args:
        image: Scene: a path, bytes, PIL picture, RGB uint8 array (H, W, 3), or a `Query` whose picture it is.
        boxes: Boxes (N, 4) float32, xyxy pixels of the scene, best first.
        scores: Detector scores (N,) float32, 0..1.
        numbers: Numbers of the people; None: 1 to N.

    Returns:
        An RGB picture of the scene's size.

    Raises:
        ImageError: The scene is None or cannot be read.
    """
    from PIL import Image, ImageDraw

    if image is None:
        raise ImageError("these detections do not hold their picture; pass it with detections.draw(image)")
    picture = Image.fromarray(read_query(image if isinstance(image, Query) else Query(image)))
    canvas = ImageDraw.Draw(picture)
    width, letters = max(2, round(min(picture.size) / 280)), max(10, round(min(picture.size) / 42))
    for i in reversed(range(len(boxes))):  # the best box is drawn last, on top of the others
        views.outline(canvas, boxes[i], picture.size, PALETTE[i % len(PALETTE)], width)
    plates: list[Plate] = []
    people = range(1, len(boxes) + 1) if numbers is None else numbers
    for i, (box, score, number) in enumerate(zip(boxes, scores, people, strict=True)):
        plates += _label(canvas, f"{number}  {score:.2f}", letters, box, picture.size, PALETTE[i % len(PALETTE)], width, plates)
    return picture


def montage(query: Query, hits: Sequence[Hit]) -> "Image":
    """The query beside its hits, best first: each person in their scene, with rank, similarity, file name and time.

    A hit whose picture cannot be read again (deleted, or passed as an array) has a grey tile with the reason. Without
    hits the picture says "no hits". If hits are ordered by another number than the similarity (CBGM, confidence
    weighting), that number is shown too. A hit below the calibrated threshold says so and has a grey rank; a small
    person is marked.
    """
    from PIL import Image, ImageDraw

    other_order = has_other_order(hits)
    query_lines, captions = _query_caption(query, hits), [_caption(hit, other_order) for hit in hits]
    columns = max(1, min(len(hits), max(COLUMNS, math.ceil(math.sqrt(1.6 * len(hits))))))
    rows = max(1, math.ceil(len(hits) / columns))
    across, down = TILE[0] + GAP, TILE[1] + GAP + max(_height(lines) for lines in [query_lines, *captions])
    first = across + 2 * GAP  # left edge of the hits, after the query and a rule
    sheet = Image.new("RGB", (first + columns * across, GAP + rows * down), PAPER)
    canvas = ImageDraw.Draw(sheet)

    sheet.paste(views.of_query(query, TILE), (GAP, GAP))
    _write(canvas, query_lines, GAP, GAP + TILE[1])
    canvas.line((first - GAP, GAP, first - GAP, sheet.height - GAP), fill=RULE, width=1)
    if not hits:
        _no_hits(canvas, first, GAP)
    tiles = views.of_hits(
        hits,
        lambda scene, box: views.person(scene, box, TILE, views.HIT_COLOUR),
        lambda reason: views.blank(reason, TILE),
    )
    for i, (hit, tile, lines) in enumerate(zip(hits, tiles, captions, strict=True)):
        x, y = first + i % columns * across, GAP + i // columns * down
        sheet.paste(tile, (x, y))
        _write(canvas, lines, x, y + TILE[1], indent=_badge(canvas, hit, x, y + TILE[1] + LEADING))
    return sheet


def has_other_order(hits: Sequence[Hit]) -> bool:
    """Whether hits are ordered by another number than the similarity."""
    return any(abs(hit.ranked_by - hit.similarity) > 1e-6 for hit in hits)


def count(hits: Sequence[Hit]) -> str:
    """The number of hits in words."""
    return {0: "no hits", 1: "1 hit"}.get(len(hits), f"{len(hits)} hits")


def threshold(hits: Sequence[Hit]) -> str:
    """The calibrated threshold as text; "" without hits or calibration."""
    values = [hit.threshold for hit in hits if hit.threshold is not None]
    return f"{values[0]:.3f}" if values else ""


def query_name(query: Query) -> str:
    """The query's path as text, or "" if it is not a file."""
    return str(query.image) if isinstance(query.image, str | Path) else ""


def _caption(hit: Hit, other_order: bool) -> list[str]:
    lines = [f"similarity {hit.similarity:.3f}"]
    if other_order:
        lines.append(f"ranked by {hit.ranked_by:.3f}")
    lines += [line for line in (PROBABLY_NOT if hit.is_match is False else "", size_note(hit)) if line]
    lines.append(file_name(hit.image))
    return lines if hit.time is None else [*lines, f"{'at ' if hit.start is None else ''}{moment(hit)}"]


def _query_caption(query: Query, hits: Sequence[Hit]) -> list[str]:
    name, least = query_name(query), threshold(hits)
    at = [] if query.time is None else [f"at {clock(query.time)}"]
    matches = [f"{sum(hit.is_match is True for hit in hits)} match, threshold {least}"] if least else []
    return ["query", *([file_name(name)] if name else []), *at, count(hits), *matches]


def _height(lines: list[str]) -> int:
    """Height of a caption below its tile, pixels."""
    return TITLE + LEADING + (len(lines) - 1) * (LINE + LEADING) + LEADING


def _write(canvas: "ImageDraw", lines: list[str], x: int, y: int, indent: int = 0) -> None:
    """Write a caption below a tile: a title, indented by `indent` pixels, and smaller lines, all within the tile's width."""
    y += LEADING
    for i, line in enumerate(lines):
        size, shade, start = (LINE, FAINT, 0) if i else (TITLE, INK, indent)
        text, font = text_and_font(shorten(line, size, TILE[0] - start), size)
        canvas.text((x + start, y), text, fill=shade, font=font, anchor="la")
        y += size + LEADING


def _badge(canvas: "ImageDraw", hit: Hit, x: int, y: int) -> int:
    """Draw the rank on a plate before the title (on the picture it could hide a face), grey below the threshold.

    Returns:
        The plate's width with a gap.
    """
    text, font = text_and_font(str(hit.rank), TITLE)
    width = max(math.ceil(font.getlength(text)) + 12, 28)
    canvas.rounded_rectangle((x, y - 1, x + width, y + TITLE + 3), radius=5, fill=RULE if hit.is_match is False else views.HIT_COLOUR)
    canvas.text((x + width / 2, y + TITLE / 2 + 1), text, fill=views.DARK, font=font, anchor="mm")
    return width + 10


def _no_hits(canvas: "ImageDraw", x: int, y: int) -> None:
    """Draw an empty tile that says "no hits"."""
    canvas.rounded_rectangle((x, y, x + TILE[0] - 1, y + TILE[1] - 1), radius=6, outline=RULE, width=2)
    text, font = text_and_font("no hits", TITLE)
    canvas.text((x + TILE[0] / 2, y + TILE[1] / 2), text, fill=FAINT, font=font, anchor="mm")


def _label(
    canvas: "ImageDraw", text: str, letters: int, box: Array, size: views.Size, colour: views.Colour, line: int, others: list[Plate]
) -> list[Plate]:
    """Write a label on a plate at the box, inside the picture, without overlap with `others` if one of four positions allows it.

    Returns:
        The plate, or an empty list if the picture is smaller than the plate.
    """
    text, font = text_and_font(text, letters)
    left, top, right, bottom = font.getbbox(text)
    pad = max(2, letters // 5)
    width, height = math.ceil(right - left) + 2 * pad, math.ceil(bottom - top) + 2 * pad
    if width > size[0] or height > size[1]:
        return []
    x1, y1, x2, y2 = (round(value) for value in box.tolist())
    above, below, inside = y1 - line - height, y2 + line, y1 + line
    positions = [(x1 - line, above), (x2 + line - width, above), (x1 - line, below), (x1 + line, inside)]
    plates = [_moved_inside((x, y, x + width, y + height), size) for x, y in positions]
    plate = next((plate for plate in plates if not any(_overlap(plate, other) for other in others)), plates[0])
    canvas.rectangle((plate[0], plate[1], plate[2] - 1, plate[3] - 1), fill=colour)
    canvas.text((plate[0] + pad - left, plate[1] + pad - top), text, fill=views.DARK, font=font)
    return [plate]


def _moved_inside(plate: Plate, size: views.Size) -> Plate:
    x1, y1, x2, y2 = plate
    right, down = max(0, -x1) - max(0, x2 - size[0]), max(0, -y1) - max(0, y2 - size[1])
    return (x1 + right, y1 + down, x2 + right, y2 + down)


def _overlap(a: Plate, b: Plate) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]

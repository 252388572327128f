"""mAP and top-1 over the galleries of a data set, as a picture."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from personsearch.errors import ConfigError
from personsearch.render.lettering import text_and_font

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw

EXTENSIONS = (".png", ".jpg", ".jpeg")
SIZE = (900, 520)
LEFT, TOP, RIGHT, BOTTOM = 70, 70, 870, 460  # of the plot
LETTERS = 16
INK, GRID = (40, 40, 40), (220, 220, 220)
COLOURS = ((31, 98, 172), (196, 84, 22), (44, 130, 70), (140, 60, 150), (120, 90, 40))  # one a CBGM setting


def check_name(path: Path) -> None:
    """Raises ConfigError unless the file's name ends as a picture's; better before an evaluation than after it."""
    if path.suffix.lower() not in EXTENSIONS:
        raise ConfigError(f"--curve must end with .png or .jpg, got {path}")


def draw(measured: dict[str, Any]) -> "Image":
    """Percent over the galleries, in the order measured: mAP as full lines, top-1 as open circles on thin lines.

    Args:
        measured: as `personsearch.evaluation.runner.evaluate_dataset` returns it.
    """
    from PIL import Image, ImageDraw

    picture = Image.new("RGB", SIZE, "white")
    canvas = ImageDraw.Draw(picture)
    galleries = list(dict.fromkeys(row["gallery"] for row in measured["search"]))
    _axes(canvas, galleries)
    _write(canvas, f"{measured['model']} on {measured['dataset']}", LEFT, 12)
    settings = list(dict.fromkeys("" if row["cbgm"] is None else " + CBGM {},{}".format(*row["cbgm"]) for row in measured["search"]))
    x = LEFT
    for place, setting in enumerate(settings):
        rows = [row for row in measured["search"] if setting == ("" if row["cbgm"] is None else " + CBGM {},{}".format(*row["cbgm"]))]
        colour = COLOURS[place % len(COLOURS)]
        for name, width in (("mAP", 3), ("top1", 1)):
            points = [(_x(galleries.index(row["gallery"]), len(galleries)), _y(row[name])) for row in rows]
            canvas.line(points, colour, width)
            for px, py in points:
                canvas.ellipse((px - 5, py - 5, px + 5, py + 5), colour if name == "mAP" else "white", colour, 2)
        x = _write(canvas, f"● mAP  ○ top-1{setting}", x, 40, colour) + 24
    return picture


def _axes(canvas: "ImageDraw", galleries: list[str]) -> None:
    for percent in range(0, 101, 20):
        y = _y(percent / 100)
        canvas.line((LEFT, y, RIGHT, y), GRID)
        _write(canvas, str(percent), LEFT - 40, y - 10)
    for place, name in enumerate(galleries):
        _write(canvas, name, _x(place, len(galleries)) - 4 * len(name), BOTTOM + 12)
    _write(canvas, "gallery", LEFT, BOTTOM + 34)


def _x(place: int, count: int) -> int:
    """Pixel of gallery `place` of `count`, each in the middle of its share."""
    return LEFT + round((place + 0.5) * (RIGHT - LEFT) / count)


def _y(value: float) -> int:
    """Pixel of a value 0..1."""
    return BOTTOM - round(value * (BOTTOM - TOP))


def _write(canvas: "ImageDraw", text: str, x: int, y: int, colour: tuple[int, int, int] = INK) -> int:
    """Write, and return where the text ends."""
    drawable, font = text_and_font(text, LETTERS)
    canvas.text((x, y), drawable, colour, font)
    return x + round(font.getlength(drawable))

"""mAP and top-1 over the galleries of a data set, as a picture."""

from colorsys import hsv_to_rgb
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
COLOURS = ((31, 98, 172), (196, 84, 22), (44, 130, 70), (140, 60, 150), (120, 90, 40))  # of the first CBGM settings
LEGEND, LINE = 40, 24  # top of the first line, and height of each


def check_name(path: Path) -> None:
    """Raises ConfigError unless the file's name ends as a picture's; better before an evaluation than after it."""
    if path.suffix.lower() not in EXTENSIONS:
        raise ConfigError(f"--curve must end with .png or .jpg, got {path}")


def draw(measured: dict[str, Any]) -> "Image":
    """Percent over the galleries, in the order measured: mAP as full lines, top-1 as open circles on thin lines.

    Where the CBGM settings need more lines of legend than one, the picture is as much higher.

    Args:
        measured: as `personsearch.evaluation.runner.evaluate_dataset` returns it.
    """
    from PIL import Image, ImageDraw

    plot = Image.new("RGB", SIZE, "white")
    canvas = ImageDraw.Draw(plot)
    galleries = list(dict.fromkeys(row["gallery"] for row in measured["search"]))
    _axes(canvas, galleries)
    settings = list(dict.fromkeys(_setting(row) for row in measured["search"]))
    for place, setting in enumerate(settings):
        rows = [row for row in measured["search"] if _setting(row) == setting]
        for name, width in (("mAP", 3), ("top1", 1)):
            points = [(_x(galleries.index(row["gallery"]), len(galleries)), _y(row[name])) for row in rows]
            canvas.line(points, _colour(place), width)
            for px, py in points:
                canvas.ellipse((px - 5, py - 5, px + 5, py + 5), _colour(place) if name == "mAP" else "white", _colour(place), 2)
    entries = _legend(settings)
    lower = entries[-1][1] - LEGEND if entries else 0
    picture = Image.new("RGB", (SIZE[0], SIZE[1] + lower), "white")
    picture.paste(plot, (0, lower))
    canvas = ImageDraw.Draw(picture)
    _write(canvas, f"{measured['model']} on {measured['dataset']}", LEFT, 12)
    for place, (x, y) in enumerate(entries):
        _write(canvas, settings[place], x, y, _colour(place))
    return picture


def _setting(row: dict[str, Any]) -> str:
    return "● mAP  ○ top-1" if row["cbgm"] is None else "●  ○ CBGM {},{}".format(*row["cbgm"])


def _colour(place: int) -> tuple[int, int, int]:
    """Of a setting: after the chosen ones, hues a golden section apart, so that neighbours differ."""
    if place < len(COLOURS):
        return COLOURS[place]
    red, green, blue = hsv_to_rgb(place * 0.618 % 1, 0.8, 0.7)
    return round(255 * red), round(255 * green), round(255 * blue)


def _legend(settings: list[str]) -> list[tuple[int, int]]:
    """Left and top of each setting's words, as many on a line as fit."""
    places, x, y = [], LEFT, LEGEND
    for setting in settings:
        drawable, font = text_and_font(setting, LETTERS)
        width = round(font.getlength(drawable))
        if x > LEFT and x + width > RIGHT:
            x, y = LEFT, y + LINE
        places.append((x, y))
        x += width + 24
    return places


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

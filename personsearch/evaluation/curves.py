"""Draw mAP and top-1 over the galleries of a data set."""

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
LEFT, TOP, RIGHT, BOTTOM = 70, 70, 870, 460  # edges of the plot
LETTERS = 16
INK, GRID = (40, 40, 40), (220, 220, 220)
COLOURS = ((31, 98, 172), (196, 84, 22), (44, 130, 70), (140, 60, 150), (120, 90, 40))  # colours of the first settings
LEGEND, LINE = 40, 24  # top of the first line, and height of each


def check_name(path: Path) -> None:
    """Check the file's extension, before a long evaluation.

    Raises:
        ConfigError: it is not .png or .jpg.
    """
    if path.suffix.lower() not in EXTENSIONS:
        raise ConfigError(f"--curve must end with .png or .jpg, got {path}")


def draw(measured: dict[str, Any]) -> "Image":
    """Percent over the galleries, in measured order: mAP as thick lines, top-1 as open circles on thin lines.

    The picture grows with the lines of its legend.

    Args:
        measured: Result of `evaluate_dataset`.
    """
    from PIL import Image, ImageDraw

    plot = Image.new("RGB", SIZE, "white")
    canvas = ImageDraw.Draw(plot)
    galleries = list(dict.fromkeys(row["gallery"] for row in measured["search"]))
    _axes(canvas, galleries)
    settings = list(dict.fromkeys(_setting(row) for row in measured["search"]))
    for number, setting in enumerate(settings):
        rows = [row for row in measured["search"] if _setting(row) == setting]
        for name, width in (("mAP", 3), ("top1", 1)):
            points = [(_x(galleries.index(row["gallery"]), len(galleries)), _y(row[name])) for row in rows]
            canvas.line(points, colour_of(number), width)
            for px, py in points:
                canvas.ellipse((px - 5, py - 5, px + 5, py + 5), colour_of(number) if name == "mAP" else "white", colour_of(number), 2)
    entries = _legend(settings)
    lower = entries[-1][1] - LEGEND if entries else 0
    picture = Image.new("RGB", (SIZE[0], SIZE[1] + lower), "white")
    picture.paste(plot, (0, lower))
    canvas = ImageDraw.Draw(picture)
    write_text(canvas, f"{measured['model']} on {measured['dataset']}", LEFT, 12)
    for number, (x, y) in enumerate(entries):
        write_text(canvas, settings[number], x, y, colour_of(number))
    return picture


def _setting(row: dict[str, Any]) -> str:
    if row["cbgm"] is None:
        return "● mAP  ○ top-1"
    return "●  ○ CBGM {},{}".format(*row["cbgm"]) + (" (authors)" if row.get("cbgm_variant") == "authors" else "")


def colour_of(number: int) -> tuple[int, int, int]:
    """Colour of a setting; beyond `COLOURS` the hues are a golden section apart, so that neighbours differ."""
    if number < len(COLOURS):
        return COLOURS[number]
    red, green, blue = hsv_to_rgb(number * 0.618 % 1, 0.8, 0.7)
    return round(255 * red), round(255 * green), round(255 * blue)


def _legend(settings: list[str]) -> list[tuple[int, int]]:
    """Left and top of each setting's label; a line holds as many as fit."""
    corners, x, y = [], LEFT, LEGEND
    for setting in settings:
        drawable, font = text_and_font(setting, LETTERS)
        width = round(font.getlength(drawable))
        if x > LEFT and x + width > RIGHT:
            x, y = LEFT, y + LINE
        corners.append((x, y))
        x += width + 24
    return corners


def _axes(canvas: "ImageDraw", galleries: list[str]) -> None:
    for percent in range(0, 101, 20):
        y = _y(percent / 100)
        canvas.line((LEFT, y, RIGHT, y), GRID)
        write_text(canvas, str(percent), LEFT - 40, y - 10)
    for number, name in enumerate(galleries):
        write_text(canvas, name, _x(number, len(galleries)) - 4 * len(name), BOTTOM + 12)
    write_text(canvas, "gallery", LEFT, BOTTOM + 34)


def _x(number: int, count: int) -> int:
    """Pixel column of a gallery: the middle of its share of the width."""
    return LEFT + round((number + 0.5) * (RIGHT - LEFT) / count)


def _y(value: float) -> int:
    """Pixel row of a value 0..1."""
    return BOTTOM - round(value * (BOTTOM - TOP))


def write_text(canvas: "ImageDraw", text: str, x: int, y: int, colour: tuple[int, int, int] = INK) -> int:
    """Write a text, and return the column of its end."""
    drawable, font = text_and_font(text, LETTERS)
    canvas.text((x, y), drawable, colour, font)
    return x + round(font.getlength(drawable))

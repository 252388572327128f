"""Write hits to files: CSV, COCO, crops, and any file as a whole or not at all."""

import csv
import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from personsearch.errors import BoxError, ImageError, ImagesError
from personsearch.hits import Hit
from personsearch.render.lettering import file_name
from personsearch.sources import read_frame

CORNERS = ("x1", "y1", "x2", "y2")
COLUMNS = (
    *("rank", "image", "frame", "row", "time", "start", "end", *CORNERS),
    *("score", "similarity", "ranked_by", "is_match", "is_small"),
)
COLUMN_TYPES = {  # of a data frame, also of one without rows
    "image": "object",
    **dict.fromkeys(("rank", "frame", "row"), "Int64"),
    **dict.fromkeys(("time", "start", "end", *CORNERS, "score", "similarity", "ranked_by"), "float64"),
    **dict.fromkeys(("is_match", "is_small"), "boolean"),
}
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # a spreadsheet takes text that begins so as a formula, and file names are from other people
NAME, NAME_BYTES = 80, 200  # letters, and bytes, of a picture's name in the name of a file to write; systems allow 255 bytes in all


def table_rows(hits: Sequence[Hit]) -> list[dict[str, Any]]:
    """One dict per hit with the keys of `COLUMNS`; None where a value does not apply."""
    rows = []
    for hit in hits:
        facts = hit.to_dict()
        facts |= dict(zip(CORNERS, facts["box"], strict=True))
        rows.append({name: facts[name] for name in COLUMNS})
    return rows


def csv_text(hits: Sequence[Hit]) -> str:
    """The hits as CSV with a head line. A name that a spreadsheet would take for a formula gets an apostrophe in front."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for row in table_rows(hits):
        name = row["image"].replace("\r", "\\r")  # the writer does not quote it
        writer.writerow(row | {"image": f"'{name}" if name.startswith(FORMULA) else name})
    return text.getvalue()


def coco(hits: Sequence[Hit]) -> dict[str, Any]:
    """The hits in the format of COCO: images, annotations with `bbox` as x, y, width, height, and the category "person".

    A video frame is an image with `frame` and `time`. Width and height are null if the picture cannot be read again.
    """
    scenes = {(hit.image, hit.frame): hit for hit in reversed(hits)}
    numbers = {scene: number for number, scene in enumerate(dict.fromkeys((hit.image, hit.frame) for hit in hits), start=1)}
    images = []
    for (image, frame), number in numbers.items():
        hit = scenes[image, frame]
        width, height = _size(hit)
        of_video = {} if hit.time is None and not frame else {"frame": frame, "time": hit.to_dict()["time"]}
        images.append({"id": number, "file_name": image, "width": width, "height": height, **of_video})
    annotations = []
    for number, hit in enumerate(hits, start=1):
        facts = hit.to_dict()
        x1, y1, x2, y2 = facts.pop("box")
        of_hit = {name: facts[name] for name in ("score", "similarity", "ranked_by", "rank", "row", "is_match", "is_small", "start", "end")}
        box = {"bbox": [x1, y1, x2 - x1, y2 - y1], "area": (x2 - x1) * (y2 - y1), "iscrowd": 0}
        annotations.append({"id": number, "image_id": numbers[hit.image, hit.frame], "category_id": 1, **box, **of_hit})
    return {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "person"}]}


def save_crops(hits: Sequence[Hit], folder: Path, margin: float) -> list[Path]:
    """Write the crop of each hit as a PNG file into a folder, which is made; rank and picture are in the name.

    Raises:
        ImagesError: Some crops cannot be cut out; the others are written.
        OSError: The folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths: list[Path | None] = []
    missing: dict[int, str] = {}
    for i, hit in enumerate(hits):
        path = folder / crop_name(hit)
        try:
            crop = hit.crop(margin=margin)
        except (ImageError, BoxError) as error:
            missing[i] = str(error)
            paths.append(None)
            continue
        with replaced(path) as temporary:
            crop.save(temporary, "PNG")
        paths.append(path)
    if missing:
        lines = "".join(f"\n[rank {hits[i].rank}] {reason}" for i, reason in missing.items())
        raise ImagesError(f"{len(missing)} of {len(hits)} crops cannot be cut out, the others are in {folder}:{lines}", missing, paths)
    return [path for path in paths if path is not None]


def crop_name(hit: Hit) -> str:
    """File name of a hit's crop, such as "0001_street_frame00125.png"."""
    stem = plain_stem(hit.image)
    frame = f"_frame{hit.frame:05d}" if hit.time is not None or hit.frame else ""
    return f"{hit.rank:04d}{'_' if stem else ''}{stem}{frame}.png"


def plain_stem(image: str) -> str:
    """The name of a picture without folder and extension, for the name of a file to write; may be empty.

    Names of pictures are from strangers: only letters, digits and signs that every system takes remain, and none that leads to a folder.
    """
    stem = re.sub(r"[^\w.-]+", "_", Path(file_name(image)).stem).strip("._")[:NAME]
    return stem.encode("utf-8", "ignore")[:NAME_BYTES].decode("utf-8", "ignore")


def write_text(path: Path, text: str) -> None:
    """Write text as UTF-8, undecodable bytes of file names as escapes; missing folders are made.

    Raises:
        OSError: The file cannot be written; an older file stays as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with replaced(path) as temporary:
        temporary.write_bytes(text.encode("utf-8", "backslashreplace"))


@contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """A temporary file beside `path`; it replaces `path` when the block ends, or is deleted on an error."""
    temporary = path.with_name(f".{uuid4().hex}.part")  # not from the name, which may be as long as a name can be
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _size(hit: Hit) -> tuple[int | None, int | None]:
    """Width and height of a hit's picture or frame, or None for both if it cannot be read."""
    try:
        height, width = read_frame(hit.image, hit.frame, hit.time).shape[:2]
    except ImageError:
        return None, None
    return width, height

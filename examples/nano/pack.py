"""What the detector's training and the calibration take: a list of photographs, backgrounds, crops that nothing is trained on.

`python -m examples.nano.pack --shared DIR --out DIR`.
"""

import json
import logging
import shutil
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from examples.nano.command import run
from examples.nano.labeller import Labeller
from examples.nano.photographs import held_out_crops, list_people, places_without_people
from examples.nano.teachers import Finder

CROPS_FILE, NUMBERS_FILE = "heldout_crops.npy", "heldout_pictures.npy"


def copy_backgrounds(data: Path, folder: Path) -> int:
    """How many pictures without people are in `folder` now."""
    folder.mkdir(parents=True, exist_ok=True)
    files = places_without_people(data)
    for file in files:
        shutil.copyfile(file, folder / file.name)
    return len(files)


def main(
    shared: Annotated[Path, typer.Option(help="Folder with data/ (coco128, photos, street_photos, videos) and teachers/.")],
    out: Annotated[Path, typer.Option(help="Folder to write.")],
) -> None:
    """Write what the detector's training and the calibration take."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s")
    data, out = shared / "data", out.resolve()
    labeller = Labeller(Finder(shared / "teachers"))
    typer.echo(f"{copy_backgrounds(data, out / 'backgrounds')} backgrounds")
    crops, numbers = held_out_crops(data)
    np.save(out / CROPS_FILE, crops)
    np.save(out / NUMBERS_FILE, numbers)
    typer.echo(f"{len(crops)} crops held out")
    rows = list_people(data, labeller, out / "video")
    (out / "photos.json").write_text(json.dumps(rows))
    typer.echo(f"{len(rows)} photographs with {sum(len(row['boxes']) for row in rows)} people")


if __name__ == "__main__":
    run(main)

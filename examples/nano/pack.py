"""What the trainings of the bundled model take: rendered and real crops with a teacher's features, a list of photographs, backgrounds.

`python -m examples.nano.pack --shared DIR --assets DIR --out DIR`.
"""

import json
import logging
import shutil
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import typer

from examples.nano.command import run
from examples.nano.labeller import Labeller
from examples.nano.photographs import CROP, list_people, places_without_people, real_crops
from personsearch.boxes import Array
from personsearch.models.two_step.reid_onnx import ReidEmbedder, ReidOptions
from personsearch.synthetic.crops import render_person_crops
from personsearch.synthetic.world import World, loaded

SEED, IDENTITIES, VIEWS, CAMERAS = 1, 2000, 20, 32  # of the rendered people
AT_ONCE = 10  # identities that a process renders at a time
DETECTOR, REID = "yolox_nano_416x416.onnx", "person-reidentification-retail-0248.onnx"  # the public networks
REID_INPUT = ReidOptions(layout="nhwc", channels="bgr", scale=1, mean=(0, 0, 0), std=(1, 1, 1))


def write_rendered_crops(world: World, file: Path, *, views: int = VIEWS, workers: int = 1) -> Array:
    """Crops (L, V, 128, 64, 3) of all identities of a world, written to `file` as they come; mapped, not in memory.

    Any number of `workers`, which are processes, gives the same file.

    Raises:
        DataError: the folder of meshes is missing or damaged.
    """
    loaded(world)  # a missing folder is told before any process starts
    crops = np.lib.format.open_memmap(file, "w+", np.uint8, (world.identities, views, *CROP, 3))
    parts = [range(start, min(start + AT_ONCE, world.identities)) for start in range(0, world.identities, AT_ONCE)]
    for part, images in zip(parts, _rendered(world, views, parts, workers), strict=True):
        crops[part.start : part.stop] = images
    crops.flush()
    return crops


def _rendered(world: World, views: int, parts: list[range], workers: int) -> Iterator[Array]:
    render = partial(_render, world, views)
    if workers == 1:
        yield from map(render, parts)
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_start_worker) as pool:
        yield from pool.map(render, parts)


def _start_worker() -> None:
    # processes share the cores already
    cv2.setNumThreads(1)


def _render(world: World, views: int, identities: range) -> Array:
    return np.stack([one.images for one in render_person_crops(world, identities, views=views, height=CROP[0], width=CROP[1])])


def teacher_rows(embedder: ReidEmbedder, crops: Array) -> Array:
    """(N, T) float32 unit rows of (..., 128, 64, 3) crops, N in all."""
    features = embedder.embed(list(crops.reshape(-1, *crops.shape[-3:])))
    rows: Array = features / np.linalg.norm(features, axis=1, keepdims=True)
    return rows


def write_real_crops(data: Path, labeller: Labeller, embedder: ReidEmbedder, out: Path) -> tuple[int, int]:
    """How many crops of photographs there are to learn from, and how many for calibration."""
    learned, held_out, numbers = real_crops(data, labeller)
    np.save(out / "real_images.npy", learned)
    np.save(out / "real_feats.npy", teacher_rows(embedder, learned))
    np.save(out / "heldout_images.npy", held_out)
    np.save(out / "heldout_meta.npy", numbers)
    return len(learned), len(held_out)


def copy_backgrounds(data: Path, folder: Path) -> int:
    """How many pictures without people are in `folder` now."""
    folder.mkdir(parents=True, exist_ok=True)
    files = places_without_people(data)
    for file in files:
        shutil.copyfile(file, folder / file.name)
    return len(files)


def main(
    shared: Annotated[Path, typer.Option(help="Folder with data/ (coco128, photos, street_photos, videos) and teachers/.")],
    assets: Annotated[Path, typer.Option(help="Folder of MakeHuman meshes, see `personsearch.synthetic`.")],
    out: Annotated[Path, typer.Option(help="Folder to write.")],
    identities: Annotated[int, typer.Option(min=1, help="Different rendered people.")] = IDENTITIES,
    views: Annotated[int, typer.Option(min=1, help="Crops of each of them.")] = VIEWS,
    workers: Annotated[int, typer.Option(min=1, help="Processes that render.")] = 2,
) -> None:
    """Write what the trainings take."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s")
    data, out, world = shared / "data", out.resolve(), World(assets, SEED, identities, CAMERAS)
    loaded(world)  # what is missing is told before the long work
    out.mkdir(parents=True, exist_ok=True)
    labeller, embedder = Labeller(shared / "teachers" / DETECTOR), ReidEmbedder(shared / "teachers" / REID, REID_INPUT)
    typer.echo(f"{copy_backgrounds(data, out / 'backgrounds')} backgrounds")
    learned, held_out = write_real_crops(data, labeller, embedder, out)
    typer.echo(f"{learned} real crops, {held_out} held out")
    rows = list_people(data, labeller, out / "video")
    (out / "photos.json").write_text(json.dumps(rows))
    typer.echo(f"{len(rows)} photographs with {sum(len(row['boxes']) for row in rows)} people")
    crops = write_rendered_crops(world, out / "train_images.npy", views=views, workers=workers)
    np.save(out / "train_feats.npy", teacher_rows(embedder, crops))
    typer.echo(f"{len(crops)} rendered identities")


if __name__ == "__main__":
    run(main)

"""The crop network's training on a machine with a GPU and many cores: the cores render and label while the GPU trains.

`python -m examples.nano.gpu pack --real DIR --assets DIR --teachers DIR --out pack.tar` makes one file of at most 60 MiB, and
`python -m examples.nano.gpu train --pack pack.tar --out DIR --minutes 8` trains from it, there; run again to go on. `DIR/weights` is what
`examples.nano.assemble --crops` takes. `--quick` does all of it in small on a CPU. Needs openvino there, for the teachers.
"""

import multiprocessing
import os
import shutil
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import torch
import typer

from examples.nano.command import run
from examples.nano.gpu_training import Size, train_for
from examples.nano.pool import Counts, write_part
from examples.nano.real_people import PEOPLE_FILE, PIECES_FILE
from examples.nano.teachers import REID, ReidTeachers
from personsearch import images
from personsearch.boxes import Array
from personsearch.errors import DataError, DeviceError

LARGEST = 60 * 2**20  # bytes of a pack
MOST_PIECES = 800  # of a pack
QUALITY = 92  # of the JPEGs in a pack
QUICK = Counts(people=4, identities=1, views=2, pieces=2)

app = typer.Typer(add_completion=False, help=__doc__)


@app.command()
def pack(
    real: Annotated[Path, typer.Option(help="Folder that `examples.nano.real_people` wrote.")],
    assets: Annotated[Path, typer.Option(help="Folder of MakeHuman meshes, see `personsearch.synthetic`.")],
    teachers: Annotated[Path, typer.Option(help="Folder of the teachers' files.")],
    out: Annotated[Path, typer.Option(help="File to write.")],
) -> None:
    """Write the pack."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        for name, most in ((PEOPLE_FILE, None), (PIECES_FILE, MOST_PIECES)):
            _write_jpegs(np.load(real / name, mmap_mode="r")[:most], home / Path(name).stem)
        shutil.copytree(assets, home / "assets")
        (home / "teachers").mkdir()
        for name in (f"{network}{suffix}" for network in REID for suffix in (".xml", ".bin")):
            shutil.copy(teachers / name, home / "teachers" / name)
        with tarfile.open(out, "w:xz") as archive:
            archive.add(home, ".")
    size = out.stat().st_size
    if size > LARGEST:
        raise DataError(f"the pack has {size / 2**20:.0f} MiB, more than {LARGEST // 2**20}; lower MOST_PIECES or QUALITY")
    typer.echo(f"{out}: {size / 2**20:.1f} MiB")


@app.command()
def train(
    pack: Annotated[Path, typer.Option(help="File that `pack` wrote.")],
    out: Annotated[Path, typer.Option(help="Folder for the pool, the state and the weights; an existing state is resumed.")],
    minutes: Annotated[float, typer.Option(min=0, help="Minutes of all runs together, rendering included.")] = 8.0,
    workers: Annotated[int, typer.Option(min=1, help="Processes that render and label.")] = max(1, (os.cpu_count() or 1) - 1),
    quick: Annotated[bool, typer.Option("--quick", help="Try everything in small, on the CPU.")] = False,
) -> None:
    """Train the crop network."""
    if not quick and not torch.cuda.is_available():
        raise DeviceError("this machine has no CUDA device; try everything in small with --quick")
    home = unpacked(pack, out / "pack")
    counts = QUICK if quick else Counts()
    crew = started(range(workers), workers, lambda: (home, out / "pool", counts))
    try:
        size = Size(height=64, width=32, pairs=2, bank=8) if quick else Size()
        step = train_for(
            60 * minutes,
            out,
            size,
            device="cpu" if quick else "cuda",
            alive=lambda: any(one.is_alive() for one in crew),
        )
    finally:
        for one in crew:
            one.terminate()
            one.join()
    typer.echo(f"{step} steps; weights in {out / 'weights'}")


def unpacked(file: Path, home: Path) -> Path:
    """The folder of a pack, made at the first call."""
    if not home.exists():
        with tempfile.TemporaryDirectory(dir=file.parent) as folder:
            made = Path(folder) / "made"
            with tarfile.open(file) as archive:
                archive.extractall(made, filter="data")
            for name in (PEOPLE_FILE, PIECES_FILE):
                np.save(made / name, _read_jpegs(made / Path(name).stem))
            home.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(made, home)
    return home


def started(numbers: range, workers: int, options: Callable[[], tuple[Path, Path, Counts]]) -> list[multiprocessing.Process]:
    """Processes that write every `workers`-th part of the pool, without end."""
    spawn = multiprocessing.get_context("spawn")
    crew = [spawn.Process(target=write_parts, args=(number, workers, *options()), daemon=True) for number in numbers]
    for one in crew:
        one.start()
    return crew  # type: ignore[return-value]  # the processes of a context are of another class


def write_parts(first: int, step: int, home: Path, pool: Path, counts: Counts, last: int = 10**6) -> None:
    """Write parts `first`, `first + step`, ... of the pool that are not there."""
    cv2.setNumThreads(1)
    teachers = ReidTeachers(home / "teachers")
    for part in range(first, last, step):
        if not (pool / f"rows_{part:04}.npy").exists():
            write_part(part, home, home / "assets", teachers, pool, counts)


def _write_jpegs(crops: Array, folder: Path) -> None:
    folder.mkdir()
    for number, crop in enumerate(crops):
        cv2.imwrite(str(folder / f"{number:06}.jpg"), crop[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY])


def _read_jpegs(folder: Path) -> Array:
    return np.stack([images.load(path) for path in sorted(folder.glob("*.jpg"))])


if __name__ == "__main__":
    run(app)

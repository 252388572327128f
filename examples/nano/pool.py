"""The pool of changed pictures that the crop network learns from, with the teachers' rows for the training on a GPU. It grows part by part.

`python -m examples.nano.pool --real DIR --assets DIR --teachers DIR --out DIR --parts 20`; run again with more parts to go on.
A part holds pairs: the same content, changed twice. Part k is the same whenever it is made.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import typer

from examples.nano.camera_changes import STREET, Changes, seen
from examples.nano.command import run
from examples.nano.contents import varied
from examples.nano.real_people import PEOPLE_FILE, PIECES_FILE, WIDE
from examples.nano.teachers import ReidTeachers
from personsearch.boxes import Array
from personsearch.synthetic.crops import render_person_crops
from personsearch.synthetic.world import World

STORED = (160, 80)  # pixels of a stored picture, height and width
RENDERED = (192, 96)
STREET_FROM = 27  # first part whose colours and changes are those of a street
SEED, CAMERAS, IDENTITIES = 21, 64, 10**6


@dataclass(frozen=True)
class Counts:
    """What a part is made of; each content gives two pictures."""

    people: int = 500  # real ones
    identities: int = 100  # rendered ones
    views: int = 4  # of each identity
    pieces: int = 100  # of photographs

    @property
    def pictures(self) -> int:
        """Pictures of a part."""
        return 2 * (self.people + self.identities * self.views + self.pieces)


def contents(part: int, real: Path, assets: Path, counts: Counts, rng: np.random.Generator) -> Array:
    """(N, 320, 160, 3) uint8 wide crops of a part: real people, rendered people, pieces of photographs."""
    chosen = []
    for name, count in ((PEOPLE_FILE, counts.people), (PIECES_FILE, counts.pieces)):
        crops = np.load(real / name, mmap_mode="r")
        chosen.append(crops[np.sort(rng.integers(len(crops), size=count))])
    first = part * counts.identities
    world = World(assets, SEED, IDENTITIES, CAMERAS)
    people = render_person_crops(
        world, range(first, first + counts.identities), views=counts.views, height=RENDERED[0], width=RENDERED[1], seed=part
    )
    chosen.append(np.stack([framed(image) for one in people for image in one.images]))
    return np.concatenate(chosen)


def framed(crop: Array) -> Array:
    """A wide crop of a crop without anything around it: its border goes on."""
    height, width = (side * 4 // 5 for side in WIDE)
    y, x = (WIDE[0] - height) // 2, (WIDE[1] - width) // 2
    return np.asarray(cv2.copyMakeBorder(cv2.resize(crop, (width, height)), y, y, x, x, cv2.BORDER_REPLICATE))


def pictures(wide: Array, rng: np.random.Generator, *, street: bool = False) -> Array:
    """(2 N, 256, 128, 3) uint8: each of N wide crops varied once and then seen twice, in random order of the pairs.

    Args:
        wide: the crops.
        rng: draws all changes.
        street: Colours and changes as in a street, instead of strong ones.
    """
    pairs, changes = [], STREET if street else Changes()
    for k in rng.permutation(len(wide)):
        content = varied(wide[k], wide, rng, muted=street)
        pairs += [seen(content, wide, rng, changes), seen(content, wide, rng, changes)]
    return np.stack(pairs)


def write_part(part: int, real: Path, assets: Path, teachers: ReidTeachers, out: Path, counts: Counts) -> None:
    """Write pictures and rows of a part; the rows last, so that a part without them is not complete."""
    rng = np.random.default_rng((SEED, part))
    changed = pictures(contents(part, real, assets, counts, rng), rng, street=part >= STREET_FROM)
    small = np.stack([cv2.resize(one, STORED[::-1], interpolation=cv2.INTER_AREA) for one in changed])
    out.mkdir(parents=True, exist_ok=True)
    for path, array in zip(files(out, part), (small, teachers.rows(changed).astype(np.float16)), strict=True):
        np.save(temporary := path.with_suffix(".new.npy"), array)
        os.replace(temporary, path)


def files(folder: Path, part: int) -> tuple[Path, Path]:
    """Pictures and rows of a part."""
    return folder / f"pictures_{part:04}.npy", folder / f"rows_{part:04}.npy"


def main(
    real: Annotated[Path, typer.Option(help="Folder that `examples.nano.real_people` wrote.")],
    assets: Annotated[Path, typer.Option(help="Folder of MakeHuman meshes, see `personsearch.synthetic`.")],
    teachers: Annotated[Path, typer.Option(help="Folder of the teachers' OpenVINO files.")],
    out: Annotated[Path, typer.Option(help="Folder of the pool.")],
    parts: Annotated[int, typer.Option(min=1, help="Parts that the pool has afterwards.")] = 20,
    first: Annotated[int, typer.Option(min=0, help="Parts before this one are left to another process.")] = 0,
) -> None:
    """Add parts to the pool."""
    cv2.setNumThreads(1)
    networks = ReidTeachers(teachers)
    for part in range(first, parts):
        if not files(out, part)[1].exists():
            write_part(part, real, assets, networks, out, Counts())
            print(f"part {part}", flush=True)


if __name__ == "__main__":
    run(main)

"""What the teachers' inner maps show at each place of the pool's pictures: the crop network learns them beside the rows.

`python -m examples.nano.hints --pool POOL --teachers DIR --out DIR`; run again when the pool has grown.
A hint is a map of both teachers, resized to a map of the crop network, in the directions in which it varies most.

Source: Romero et al., FitNets (arXiv 1412.6550), Sec. 2.2.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
import typer

from examples.nano.command import run
from examples.nano.teachers import AT_ONCE, REID, REID_SIZE, compiled
from personsearch.boxes import Array

BASIS_FILE = "basis.npz"
SAMPLES = 40_000  # cells that a basis is fitted to


@dataclass(frozen=True)
class Hint:
    """A map to learn.

    Attributes:
        node: Name of the OpenVINO node whose output it is.
        cells: Rows and columns for crops of 160 x 64.
        dim: Directions that are kept.
        layer: Layer of the crop network that learns it.
    """

    node: str
    cells: tuple[int, int]
    dim: int
    layer: int


HINTS = (Hint("754", (20, 8), 48, 6), Hint("941", (10, 4), 96, 13), Hint("1126", (5, 2), 192, 18))


class HintTeachers:
    """The re-id teachers with their inner maps.

    Args:
        folder: Folder with the .xml and .bin of each network.
    """

    def __init__(self, folder: Path) -> None:
        nodes = tuple(hint.node for hint in HINTS)
        self._networks = [compiled(folder / f"{name}.xml", (AT_ONCE, 3, *REID_SIZE), 1, outputs=nodes) for name in REID]

    def maps(self, pictures: Array) -> list[Array]:
        """Of each hint (N, rows, columns, C) float32, of N <= 16 uint8 RGB pictures (H, W, 3)."""
        batch = np.zeros((AT_ONCE, 3, *REID_SIZE), np.float32)
        for place, picture in zip(batch, pictures, strict=False):
            place[:] = cv2.resize(picture, REID_SIZE[::-1], interpolation=cv2.INTER_LINEAR)[..., ::-1].transpose(2, 0, 1)
        results = [network(batch) for network in self._networks]
        return [self._joined(results, number, hint)[: len(pictures)] for number, hint in enumerate(HINTS)]

    def _joined(self, results: list[Any], number: int, hint: Hint) -> Array:
        parts = [result[len(result) - len(HINTS) + number] for result in results]
        # the teachers differ in scale
        together = torch.from_numpy(np.concatenate([part / part.std() for part in parts], axis=1))
        maps: Array = F.interpolate(together, hint.cells, mode="area").permute(0, 2, 3, 1).numpy()
        return maps


def basis_of(maps: Array, dim: int) -> tuple[Array, Array]:
    """Mean (C,) and directions (C, dim) of maps (N, h, w, C), scaled so that the directions together have variance 1 per number."""
    cells = maps.reshape(-1, maps.shape[-1])
    cells = cells[:: max(1, len(cells) // SAMPLES)]
    mean = cells.mean(axis=0)
    _, vectors = np.linalg.eigh(np.cov((cells - mean).T))
    directions = vectors[:, ::-1][:, :dim]
    return mean, directions / ((cells - mean) @ directions).std()


def write(pool: Path, teachers: HintTeachers, out: Path) -> None:
    """Hints of all parts of the pool that have none."""
    out.mkdir(parents=True, exist_ok=True)
    for part in range(len(list(pool.glob("rows_*.npy")))):
        files = [out / f"hint_{number}_{part:04}.npy" for number in range(len(HINTS))]
        if files[-1].exists():
            continue
        pictures = np.load(pool / f"pictures_{part:04}.npy", mmap_mode="r")
        batches = [teachers.maps(pictures[start : start + AT_ONCE]) for start in range(0, len(pictures), AT_ONCE)]
        for number, (hint, file) in enumerate(zip(HINTS, files, strict=True)):
            maps = np.concatenate([batch[number] for batch in batches])
            basis = out / f"{number}_{BASIS_FILE}"
            if not basis.exists():
                mean, directions = basis_of(maps, hint.dim)
                np.savez(basis, mean=mean, directions=directions)
            with np.load(basis) as saved:
                reduced = ((maps - saved["mean"]) @ saved["directions"]).astype(np.float16)
            np.save(temporary := file.with_suffix(".new.npy"), reduced)
            os.replace(temporary, file)
        print(f"part {part}", flush=True)


def main(
    pool: Annotated[Path, typer.Option(help="Folder that `examples.nano.pool` wrote.")],
    teachers: Annotated[Path, typer.Option(help="Folder of the teachers' OpenVINO files.")],
    out: Annotated[Path, typer.Option(help="Folder of the hints.")],
) -> None:
    """Add hints for the new parts of a pool."""
    cv2.setNumThreads(1)
    write(pool, HintTeachers(teachers), out)


if __name__ == "__main__":
    run(main)

"""More real crops for the second phase, each with its own row of the teacher: reframed, recoloured, and pieces of photographs.

`python -m examples.nano.variants --pack DIR --shared DIR --out DIR`. Colours change before the teacher looks, so
that a recoloured crop is a person in other clothes; top and bottom of the body get hues of their own.
"""

from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import typer

from examples.nano.command import run
from examples.nano.pack import REID, REID_INPUT, teacher_rows
from examples.nano.photographs import HELD_OUT, labelled
from personsearch.boxes import Array
from personsearch.errors import ConfigError, DataError
from personsearch.models.nano.embedder import resize
from personsearch.models.two_step.reid_onnx import ReidEmbedder

HEIGHT, WIDTH = 128, 64
REFRAMED, RECOLOURED = 5, 10  # of each crop
PIECES = 3000  # of photographs, whatever they show
LINKED = ("train_images.npy", "train_feats.npy")
SEED = 5
COARSE = 0.3  # share of crops as if cut from far away


def reframed(crop: Array, rng: np.random.Generator) -> Array:
    """A crop with its frame stretched and moved a little, mirrored or not."""
    stretch, shift = np.exp(rng.uniform(-0.15, 0.15, 2)), rng.uniform(-0.08, 0.08, 2) * (WIDTH, HEIGHT)
    middle = np.array([WIDTH, HEIGHT]) / 2
    matrix = np.column_stack([np.diag(stretch), middle * (1 - stretch) + shift]).astype(np.float32)
    moved: Array = cv2.warpAffine(crop, matrix, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REPLICATE)
    return np.ascontiguousarray(moved[:, ::-1]) if rng.random() < 0.5 else moved


def recoloured(crop: Array, rng: np.random.Generator) -> Array:
    """A crop in other colours, with a border of colours about the hips."""
    hsv = cv2.cvtColor(crop, cv2.COLOR_RGB2HSV).astype(np.float32)
    upper = np.arange(HEIGHT)[:, None] < rng.uniform(50, 80)
    hues, gains = rng.uniform(0, 180, 2), rng.uniform(0.5, 1.5, 2)
    hsv[..., 0] = (hsv[..., 0] + np.where(upper, *hues)) % 180
    hsv[..., 1] = (hsv[..., 1] * rng.uniform(0.5, 2.2) + rng.uniform(0, 40)).clip(0, 255)
    hsv[..., 2] = (hsv[..., 2] * np.where(upper, *gains) + rng.uniform(-20, 20)).clip(0, 255)
    changed: Array = cv2.cvtColor(hsv.astype(np.uint8), cv2.COLOR_HSV2RGB)
    return changed


def coarse(crop: Array, rng: np.random.Generator) -> Array:
    """A crop as if cut from far away."""
    height = int(rng.integers(32, 100))
    small = cv2.resize(crop, (height // 2, height), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, (WIDTH, HEIGHT)))


def piece(image: Array, rng: np.random.Generator) -> Array:
    """A piece of an RGB picture of at least 40 pixels, of a person's shape."""
    rows, columns = image.shape[:2]
    height = int(rng.uniform(40, min(rows, 2 * columns)))
    width = min(columns, max(16, int(height * rng.uniform(0.35, 0.65))))
    top, left = int(rng.integers(rows - height + 1)), int(rng.integers(columns - width + 1))
    return resize(image[top : top + height, left : left + width], HEIGHT, WIDTH)


def variants(
    crops: Array,
    photographs: list[Array],
    rng: np.random.Generator,
    *,
    reframe: int = REFRAMED,
    recolour: int = RECOLOURED,
    pieces: int = PIECES,
) -> Array:
    """(R, 128, 64, 3) uint8: all variants of (N, 128, 64, 3) crops, then pieces of photographs."""
    made = []
    for crop in crops:
        for number in range(reframe + recolour):
            changed = reframed(crop, rng)
            changed = changed if number < reframe else recoloured(changed, rng)
            made.append(coarse(changed, rng) if rng.random() < COARSE else changed)
    made += [piece(photographs[int(rng.integers(len(photographs)))], rng) for _ in range(pieces)]
    return np.stack(made)


def main(
    pack: Annotated[Path, typer.Option(help="Folder that `examples.nano.pack` wrote.")],
    shared: Annotated[Path, typer.Option(help="Folder with data/ and teachers/.")],
    out: Annotated[Path, typer.Option(help="The folder to make; the rendered crops are linked from the pack.")],
    reframe: Annotated[int, typer.Option(min=0, help="Reframed variants of each crop.")] = REFRAMED,
    recolour: Annotated[int, typer.Option(min=0, help="Reframed and recoloured variants of each crop.")] = RECOLOURED,
    pieces: Annotated[int, typer.Option(min=0, help="Pieces of photographs.")] = PIECES,
) -> None:
    """Write real_images.npy and real_feats.npy."""
    if out.resolve() == pack.resolve():
        raise ConfigError(f"--out is the pack itself, {out}; give another folder, the pack is needed as it is")
    for name in ("real_images.npy", *LINKED):
        if not (pack / name).is_file():
            raise DataError(f"{pack} has no {name}; make it with python -m examples.nano.pack")
    embedder = ReidEmbedder(shared / "teachers" / REID, REID_INPUT)
    out.mkdir(parents=True, exist_ok=True)
    photographs = [pixels for number, _, pixels, _ in labelled(shared / "data/coco128") if number % HELD_OUT]
    crops, rng = np.load(pack / "real_images.npy"), np.random.default_rng(SEED)
    made = variants(crops, photographs, rng, reframe=reframe, recolour=recolour, pieces=pieces)
    np.save(out / "real_images.npy", made)
    np.save(out / "real_feats.npy", teacher_rows(embedder, made))
    for name in LINKED:
        (out / name).unlink(missing_ok=True)
        (out / name).symlink_to((pack / name).resolve())
    typer.echo(f"{len(made)} real crops")


if __name__ == "__main__":
    run(main)

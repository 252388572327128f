"""The last layer of a crop network learns how alike its teachers find two pictures.

`python -m examples.nano.relations --pool DIR --crops DIR --out DIR`, after `examples.nano.crops`. A network that imitates the rows of one
teacher, one by one, has rows that share a part, and directions that vary little count little. Here a linear map of its rows learns the
cosines that the rows of both teachers have. The rest of the network stays as it is, so the pool's pictures go through it once.

Source: Tung and Mori, Similarity-Preserving Knowledge Distillation (arXiv 1907.09682), Eq. 4, with rows around their mean, and the two
pictures of a pair in different rows and columns of the matrix.
"""

from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import torch
import torch.nn.functional as F
import typer
from torch import Tensor, nn

from examples.nano.camera_changes import sharpened
from examples.nano.command import run
from examples.nano.crops import Backbone, normalised, trained_network
from examples.nano.draw import SHARP, Parts
from examples.nano.pool import STREET_FROM
from personsearch.boxes import Array
from personsearch.errors import DataError
from personsearch.models.reid import ReidNetwork
from personsearch.training.checkpoint import load_state, save_state

STEPS, RATE = 600, 1e-3
PAIRS = 512  # of a step
NEAR = 3e-5  # weight of the map's squared distance from the identity
AT_ONCE = 32
SEED = 7


@torch.inference_mode()
def rows_of(network: ReidNetwork, pictures: Array, rng: np.random.Generator) -> Tensor:
    """(N, D) float32 rows of any length of (N, h, w, 3) uint8 pictures, which are seen in the sharpness of many cameras."""
    height, width = network.size
    small = [np.asarray(cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)) for picture in pictures]
    seen = [sharpened(picture, rng) if rng.random() < SHARP else picture for picture in small]
    batches = [normalised(seen[start : start + AT_ONCE]) for start in range(0, len(seen), AT_ONCE)]
    return torch.cat([network.features(batch.contiguous(memory_format=torch.channels_last)) for batch in batches])


def unlike(rows: Tensor, taught: Tensor) -> Tensor:
    """Mean squared difference of the cosines of first with second pictures of pairs, by rows (2 P, D) and by taught rows (2 P, E)."""
    ours, truth = F.normalize(rows), F.normalize(taught)
    return (ours[0::2] @ ours[1::2].T - truth[0::2] @ truth[1::2].T).square().mean()


def learned_map(rows: Tensor, taught: Tensor, *, steps: int = STEPS, near: float = NEAR) -> tuple[Tensor, Tensor]:
    """Matrix (D, D) and shift (D,) which make the cosines of rows (2 P, D) like those of taught rows (2 P, E).

    Rows 2 k and 2 k + 1 are of a pair: one person, changed twice.
    """
    generator = torch.Generator().manual_seed(SEED)
    length, pairs = rows.norm(dim=1).mean(), len(rows) // 2
    unit, identity = rows / length, torch.eye(rows.shape[1])
    matrix, shift = nn.Parameter(identity.clone()), nn.Parameter(torch.zeros(rows.shape[1]))
    optimizer = torch.optim.Adam([matrix, shift], RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        first = 2 * torch.randint(pairs, (min(PAIRS, pairs),), generator=generator)
        chosen = torch.stack([first, first + 1], dim=1).flatten()
        loss = unlike(unit[chosen] @ matrix.T + shift, taught[chosen]) + near * (matrix - identity).square().sum()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
    return matrix.detach(), shift.detach() * length


@torch.no_grad()
def put_into(layer: nn.Module, matrix: Tensor, shift: Tensor) -> None:
    """Let a linear layer make `matrix @ row + shift` of what was its row."""
    weight, bias = layer.get_parameter("weight"), layer.get_parameter("bias")
    bias.copy_(matrix @ bias + shift)
    weight.copy_(matrix @ weight)


def main(
    pool: Annotated[Path, typer.Option(help="Folder that `examples.nano.pool` wrote.")],
    crops: Annotated[Path, typer.Option(help="Folder of the crop network's training.")],
    out: Annotated[Path, typer.Option(help="Folder for the state with the new last layer.")],
    height: int = 128,
    width: int = 64,
    backbone: Annotated[Backbone, typer.Option(help="Backbone of the crop network.")] = Backbone.OMNI,
    first: Annotated[int, typer.Option(min=0, help="First part of the pool to learn from.")] = STREET_FROM,
    steps: int = STEPS,
) -> None:
    """Train the last layer."""
    torch.set_num_threads(1)
    parts, rng = Parts(pool), np.random.default_rng(SEED)
    if len(parts.rows) <= first:
        raise DataError(f"{pool} has {len(parts.rows)} parts, and --first is {first}; make more with examples.nano.pool, or begin earlier")
    network = trained_network(crops, height, width, backbone)
    rows = torch.cat([rows_of(network, pictures, rng) for pictures in parts.pictures[first:]])
    taught = torch.from_numpy(np.concatenate(parts.rows[first:]).astype(np.float32))
    taught -= taught.mean(dim=0)
    matrix, shift = learned_map(rows, taught, steps=steps)
    before, after = (float(unlike(one, taught).sqrt()) for one in (rows, rows @ matrix.T + shift))
    typer.echo(f"the cosines of {len(rows) // 2} pairs differ from the teachers' by {before:.4f}, and with the new layer by {after:.4f}")
    put_into(network.get_submodule("neck.0"), matrix, shift)
    save_state(out, load_state(crops) | {"mean": network.state_dict()})


if __name__ == "__main__":
    run(main)

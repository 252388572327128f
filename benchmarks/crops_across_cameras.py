"""Search every crop of a person among the crops of the other cameras."""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from personsearch import images
from personsearch.boxes import Array
from personsearch.errors import DataError
from personsearch.evaluation.metrics import average_precision, rank_of_first
from personsearch.models.base import PersonModel

NAME = re.compile(r"(\d{4})(\d{3})")  # identity and number of the crop
CROPS_OF_A_CAMERA = 2
TEST_IDENTITIES = 486  # the last identities of the folder
EMBEDDED_AT_ONCE = 256


@dataclass(frozen=True)
class CameraCrops:
    """Crops with their identities and cameras."""

    images: list[Array]  # (h, w, 3) uint8 RGB
    identities: Array  # (N,) int64
    cameras: Array  # (N,) int64


def read_crops(folder: Path) -> CameraCrops:
    """The crops of the last 486 identities of a folder like CUHK01's campus: IIIIKKK.png (identity, number), two per camera.

    Raises:
        DataError: No picture has such a name.
    """
    matches = [(path, NAME.fullmatch(path.stem)) for path in sorted(folder.glob("*.png"))]
    names = [(path, int(match[1]), (int(match[2]) - 1) // CROPS_OF_A_CAMERA) for path, match in matches if match]
    if not names:
        raise DataError(f"{folder} holds no crop named IIIIKKK.png (identity, number); give CUHK01's folder campus")
    tested = set(sorted({identity for _, identity, _ in names})[-TEST_IDENTITIES:])
    rows = [row for row in names if row[1] in tested]
    return CameraCrops([images.load(path) for path, _, _ in rows], np.array([row[1] for row in rows]), np.array([row[2] for row in rows]))


def embedded(model: PersonModel, crops: list[Array]) -> Array:
    """Embeddings of crops, (N, D) unit rows."""
    starts = range(0, len(crops), EMBEDDED_AT_ONCE)
    return np.concatenate([model.embed_crops(crops[start : start + EMBEDDED_AT_ONCE]) for start in starts])


def across_cameras(rows: Array, identities: Array, cameras: Array) -> dict[str, float]:
    """`rank1` and `mAP` of every crop as a query among the crops of the other cameras; people of one camera are skipped.

    Args:
        rows: Embeddings, (N, D) unit rows.
        identities: Identity of each row, (N,).
        cameras: Camera of each row, (N,).
    """
    ranks, precisions = [], []
    for row, identity, camera in zip(rows, identities, cameras, strict=True):
        gallery = cameras != camera
        relevant, similarity = identities[gallery] == identity, rows[gallery] @ row
        rank = rank_of_first(relevant, similarity)
        if rank is not None:
            ranks.append(rank)
            precisions.append(average_precision(relevant, similarity))
    return {"rank1": float(np.mean(np.array(ranks) == 1)), "mAP": float(np.mean(precisions)), "queries": len(ranks)}

"""From the names of torchvision's Faster R-CNN family, which several authors built on, to ours."""

import re
from collections.abc import Mapping

from torch import Tensor

# What only training needs: the memories of the loss, and batch norm's counters.
TRAINING_ONLY = re.compile(r"roi_heads\.reid_loss\.(lut|cq|cq_omega)$|.*\.num_batches_tracked$")
SHARED = {
    r"rpn\.head\.conv\.(0\.0\.)?": "rpn.head.conv.0.0.",  # as torchvision before 0.14 named it, and since
}
MEMORY = "roi_heads.reid_loss.lut"  # one row for each identity trained on
DATASETS = {5532: "CUHK-SYSU", 482: "PRW"}
BOXES = re.compile(r"\w+\.boxes\.")
PERSON_ROWS = 4  # of a box regressor, the last; four before them, of no person, are never used


def translate(tensors: Mapping[str, Tensor], renamed: Mapping[str, str]) -> dict[str, Tensor]:
    """The tensors under our names, without those for training only.

    Args:
        tensors: by the authors' names.
        renamed: beginning of a name, as a pattern -> ours; names that fit none stay as they are.
    """
    ours = {_rename(name, {**SHARED, **renamed}): tensor for name, tensor in tensors.items() if not TRAINING_ONLY.match(name)}
    return {name: tensor[-PERSON_ROWS:] if BOXES.match(name) else tensor for name, tensor in ours.items()}


def trained_on(tensors: Mapping[str, Tensor]) -> str | None:
    """The data set, known by the number of identities in the loss's memory."""
    return DATASETS.get(len(tensors[MEMORY])) if MEMORY in tensors else None


def model_name(family: str, dataset: str | None) -> str:
    """Short name of a converted model: "seqnet-prw"."""
    return f"{family}-{dataset.lower()}" if dataset else family


def _rename(name: str, renamed: Mapping[str, str]) -> str:
    for pattern, ours in renamed.items():
        found, count = re.subn(f"^{pattern}", ours, name)
        if count:
            return found
    return name

"""Our names for tensors of torchvision's Faster R-CNN family, which several authors build on."""

import re
from collections.abc import Mapping

from torch import Tensor

# Used in training only: the memories of the loss, and batch norm's counters.
TRAINING_ONLY = re.compile(r"roi_heads\.reid_loss\.(lut|cq|cq_omega)$|.*\.num_batches_tracked$")
SHARED = {
    r"rpn\.head\.conv\.(0\.0\.)?": "rpn.head.conv.0.0.",  # the names in torchvision before 0.14, and since
}
MEMORY = "roi_heads.reid_loss.lut"  # one row for each training identity
DATASETS = {5532: "CUHK-SYSU", 482: "PRW"}
BOXES = re.compile(r"[\w.]+\.boxes\.")
PERSON_ROWS = 4  # last rows of a box regressor; the four before them, for "no person", are never used


def translate(tensors: Mapping[str, Tensor], renamed: Mapping[str, str]) -> dict[str, Tensor]:
    """The tensors under our names, without those used in training only.

    Args:
        tensors: Tensors by the authors' names.
        renamed: Pattern of a name's beginning -> our beginning; names without a pattern stay as they are.
    """
    ours = {_rename(name, {**SHARED, **renamed}): tensor for name, tensor in tensors.items() if not TRAINING_ONLY.match(name)}
    return {name: tensor[-PERSON_ROWS:] if BOXES.match(name) else tensor for name, tensor in ours.items()}


def trained_on(tensors: Mapping[str, Tensor]) -> str | None:
    """The data set with as many identities as the loss's memory; None if unknown."""
    return DATASETS.get(len(tensors[MEMORY])) if MEMORY in tensors else None


def model_name(family: str, dataset: str | None) -> str:
    """Short name of a converted model: "seqnet-prw"."""
    return f"{family}-{dataset.lower()}" if dataset else family


def _rename(name: str, renamed: Mapping[str, str]) -> str:
    for pattern, ours in renamed.items():
        new_name, count = re.subn(f"^{pattern}", ours, name)
        if count:
            return new_name
    return name

"""One tensor under several names: authors who register a module twice save it twice."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from personsearch.errors import WeightsError

SHOWN = 4  # names that a message shows


def without_aliases(tensors: Mapping[str, Tensor], aliases: Sequence[tuple[str, str]]) -> dict[str, Tensor]:
    """Each tensor once.

    Args:
        tensors: by the authors' names.
        aliases: (part of a name, what it is an alias of), applied one after the other.

    Raises:
        WeightsError: an alias holds other numbers than the name that it repeats; the message names some.
    """
    once: dict[str, Tensor] = {}
    differing = []
    for name, tensor in tensors.items():
        original = name
        for alias, repeated in aliases:
            original = original.replace(alias, repeated)
        once.setdefault(original, tensors.get(original, tensor))
        if not torch.equal(once[original], tensor):
            differing.append(f"{name} is not {original}")
    if differing:
        raise WeightsError(f"{len(differing)} tensors differ from the ones they repeat: {', '.join(differing[:SHOWN])}")
    return once

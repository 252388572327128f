"""Networks through `torch.compile`: fewer passes over the memory between convolutions, for a wait at the first image."""

from typing import Any

import torch

from personsearch.errors import CompilerError, ConfigError
from personsearch.models.scene import SceneModel

REASON = 200  # characters of torch's message; the rest is advice to torch's developers


def compile_model(model: Any) -> None:
    """Compile a network's backbone in place; sizes of images and batches are free in what is compiled.

    What comes after stays as it is: it looks at as many regions as there are people, so its shapes differ from image to image.
    Results differ by rounding only, so the fingerprint stays.

    Args:
        model: as `models.open_folder` gives it.

    Raises:
        ConfigError: the model is not one network for whole scenes.
        CompilerError: this machine has no compiler that works.
    """
    if not isinstance(model, SceneModel):
        raise ConfigError(f"compiled=True is for one network in PyTorch that takes whole scenes; {model.name} is none, leave it out")
    try_compiler(model.device)
    model.network.get_submodule("backbone").compile(dynamic=True)


def try_compiler(device: torch.device) -> None:
    """Compile and run the smallest function, since torch looks for its compiler (C++, on CUDA Triton) only when it needs it.

    Raises:
        CompilerError: that fails; the message says why.
    """
    numbers = torch.arange(8, device=device)
    try:
        right = bool((torch.compile(_twice_and_one)(numbers) == 2 * numbers + 1).all())
    except RuntimeError as error:  # what torch raises for all that can be wrong with a compiler
        reason = " ".join(str(error).split())[:REASON]
        raise CompilerError(
            f"compiled=True needs a compiler for {device} that works ({reason}); install g++ (CPU) or Triton (CUDA), or leave it out"
        ) from error
    if not right:
        raise CompilerError(f"the compiler for {device} makes wrong code; leave compiled=True out")


def _twice_and_one(numbers: torch.Tensor) -> torch.Tensor:
    return 2 * numbers + 1

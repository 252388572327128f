"""Networks through `torch.compile`: fewer memory passes between convolutions, but a slow first image."""

from typing import Any

import torch

from personsearch.errors import CompilerError, ConfigError
from personsearch.models.scene import SceneModel

MAX_REASON = 200  # characters of torch's message to show; the rest is for torch's developers


def compile_model(model: Any) -> None:
    """Compile a network's backbone in place, for any size of images and batches.

    Its heads are not compiled, because their shapes depend on the number of people in an image.
    Results differ by rounding only, so the fingerprint stays.

    Args:
        model: Model from `models.open_folder`.

    Raises:
        ConfigError: the model is not one PyTorch network for whole scenes.
        CompilerError: the machine does not have a working compiler.
    """
    if not isinstance(model, SceneModel):
        raise ConfigError(f"compiled=True needs a model of one PyTorch network for whole scenes; leave it out for {model.name}")
    try_compiler(model.device)
    model.network.get_submodule("backbone").compile(dynamic=True)


def try_compiler(device: torch.device) -> None:
    """Compile and run a tiny function, because torch looks for its compiler (C++, on CUDA Triton) only when it needs it.

    Raises:
        CompilerError: this fails; the message says why.
    """
    numbers = torch.arange(8, device=device)
    try:
        right = bool((torch.compile(_twice_and_one)(numbers) == 2 * numbers + 1).all())
    except RuntimeError as error:  # base of all that torch raises for a broken compiler
        reason = " ".join(str(error).split())[:MAX_REASON]
        raise CompilerError(
            f"compiled=True needs a working compiler for {device} ({reason}); install g++ (CPU) or Triton (CUDA), or leave it out"
        ) from error
    if not right:
        raise CompilerError(f"the compiler for {device} gives wrong results; leave compiled=True out")


def _twice_and_one(numbers: torch.Tensor) -> torch.Tensor:
    return 2 * numbers + 1

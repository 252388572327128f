"""The error of an installation without PyTorch, which models on ONNX Runtime do not need."""

from collections.abc import Iterator
from contextlib import contextmanager

from personsearch.errors import MissingExtraError

PACKAGES = ("torch", "torchvision")


@contextmanager
def needs_torch(what: str) -> Iterator[None]:
    """Around imports: PyTorch's absence becomes the error that names what needs it.

    Raises:
        MissingExtraError: torch or torchvision is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name not in PACKAGES:
            raise
        raise MissingExtraError(f"{error.name} is not installed, and {what} needs it; run: pip install torch torchvision") from error

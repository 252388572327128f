"""How to index."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from personsearch import checks, images
from personsearch.errors import ConfigError


@dataclass(frozen=True)
class IndexOptions:
    """How to index; the defaults suit a folder of photos.

    Raises:
        ConfigError: An option is out of range or has the wrong type.
    """

    min_score: float  # score below which people do not enter the gallery
    every: int = 1  # step between the indexed frames of a video
    batch_size: int = images.BATCH  # images per forward pass
    workers: int = 2  # decoding threads
    progress: Callable[[Any], None] | bool | None = None  # progress bar on stderr; None: only on a terminal; or a function of `Progress`
    force: bool = False  # read every picture again
    prune: bool = False  # remove people of folders that have gone or are empty
    storage_options: Mapping[str, str] | None = None  # region, endpoint and credentials of an object store

    def __post_init__(self) -> None:
        for name in ("every", "batch_size", "workers"):
            checks.count(name, getattr(self, name))
        for name in ("force", "prune"):
            checks.flag(name, getattr(self, name))
        if self.progress is not None and not callable(self.progress):
            checks.flag("progress", self.progress)
        check_min_score(self.min_score)
        options = self.storage_options
        if options is not None and not (
            isinstance(options, Mapping) and all(isinstance(part, str) for pair in options.items() for part in pair)
        ):
            raise ConfigError(f"storage_options must be a dict of texts, such as aws_region, got {type(options).__name__}")


def check_min_score(value: object) -> None:
    """Check that a `min_score` is a score.

    Raises:
        ConfigError: It is not a number of 0..1.
    """
    if not 0 <= checks.number("min_score", value) <= 1:
        raise ConfigError(f"min_score must be within 0..1, got {value}")

"""Join a Ray cluster, or start a local one."""

import importlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from personsearch.errors import MissingExtraError


def ray() -> Any:
    """The module `ray`.

    Raises:
        MissingExtraError: It is not installed.
    """
    return _module("ray", "ray")


def lance_ray() -> Any:
    """The module `lance_ray`.

    Raises:
        MissingExtraError: It is not installed.
    """
    return _module("lance_ray", "lance-ray")


def _module(name: str, package: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise MissingExtraError(f"{package} is not installed; run: pip install 'personsearch[ray]'") from error


@contextmanager
def joined(workers: int) -> Iterator[Any]:
    """The module `ray`, connected: to what it is connected to already, the cluster of RAY_ADDRESS, or a local one for this run.

    Args:
        workers: Number of processes that a local cluster must have room for.
    """
    module = ray()
    if module.is_initialized():
        yield module
        return
    if os.environ.get("RAY_ADDRESS"):
        module.init(log_to_driver=False, logging_level="warning")
    else:
        cpus = max(workers, os.cpu_count() or 1)
        module.init(num_cpus=cpus, include_dashboard=False, log_to_driver=False, logging_level="warning")
    try:
        yield module
    finally:
        module.shutdown()

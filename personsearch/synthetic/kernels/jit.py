"""Functions compiled by numba, which only the extra `synthetic` installs."""

import hashlib
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar, cast

from personsearch.errors import MissingExtraError

Function = TypeVar("Function", bound=Callable[..., Any])


def compiled(function: Function) -> Function:
    """The function compiled at its first call and kept on disk beside its source; its signature stays.

    No fast-math and no threads inside: the same input gives the same bits in every process.

    Raises:
        MissingExtraError: numba is not installed.
    """
    try:
        from numba import njit
        from numba.core import config
    except ModuleNotFoundError as error:
        raise MissingExtraError("numba is not installed; run: pip install 'personsearch[synthetic]'") from error
    # numba compiles anew when the function's own file changes, but not when a constant or a function that it
    # takes from another file does: so each state of the sources has a folder of its own
    before = config.CACHE_DIR
    config.CACHE_DIR = str(Path(before or Path(__file__).parent / "__pycache__") / f"kernels-{_sources()}")
    try:
        return cast(Function, njit(cache=True, error_model="numpy")(function))
    finally:
        config.CACHE_DIR = before


@lru_cache(maxsize=1)
def _sources() -> str:
    """A digest of the source files of this package."""
    digest = hashlib.sha256()
    package = Path(__file__).parents[1]
    for path in sorted(package.rglob("*.py")):
        digest.update(path.relative_to(package).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:12]

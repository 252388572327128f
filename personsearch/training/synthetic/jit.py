"""Functions compiled by numba, which only the extra `synthetic` installs."""

from collections.abc import Callable
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
    except ModuleNotFoundError as error:
        raise MissingExtraError("numba is not installed; run: pip install 'personsearch[synthetic]'") from error
    return cast(Function, njit(cache=True, error_model="numpy")(function))

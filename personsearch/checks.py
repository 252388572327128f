"""Options as users pass them: one of the wrong kind is told by name, before anything is done with it."""

import math
import os
from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np

from personsearch.errors import ConfigError, PersonSearchError

Error = type[PersonSearchError]


def count(name: str, value: Any, error: Error = ConfigError) -> int:
    """`value` as a whole number of at least 1; NumPy's will do, True will not.

    Raises:
        PersonSearchError: of the kind `error`; it is something else.
    """
    if not isinstance(value, Integral) or isinstance(value, bool):
        raise error(f"{name} must be a whole number, got {value!r:.80}")
    if value < 1:
        raise error(f"{name} must be at least 1, got {value}")
    return int(value)


def counts(name: str, value: Any, error: Error = ConfigError) -> tuple[int, int]:
    """`value`, a tuple or list, as two whole numbers of at least 1.

    Raises:
        PersonSearchError: of the kind `error`; it is something else.
    """
    if not isinstance(value, tuple | list) or len(value) != 2:
        raise error(f"{name} must be two whole numbers, got {value!r:.80}")
    return count(f"{name}[0]", value[0], error), count(f"{name}[1]", value[1], error)


def number(name: str, value: Any, error: Error = ConfigError) -> float:
    """`value` as a number, whatever its range, but not NaN; NumPy's will do, True will not.

    Raises:
        PersonSearchError: of the kind `error`; it is something else.
    """
    if not isinstance(value, Real) or isinstance(value, bool):
        raise error(f"{name} must be a number, got {value!r:.80}")
    if math.isnan(float(value)):
        raise error(f"{name} is not a number (NaN); pass one")
    return float(value)


def flag(name: str, value: Any, error: Error = ConfigError) -> bool:
    """`value` as True or False; "no" would count as True anywhere else.

    Raises:
        PersonSearchError: of the kind `error`; it is something else.
    """
    if not isinstance(value, bool | np.bool_):
        raise error(f"{name} must be True or False, got {value!r:.80}")
    return bool(value)


def choice(name: str, value: Any, choices: Sequence[str | None], error: Error = ConfigError) -> None:
    """Check that `value` is one of the choices.

    Raises:
        PersonSearchError: of the kind `error`; it is something else.
    """
    if not isinstance(value, str | None) or value not in choices:
        shown = [repr(one) if one is None else f'"{one}"' for one in choices]
        raise error(f"{name} must be {', '.join(shown[:-1])} or {shown[-1]}, got {value!r:.80}")


def text(name: str, value: Any, error: Error = ConfigError) -> str:
    """`value` as text; a path is none.

    Raises:
        PersonSearchError: of the kind `error`; it is something else.
    """
    if not isinstance(value, str):
        raise error(f"{name} must be text, got {value!r:.80}")
    return value


def place(name: str, value: Any, error: Error = ConfigError) -> str:
    """A path or text as text.

    Raises:
        PersonSearchError: of the kind `error`; it is something else.
    """
    path = os.fspath(value) if isinstance(value, str | os.PathLike) else value
    if not isinstance(path, str):
        raise error(f"{name} must be a path or text, got {value!r:.80}")
    return path

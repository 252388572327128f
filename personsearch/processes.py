"""Values with threads of their own, which a forked process must make again."""

import os
import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar

T = TypeVar("T")

_making = threading.RLock()
_left: list[Any] = []  # values of a parent process: ending one would wait for its threads, which do not exist here


class PerProcess(Generic[T]):
    """A value that every process makes for itself: at once here, and at its first use in a process forked later.

    A fork copies memory but no threads. What waits for a thread that exists only in the parent process waits for ever.

    Args:
        make: Makes the value.
    """

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._value = make()
        self._process = os.getpid()

    def get(self) -> T:
        """The value of this process; raises what `make` raises."""
        if self._process != os.getpid():
            with _making:
                if self._process != os.getpid():
                    _left.append(self._value)
                    self._value = self._make()
                    self._process = os.getpid()
        return self._value


def _unlock() -> None:
    """Replace the lock in a forked process, as another thread of the parent may have held it."""
    global _making
    _making = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_unlock)

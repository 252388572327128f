"""Ray's calls in this process: an actor runs when it is called, and a chosen picture ends it."""

from collections.abc import Callable, Sequence
from typing import Any


class RayError(Exception):
    """As Ray's base class."""


class RayTaskError(RayError):
    """As Ray wraps what a call raised."""

    def __init__(self, cause: Exception) -> None:
        super().__init__(str(cause))
        self.cause = cause


class exceptions:  # noqa: N801, the name of Ray's module
    """As the module `ray.exceptions`."""

    RayError = RayError
    RayTaskError = RayTaskError


class FakeRay:
    """As the module `ray`.

    Args:
        ends: Called with the arguments of each call; whether the worker ends at it.
    """

    exceptions = exceptions

    def __init__(self, ends: Callable[[str, tuple[Any, ...]], bool] = lambda name, arguments: False) -> None:
        self.ends = ends
        self.started = self.waits = 0
        self.calls: list[str] = []

    def remote(self, **_: Any) -> Callable[[type], Any]:
        """A maker of actors."""
        return lambda cls: _Maker(self, cls)

    def wait(self, futures: Sequence[Any], **_: Any) -> tuple[list[Any], list[Any]]:
        """One of the calls is done, in turns."""
        self.waits += 1
        at = self.waits % len(futures)
        return [futures[at]], [*futures[:at], *futures[at + 1 :]]

    def get(self, future: "_Future") -> Any:
        """The result of a call, or its error."""
        if future.error is not None:
            raise future.error
        return future.result

    def kill(self, actor: Any) -> None:
        """Nothing runs."""


class _Maker:
    def __init__(self, ray: FakeRay, cls: type) -> None:
        self.ray, self.cls = ray, cls

    def remote(self, *arguments: Any) -> "_Actor":
        self.ray.started += 1
        return _Actor(self.ray, self.cls(*arguments))


class _Actor:
    def __init__(self, ray: FakeRay, worker: Any) -> None:
        self._ray, self._worker = ray, worker

    def __getattr__(self, name: str) -> "_Method":
        return _Method(self._ray, name, getattr(self._worker, name))


class _Method:
    def __init__(self, ray: FakeRay, name: str, call: Callable[..., Any]) -> None:
        self.ray, self.name, self.call = ray, name, call

    def remote(self, *arguments: Any) -> "_Future":
        self.ray.calls.append(self.name)
        if self.ray.ends(self.name, arguments):
            return _Future(None, RayError("the worker ended"))
        try:
            return _Future(self.call(*arguments), None)
        except Exception as error:  # as Ray, whatever it is
            return _Future(None, RayTaskError(error))


class _Future:
    def __init__(self, result: Any, error: Exception | None) -> None:
        self.result, self.error = result, error

"""Threads that decode pictures; one that takes too long is left behind, and another takes its place."""

import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

from personsearch.images import max_seconds

T = TypeVar("T")

CHECK_SECONDS = 1.0  # between two looks at a thread that is waited for
WAITING = 6.0  # times as long work may take on the clock: a disk that does not answer is a reason, a busy machine is not


class TooSlowError(Exception):
    """Work takes longer than `max_seconds()` of processor time, or does nothing for `WAITING` times as long."""


class Work(Generic[T]):
    """One call in a thread of `Workers`."""

    def __init__(self, call: Callable[[], T], workers: "Workers", progress: Callable[[], int] | None) -> None:
        self._call, self._workers, self._progress = call, workers, progress
        self._steps = 0 if progress is None else progress()  # at the last look
        self._future: Future[T] = Future()
        self._began: tuple[float, float] | None = None  # on the clock, and of the thread's processor time
        self._used = self._worked = 0.0  # processor time since `_began`, and when it last grew
        self._thread: int | None = None

    def run(self) -> None:
        """Make the call; its result or error goes to `result`."""
        if not self._future.set_running_or_notify_cancel():
            return
        self._thread = threading.get_ident()
        self._began = time.monotonic(), time.thread_time()
        try:
            result = self._call()
        except BaseException as error:  # raised again by `result`
            self._thread = None
            self._future.set_exception(error)
        else:
            self._thread = None
            self._future.set_result(result)

    def cancel(self) -> None:
        """Do not make the call if it has not begun."""
        self._future.cancel()

    def result(self) -> T:
        """What the call returns or raises.

        Raises:
            TooSlowError: It takes too long; `leave` gives its thread up.
        """
        while True:
            try:
                return self._future.result(CHECK_SECONDS)
            except TimeoutError:
                if self._future.done():  # now, or the error is the call's own
                    return self._future.result()
            if self._is_late():
                raise TooSlowError

    def leave(self) -> None:
        """Leave the call's thread behind, and let another thread make the calls that wait."""
        self._workers.replace_one()

    def _is_late(self) -> bool:
        began, thread, seconds = self._began, self._thread, max_seconds()
        if began is None or thread is None:
            return False
        now, used = time.monotonic(), _processor_time(thread, began[1])
        steps = self._steps if self._progress is None else self._progress()
        if steps != self._steps:
            self._steps, self._began, self._used = steps, (now, used), 0.0
            return False
        if used - began[1] > self._used:
            self._used, self._worked = used - began[1], now
        return now - max(began[0], self._worked) > WAITING * seconds or used - began[1] > seconds


class Workers:
    """Daemon threads, which do not keep the process from ending.

    Args:
        count: Number of threads.
        name: Start of their names.
    """

    def __init__(self, count: int, name: str) -> None:
        self._queue: queue.SimpleQueue[Work[object] | None] = queue.SimpleQueue()
        self._name = name
        self._threads: list[threading.Thread] = []
        self._left = 0  # threads that were left behind
        for _ in range(count):
            self._start()

    def submit(self, call: Callable[[], T], progress: Callable[[], int] | None = None) -> Work[T]:
        """Make a call in the next free thread.

        Args:
            call: Function to call.
            progress: Number of its steps so far, if it has several; the limit of time is one of each step.
        """
        work = Work(call, self, progress)
        self._queue.put(work)  # type: ignore[arg-type]
        return work

    def replace_one(self) -> None:
        """Start a thread in place of one that is left behind."""
        self._left += 1
        self._start()

    def close(self) -> None:
        """Cancel the calls that have not begun, and wait for the others unless their threads were left behind."""
        while True:
            try:
                work = self._queue.get_nowait()
            except queue.Empty:
                break
            if work is not None:
                work.cancel()
        for _ in self._threads:
            self._queue.put(None)
        if not self._left:
            for thread in self._threads:
                thread.join()

    def _start(self) -> None:
        thread = threading.Thread(target=self._work, name=f"{self._name}-{len(self._threads)}", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _work(self) -> None:
        while (work := self._queue.get()) is not None:
            work.run()
            del work  # what it returned may be large


def _processor_time(thread: int, otherwise: float) -> float:
    """Processor time of a running thread; `otherwise` where the system does not tell."""
    if not hasattr(time, "pthread_getcpuclockid"):
        return otherwise
    try:
        return time.clock_gettime(time.pthread_getcpuclockid(thread))
    except OSError:  # it has ended
        return otherwise

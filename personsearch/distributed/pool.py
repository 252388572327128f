"""The workers of one run: which chunk each reads, what happens if one ends, and when what they wrote is committed."""

import time
from collections import defaultdict, deque
from dataclasses import dataclass, replace
from typing import Any

from tqdm import tqdm

from personsearch.distributed.chunks import Chunk, VideoRange
from personsearch.distributed.worker import Description, Opening, Worker, Written
from personsearch.errors import WorkerError
from personsearch.gallery import Gallery, add_files
from personsearch.indexing import IndexOptions, Plan
from personsearch.sources import Item

COMMIT_SECONDS = 5.0  # this process, if it ends, loses at most what came within this time, and the chunks that are being read
MOST_DEATHS = 3  # workers that end at one picture before it is reported
WAITING = 2  # calls of a worker: the one that runs, and the next, so that it need not wait for this process
DEATHS_AT_START = 3  # workers that end before they have read anything


@dataclass(frozen=True)
class Task:
    """What the workers are."""

    opening: Opening
    workers: int
    gpus_per_worker: float


@dataclass(eq=False)
class _Seat:
    """One worker, and its calls in order: the first is running."""

    worker: Any
    calls: "dict[Any, Chunk | None]"  # None: describing the model


class Pool:
    """Workers of a cluster, made anew when they end.

    Args:
        ray: The connected module.
        task: What the workers are.
    """

    def __init__(self, ray: Any, task: Task) -> None:
        self.ray, self.task = ray, task
        self.expected: Description | None = None  # the model that every worker must have
        self._actor = ray.remote(num_cpus=1, num_gpus=task.gpus_per_worker, max_restarts=0, max_task_retries=0)(Worker)
        self._seats: list[_Seat] = []
        self._deaths = 0  # at start, one after the other

    def __enter__(self) -> "Pool":
        for _ in range(self.task.workers):
            self._start()
        return self

    def __exit__(self, *_: object) -> None:
        for seat in self._seats:
            self.ray.kill(seat.worker)

    def describe(self) -> Description:
        """The model of the worker that opens it first.

        Raises:
            WorkerError: The workers end while they open it.
        """
        while self.expected is None:
            self._step(deque(), None)
        return self.expected

    def read(self, chunks: deque[Chunk], gallery: Gallery, options: IndexOptions, indexed_ns: int, plan: Plan) -> None:
        """Have all chunks read, and commit what the workers write; what cannot be read goes to the plan.

        Raises:
            GalleryModelError: A worker has another model.
            WorkerError: The workers end again and again.
        """
        quiet = replace(options, progress=False)
        sink = _Sink(gallery, plan, sum(not isinstance(item, VideoRange) for chunk in chunks for item in chunk.items), options)
        left = _ranges_left(chunks)
        with sink:
            while chunks or any(chunk is not None for seat in self._seats for chunk in seat.calls.values()):
                for seat in sorted(self._seats, key=lambda seat: len(seat.calls)):
                    if chunks and len(seat.calls) < WAITING and None not in seat.calls.values():
                        chunk = chunks.popleft()
                        seat.calls[seat.worker.read.remote(chunk, gallery, quiet, indexed_ns)] = chunk
                done = self._step(chunks, plan)
                if done is not None and not self._is_cut_off(*done, chunks, left):
                    sink.take(*done, left)
                sink.commit_now_and_then()

    def _is_cut_off(self, chunk: Chunk, written: Written, chunks: "deque[Chunk]", left: dict[str, int]) -> bool:
        """Whether a video ends before its last range; then it is read again whole, so that its last frame is known."""
        if chunk.video is None or chunk.is_open or written.frames or chunk.items[0].image in written.unreadable:
            return False
        item = chunk.items[0]
        chunks.append(Chunk([Item(item.image, item.size, item.modified_ns, item.changed_ns, item.root)], later=1))
        left[chunk.video] -= 1
        return True

    def _start(self) -> None:
        worker = self._actor.remote(self.task.opening)
        self._seats.append(_Seat(worker, {worker.describe.remote(): None}))

    def _step(self, chunks: "deque[Chunk]", plan: Plan | None) -> "tuple[Chunk, Written] | None":
        """Wait for one call, or a second."""
        calls = {call: seat for seat in self._seats for call in seat.calls}
        ready, _ = self.ray.wait(list(calls), num_returns=1, timeout=1.0)
        if not ready:
            return None
        seat = calls[ready[0]]
        call = next(iter(seat.calls))  # done before the others of its worker, and of a worker that ended the one to blame
        try:
            result = self.ray.get(call)
        except self.ray.exceptions.RayTaskError as error:  # an error of the work itself, which another worker would meet too
            raise (error.cause if isinstance(error.cause, Exception) else error) from None
        except self.ray.exceptions.RayError as error:
            self._ended(seat, chunks, plan, error)
            return None
        chunk = seat.calls.pop(call)
        if chunk is None:
            self.expected = self.expected or result
            result.check_same(self.expected)
            return None
        self._deaths = 0
        return chunk, result

    def _ended(self, seat: _Seat, chunks: "deque[Chunk]", plan: Plan | None, error: Exception) -> None:
        """Start another worker, and give it the chunk again: whole once, then in halves, down to the picture that ends workers."""
        self._seats.remove(seat)
        chunk, *waiting = seat.calls.values()
        chunks.extend(one for one in waiting if one is not None)  # they had not begun
        if chunk is None:
            self._deaths += 1
            if self._deaths >= DEATHS_AT_START:
                raise WorkerError(
                    f"{self._deaths} workers ended while they opened the model: {error}; open it in one process first"
                ) from error
        else:
            chunk.deaths += 1
            if chunk.deaths == 1:
                chunks.append(chunk)
            elif len(chunk.items) > 1:
                chunks.extend(chunk.halves())
            elif chunk.deaths < MOST_DEATHS:
                chunks.append(chunk)
            elif plan is not None:
                plan.unreadable[chunk.items[0].image] = f"it ended the worker {MOST_DEATHS} times"
        self._start()


class _Sink:
    """Commits the files of chunks now and then, and shows the progress."""

    def __init__(self, gallery: Gallery, plan: Plan, total: int, options: IndexOptions) -> None:
        self.gallery, self.plan = gallery, plan
        self.fragments: list[str] = []
        self.held: dict[str, list[str]] = {}  # video -> files with its end, which wait for its other ranges
        self.committed = time.monotonic()
        progress = False if callable(options.progress) else options.progress
        self.bar = tqdm(total=total, unit="image", desc="indexing", disable=None if progress is None else not progress)

    def __enter__(self) -> "_Sink":
        return self

    def __exit__(self, *_: object) -> None:
        self.commit()
        self.bar.close()

    def take(self, chunk: Chunk, written: Written, left: dict[str, int]) -> None:
        """Take what one chunk gave."""
        self.plan.unreadable |= written.unreadable
        self.plan.partial |= written.partial
        self.bar.update(sum(not isinstance(item, VideoRange) for item in chunk.items))
        if chunk.video is None:
            self.fragments += written.fragments
            return
        left[chunk.video] -= 1
        if chunk.is_open:
            self.fragments += written.fragments
        else:
            self.held[chunk.video] = written.fragments
        if left[chunk.video] == 0:
            self.fragments += self.held.pop(chunk.video, [])

    def commit_now_and_then(self) -> None:
        """Commit if the last commit is some seconds ago."""
        if time.monotonic() - self.committed > COMMIT_SECONDS:
            self.commit()

    def commit(self) -> None:
        """Commit all files that have come."""
        if self.fragments:
            add_files(self.gallery, self.fragments)
        self.fragments, self.committed = [], time.monotonic()


def _ranges_left(chunks: "deque[Chunk]") -> dict[str, int]:
    """Number of ranges of each video that is split."""
    left: dict[str, int] = defaultdict(int)
    for chunk in chunks:
        if chunk.video is not None:
            left[chunk.video] += 1
    return left

"""Read and prepare the pictures of a plan in threads, ahead of the network, within a bound on their bytes."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Any

import numpy as np

from personsearch.errors import ImageError
from personsearch.images import max_seconds, picture_size, too_slow
from personsearch.indexing.options import IndexOptions
from personsearch.indexing.plan import Plan, fingerprint, reason_of
from personsearch.indexing.workers import TooSlowError, Work, Workers
from personsearch.memory import is_lack_of_memory, return_freed_memory
from personsearch.models.base import PersonModel
from personsearch.sources import Frame, Item

# Bytes of pictures in memory at once. A larger picture is read alone.
MEMORY = 400 * 2**20
# Bytes for each pixel while a picture is decoded: Pillow's 4, the array's 3, and as much again in the model's input.
DECODING_BYTES = 10
TOO_LARGE = "needs more memory than there is; save it in a smaller size"


@dataclass
class Decoded:
    """A frame ready for the network, without its pixels."""

    item: Item
    frame: int
    time: float | None  # seconds
    height: int  # pixels of the original picture, as is the width
    width: int
    fingerprint: str
    prepared: Any
    last: bool
    size: int = 0  # bytes that count against `MEMORY` until the frame has run
    expected: int | None = None  # frames of the picture or video that will come in all; None: not known


@dataclass
class _Waiting:
    item: Item
    work: "Work[Decoded | None]"
    size: int
    reader: "_VideoReader | None"


class Decoder:
    """Reads and prepares pictures in threads, a bounded number and size ahead of the network, in source order.

    What cannot be read goes to `plan.unreadable`, what is read in part to `plan.partial`.
    """

    def __init__(self, model: PersonModel, plan: Plan, options: IndexOptions) -> None:
        self.model, self.plan, self.options = model, plan, options
        self._stills = Workers(options.workers, "decode")
        self._video = Workers(1, "video")  # a video is read in order
        self._held = 0  # bytes of pictures that are being read, wait, or are in the batch

    def __enter__(self) -> "Decoder":
        return self

    def __exit__(self, *_: object) -> None:
        self._stills.close()
        self._video.close()

    def batches(self) -> Iterator[list[Decoded]]:
        """Up to `batch_size` frames at a time, fewer if they are large, each list until `release`.

        An empty list says that the next picture has no room until what was given is released.
        """
        batch: list[Decoded] = []
        waiting: deque[_Waiting] = deque()
        tasks = self._tasks()
        task = next(tasks, None)
        while task is not None or waiting or batch:
            while task is not None and self._fits(task, len(waiting)):
                waiting.append(task.submit())
                self._held += waiting[-1].size
                task = next(tasks, None)
            if task is not None and not waiting and not batch:
                yield []
                continue
            if waiting:
                batch += self._result(waiting.popleft())
            if len(batch) == self.options.batch_size or (batch and not waiting):
                yield batch
                batch = []

    def release(self, batch: list[Decoded]) -> None:
        """Empty a batch that has run, so that others have room."""
        self._held -= sum(decoded.size for decoded in batch)
        batch.clear()

    def _fits(self, task: "_Task", waiting: int) -> bool:
        is_room = self._held == 0 or self._held + task.size <= MEMORY
        return is_room and waiting <= self.options.batch_size + self.options.workers

    def _result(self, waiting: _Waiting) -> list[Decoded]:
        item = waiting.item
        self._held -= waiting.size
        try:
            decoded = waiting.work.result()
        except TooSlowError:
            self._give_up(waiting, too_slow(max_seconds()))
            waiting.work.leave()
            return []
        except ImageError as error:
            self._give_up(waiting, reason_of(error, item))
            return []
        except Exception as error:
            if not is_lack_of_memory(error):
                raise
            self._give_up(waiting, TOO_LARGE)
            return []
        if decoded is None:
            return []
        self._held += decoded.size
        return [decoded]

    def _give_up(self, waiting: _Waiting, reason: str) -> None:
        """Report a picture, or the rest of a video of which some frames were read."""
        image, reader = waiting.item.image, waiting.reader
        if reader is None or not reader.count:
            self.plan.unreadable[image] = reason
        else:
            self.plan.partial[image] = f"{reader.count} frames; the next one {reason}"
        if reader is not None:
            reader.ended = True

    def _tasks(self) -> "Iterator[_Task]":
        for item in self.plan.todo:
            if not item.is_video:
                yield _Task(item, self._stills, partial(self._still, item), _decoding_bytes(item))
                continue
            reader = _VideoReader(item, self)
            while not reader.ended:
                yield _Task(item, self._video, reader.next, reader.size, reader)

    def _still(self, item: Item) -> Decoded:
        # the digest is that of the bytes that are decoded: if the file changes now, the next run sees it
        digest, frame = item.still()
        is_large = frame.pixels.nbytes > MEMORY // 8
        decoded = self.prepare(item, frame, digest, last=True, expected=1)
        if is_large:
            del frame
            return_freed_memory()
        return decoded

    def prepare(self, item: Item, frame: Frame, digest: str, *, last: bool, expected: int | None) -> Decoded:
        """The network's input for a frame; the pixels themselves are dropped unless the model keeps them."""
        height, width = frame.pixels.shape[:2]
        prepared = self.model.prepare(frame.pixels)
        return Decoded(item, frame.frame, frame.time, height, width, digest, prepared, last, _bytes_of(prepared), expected)


@dataclass
class _Task:
    item: Item
    workers: Workers
    call: "Callable[[], Decoded | None]"
    size: int  # bytes that it is expected to need
    reader: "_VideoReader | None" = None

    def submit(self) -> _Waiting:
        progress = None if self.reader is None else self.reader.progress
        return _Waiting(self.item, self.workers.submit(self.call, progress), self.size, self.reader)


class _VideoReader:
    """One frame of a video per call. Reads one frame ahead, to know which frame is the last."""

    def __init__(self, item: Item, decoder: Decoder) -> None:
        self.item, self.decoder = item, decoder
        self.ended = False
        self.hashing = False
        self.count = 0  # frames that were given
        self.size = 0  # bytes of the frame read last
        self.fingerprint = ""
        self.frames = item.frames(decoder.options.every, decoder.plan.done.get(item.image, frozenset()))
        self.ahead: Frame | Exception | None = None  # the next frame, why it cannot be read, or the end

    def next(self) -> Decoded | None:
        """The next frame, prepared; None after the end."""
        if self.ended:
            return None
        if not self.fingerprint:
            self.fingerprint = self._fingerprint()
            self.ahead = self._read()
        frame = self.ahead
        if isinstance(frame, Exception):
            raise frame
        self.ahead = None if frame is None else self._read()
        if self.ended:  # given up meanwhile, as it takes too long
            return None
        if self.ahead is None:
            self.ended = True
            if self.frames.partly_read:
                self.decoder.plan.partial[self.item.image] = self.frames.partly_read
        if frame is None:
            return None
        self.size = frame.pixels.size * DECODING_BYTES // 3
        decoded = self.decoder.prepare(self.item, frame, self.fingerprint, last=self.ahead is None, expected=self.frames.total)
        self.count += 1
        return decoded

    def progress(self) -> int:
        """Number of steps so far; it grows on while the file is hashed, which takes minutes for a long video."""
        return time.monotonic_ns() if self.hashing else self.frames.decoded

    def _fingerprint(self) -> str:
        self.hashing = True
        try:
            return fingerprint(self.item, self.decoder.options)
        finally:
            self.hashing = False

    def _read(self) -> Frame | Exception | None:
        try:
            return next(self.frames, None)
        except (ImageError, MemoryError) as error:
            return error


def _decoding_bytes(item: Item) -> int:
    """Bytes that decoding and preparing a picture needs; 0 for objects of a store, whose size is not known before they are fetched."""
    content = item.image if item.content is None else item.content
    if isinstance(content, np.ndarray):
        return int(content.size)
    width, height = picture_size(content)
    return width * height * DECODING_BYTES


def _bytes_of(prepared: Any) -> int:
    """Bytes of the arrays and tensors in a network's input."""
    return sum(array.nbytes for array in {id(array): array for array in _arrays(prepared)}.values())


def _arrays(value: Any) -> Iterable[Any]:
    if hasattr(value, "nbytes"):
        return [value]
    if isinstance(value, tuple | list):
        return chain.from_iterable(map(_arrays, value))
    if isinstance(value, dict):
        return _arrays(list(value.values()))
    return _arrays(list(vars(value).values())) if hasattr(value, "__dict__") else []

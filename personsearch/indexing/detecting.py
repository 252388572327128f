"""Detect the people of batches in order, several batches at the same time if the model allows it."""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import TypeAlias

from personsearch.indexing.decoding import Decoded
from personsearch.memory import is_lack_of_memory
from personsearch.models.base import PersonModel, batches_at_once
from personsearch.results import Detections

Running: TypeAlias = "Future[list[Detections]] | None"  # people of a batch in another thread; None: it runs when they are asked for


@dataclass(frozen=True)
class DetectedBatch:
    """The frames of a batch, each with its people; None for a picture that needs more memory than there is."""

    batch: list[Decoded]
    people: list[Detections | None]


class BatchDetector:
    """Runs a model on batches. While the last pictures of one batch run on some cores, the others work on the next.

    Args:
        model: Model to detect with.
        min_score: Score from which a detection enters the gallery.
    """

    def __init__(self, model: PersonModel, min_score: float) -> None:
        self.model, self.min_score = model, min_score
        self._count = batches_at_once(model)
        self._threads = ThreadPoolExecutor(self._count, "batch") if self._count > 1 else None

    def __enter__(self) -> "BatchDetector":
        return self

    def __exit__(self, *_: object) -> None:
        if self._threads is not None:
            self._threads.shutdown(cancel_futures=True)

    def detect(self, batches: Iterable[list[Decoded]]) -> Iterator[DetectedBatch]:
        """The batches with their people, in order. An empty batch lets those before it end first."""
        running: deque[tuple[list[Decoded], Running]] = deque()
        for batch in batches:
            if batch:
                running.append((batch, None if self._threads is None else self._threads.submit(self._run, batch)))
            while running and (len(running) >= self._count or not batch):
                yield self._end(*running.popleft(), [one for _, one in running])
        while running:
            yield self._end(*running.popleft(), [one for _, one in running])

    def _run(self, batch: list[Decoded]) -> list[Detections]:
        return self.model.detect([decoded.prepared for decoded in batch], min_score=self.min_score)

    def _end(self, batch: list[Decoded], people: Running, others: list[Running]) -> DetectedBatch:
        """A batch with its people; one that is too large together runs picture by picture, once `others` leave it all memory."""
        try:
            return DetectedBatch(batch, list(self._run(batch) if people is None else people.result()))
        except Exception as error:
            if not is_lack_of_memory(error):
                raise
        wait([one for one in others if one is not None])
        return DetectedBatch(batch, [self._alone(decoded) for decoded in batch])

    def _alone(self, decoded: Decoded) -> Detections | None:
        try:
            return self._run([decoded])[0]
        except Exception as error:
            if not is_lack_of_memory(error):
                raise
            return None

"""Detect the people of batches in order, several batches at the same time if the model allows it."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from personsearch.indexing.decoding import Decoded
from personsearch.memory import is_lack_of_memory
from personsearch.models.base import PersonModel, batches_at_once
from personsearch.results import Detections


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
        running: deque[tuple[list[Decoded], Callable[[], list[Detections]]]] = deque()
        for batch in batches:
            if batch:
                running.append((batch, self._start(batch)))
            while running and (len(running) >= self._count or not batch):
                yield self._end(*running.popleft())
        while running:
            yield self._end(*running.popleft())

    def _start(self, batch: list[Decoded]) -> Callable[[], list[Detections]]:
        """What gives the people of a batch: now in another thread, or when it is called."""
        return partial(self._run, batch) if self._threads is None else self._threads.submit(self._run, batch).result

    def _run(self, batch: list[Decoded]) -> list[Detections]:
        return self.model.detect([decoded.prepared for decoded in batch], min_score=self.min_score)

    def _end(self, batch: list[Decoded], people: Callable[[], list[Detections]]) -> DetectedBatch:
        """A batch with its people; a batch that is too large together runs picture by picture."""
        try:
            return DetectedBatch(batch, list(people()))
        except Exception as error:
            if not is_lack_of_memory(error):
                raise
        return DetectedBatch(batch, [self._alone(decoded) for decoded in batch])

    def _alone(self, decoded: Decoded) -> Detections | None:
        try:
            return self._run([decoded])[0]
        except Exception as error:
            if not is_lack_of_memory(error):
                raise
            return None

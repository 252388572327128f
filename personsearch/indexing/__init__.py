"""Index a source into a gallery: new and changed images only, decoded in threads while the network runs, in several commits."""

import logging
import os
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Event
from typing import Any

from tqdm import tqdm

from personsearch import checks, images
from personsearch.errors import ConfigError, ImageError
from personsearch.gallery import FramePeople, Gallery, ImageRecord, ModelKey
from personsearch.models.base import PersonModel
from personsearch.results import IndexReport
from personsearch.sources import Frame, Item, Source

logger = logging.getLogger(__name__)

# A file changed this soon before indexing may change again within the resolution of its time stamp: hash it again (git's "racy" rule).
RACY_NS = 2_000_000_000
# Every commit is a new version of the table, so not every batch is committed; a killed run loses at most this much work.
COMMIT_SECONDS = 5.0
COMMIT_FRAMES = 512


@dataclass(frozen=True)
class IndexOptions:
    """How to index; the defaults suit a folder of photos."""

    min_score: float  # score below which people do not enter the gallery
    every: int = 1  # step between the indexed frames of a video
    batch_size: int = images.BATCH  # images per forward pass
    workers: int = 2  # decoding threads
    progress: bool | None = None  # progress bar on stderr; None: only on a terminal

    def __post_init__(self) -> None:
        for name in ("every", "batch_size", "workers"):
            checks.count(name, getattr(self, name))
        if self.progress is not None:
            checks.flag("progress", self.progress)
        if not 0 <= checks.number("min_score", self.min_score) <= 1:
            raise ConfigError(f"min_score must be within 0..1, got {self.min_score}")


@dataclass
class _Plan:
    """What to do with each item of a source."""

    todo: list[Item] = field(default_factory=list)
    done: dict[str, frozenset[int]] = field(default_factory=dict)  # video partly indexed by an interrupted run -> its frames
    added: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    unreadable: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _Decoded:
    frame: Frame
    fingerprint: str
    prepared: Any
    last: bool


def model_key(model: PersonModel, min_score: float) -> ModelKey:
    """The key of a gallery with the people that the model detects from `min_score` on."""
    return ModelKey(f"{model.name} from score {min_score:g}", f"{model.fingerprint}@{min_score:g}", model.embedding_dim)


def update(model: PersonModel, source: Source, gallery: Gallery, options: IndexOptions, *, owned: bool = False) -> IndexReport:
    """Bring the gallery up to date with the source.

    If the gallery is `owned` by the source, it holds nothing else: whatever the source does not have leaves it.

    New and changed pictures are indexed. Pictures deleted from the source's folder are removed from the gallery.
    An unreadable picture is reported, and removed too, as its content is no longer the indexed one.
    """
    plan = _plan(source, gallery.images(), options, owned=owned)
    if plan.changed or plan.removed:
        gallery.remove(*plan.changed, *plan.removed, missing_ok=True)  # another process may update the same gallery
    _index(model, source, gallery, plan, options)
    for image, reason in plan.unreadable.items():
        logger.warning("not indexed: %s: %s", image, reason)
    return IndexReport(
        added=tuple(image for image in plan.added if image not in plan.unreadable),
        changed=tuple(image for image in plan.changed if image not in plan.unreadable),
        removed=tuple(plan.removed),
        unchanged=tuple(plan.unchanged),
        unreadable=plan.unreadable,
    )


def _fingerprint(item: Item, options: IndexOptions) -> str:
    """Digest of an item's content, for a video also of the step between frames."""
    return f"{item.fingerprint()}-every{options.every}" if item.is_video else item.fingerprint()


def _reason(error: ImageError, item: Item) -> str:
    """The error's message without the image's name, which the report has already."""
    return str(error).removeprefix(f"{item.image}: ")


def _plan(source: Source, records: dict[str, ImageRecord], options: IndexOptions, *, owned: bool) -> _Plan:
    plan = _Plan()
    items = {item.image: item for item in source.items}
    for item in items.values():  # a list may name a picture twice
        record = records.get(item.image)
        try:
            same = record is not None and _is_same(item, record, options)
        except ImageError as error:
            plan.unreadable[item.image] = _reason(error, item)
            if record is not None:
                plan.changed.append(item.image)
            continue
        if record is None:
            plan.added.append(item.image)
        elif not same:
            plan.changed.append(item.image)
        elif record.complete:
            plan.unchanged.append(item.image)
            continue
        else:
            plan.added.append(item.image)
            plan.done[item.image] = record.frames
        plan.todo.append(item)
    plan.removed = sorted(image for image, record in records.items() if image not in items and (owned or _has_gone(record, source)))
    return plan


def _has_gone(record: ImageRecord, source: Source) -> bool:
    """Whether an image missing in the source was indexed from it, or deleted from its folder."""
    below = any(record.image.startswith(os.path.join(root, "")) for root in source.roots)
    return record.root in source.roots or (below and not os.path.lexists(record.image))


def _is_same(item: Item, record: ImageRecord, options: IndexOptions) -> bool:
    """Whether the file is unchanged since it was indexed."""
    if item.is_video and not record.fingerprint.endswith(f"-every{options.every}"):
        return False
    settled = record.modified_ns is not None and record.indexed_ns - record.modified_ns > RACY_NS
    if settled and (item.size, item.modified_ns) == (record.size, record.modified_ns):
        return True
    return _fingerprint(item, options) == record.fingerprint


def _index(model: PersonModel, source: Source, gallery: Gallery, plan: _Plan, options: IndexOptions) -> None:
    items = {item.image: item for item in plan.todo}
    pending: list[FramePeople] = []
    committed, commits = time.monotonic(), 0
    finished, before = 0, len(plan.unreadable)  # those known before are not in `items`
    bar = tqdm(total=len(items), unit="image", desc="indexing", disable=None if options.progress is None else not options.progress)
    with bar, _Decoder(model, plan, options) as decoder:
        for batch in decoder.batches():
            people = model.detect([item.prepared for item in batch], min_score=options.min_score)
            for decoded, detections in zip(batch, people, strict=True):
                item = items[decoded.frame.image]
                height, width = decoded.frame.pixels.shape[:2]
                pending.append(
                    FramePeople(
                        image=item.image,
                        frame=decoded.frame.frame,
                        time=decoded.frame.time,
                        height=height,
                        width=width,
                        fingerprint=decoded.fingerprint,
                        size=item.size,
                        modified_ns=item.modified_ns,
                        root=item.root,
                        last=decoded.last,
                        detections=detections,
                    )
                )
            finished += sum(decoded.last for decoded in batch)
            bar.update(finished + len(plan.unreadable) - before - bar.n)
            if len(pending) >= COMMIT_FRAMES or time.monotonic() - committed > COMMIT_SECONDS:
                gallery.add(pending)
                pending, committed, commits = [], time.monotonic(), commits + 1
        if pending:
            gallery.add(pending)
        bar.update(finished + len(plan.unreadable) - before - bar.n)  # images that turned out unreadable after the last batch
    if commits > 0:  # a single commit is one file already
        gallery.compact()


class _Decoder:
    """Reads and prepares pictures in threads, a bounded number ahead of the network, in source order."""

    def __init__(self, model: PersonModel, plan: _Plan, options: IndexOptions) -> None:
        self.model, self.plan, self.options = model, plan, options
        self.stills = ThreadPoolExecutor(options.workers, "decode")
        self.video = ThreadPoolExecutor(1, "video")  # a video is read in order

    def __enter__(self) -> "_Decoder":
        return self

    def __exit__(self, *_: object) -> None:
        self.stills.shutdown(cancel_futures=True)
        self.video.shutdown(cancel_futures=True)

    def batches(self) -> Iterator[Sequence[_Decoded]]:
        """Up to `batch_size` frames at a time; unreadable items go to `plan.unreadable`."""
        batch: list[_Decoded] = []
        for decoded in self._decoded():
            batch.append(decoded)
            if len(batch) == self.options.batch_size:
                yield batch
                batch = []
        if batch:
            yield batch

    def _decoded(self) -> Iterator[_Decoded]:
        waiting: deque[tuple[Item, Future[_Decoded | None]]] = deque()
        ahead = self.options.batch_size + self.options.workers
        for submitted in self._submissions():
            waiting.append(submitted)
            if len(waiting) > ahead:
                yield from self._result(*waiting.popleft())
        while waiting:
            yield from self._result(*waiting.popleft())

    def _result(self, item: Item, future: "Future[_Decoded | None]") -> Iterator[_Decoded]:
        try:
            decoded = future.result()
        except ImageError as error:
            self.plan.unreadable[item.image] = _reason(error, item)
            return
        if decoded is not None:
            yield decoded

    def _submissions(self) -> Iterator[tuple[Item, "Future[_Decoded | None]"]]:
        for item in self.plan.todo:
            if not item.is_video:
                yield item, self.stills.submit(self._still, item)
                continue
            ended = Event()
            reader = _VideoReader(item, self, ended)
            while not ended.is_set():
                yield item, self.video.submit(reader.next)

    def _still(self, item: Item) -> _Decoded:
        fingerprint = _fingerprint(item, self.options)  # first: if the file changes now, the next run sees it
        (frame,) = item.frames()
        return _Decoded(frame, fingerprint, self.model.prepare(frame.pixels), last=True)


class _VideoReader:
    """One frame of a video per call. Reads one frame ahead, to know which frame is the last."""

    def __init__(self, item: Item, decoder: _Decoder, ended: Event) -> None:
        self.item, self.decoder, self.ended = item, decoder, ended
        self.fingerprint = ""
        self.frames = item.frames(decoder.options.every, decoder.plan.done.get(item.image, frozenset()))
        self.held: Frame | None = None

    def next(self) -> _Decoded | None:
        """The next frame, prepared; None after the end."""
        if self.ended.is_set():
            return None
        try:
            if not self.fingerprint:
                self.fingerprint = _fingerprint(self.item, self.decoder.options)
                self.held = next(self.frames, None)
            frame, self.held = self.held, next(self.frames, None)
        except ImageError:
            self.ended.set()
            raise
        if self.held is None:
            self.ended.set()
        if frame is None:
            return None
        return _Decoded(frame, self.fingerprint, self.decoder.model.prepare(frame.pixels), last=self.held is None)

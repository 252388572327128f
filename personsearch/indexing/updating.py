"""Index a source into a gallery: new and changed images only, decoded in threads while the network runs, in several commits."""

import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

from tqdm import tqdm

from personsearch import sources
from personsearch.checks import shown
from personsearch.errors import SourceError
from personsearch.gallery import FileFacts, FramePeople, Gallery, ImageRecord
from personsearch.indexing.decoding import TOO_LARGE, Decoded, Decoder
from personsearch.indexing.detecting import BatchDetector, DetectedBatch
from personsearch.indexing.options import IndexOptions
from personsearch.indexing.plan import Plan, make_plan
from personsearch.indexing.progress import Tally
from personsearch.indexing.unseen import store_unseen
from personsearch.models.base import PersonModel
from personsearch.results import Detections, IndexReport
from personsearch.sources import Item, Source

logger = logging.getLogger(__name__)

# Every commit is a new version of the table, so not every batch is committed; a killed run loses at most this much work.
COMMIT_SECONDS = 5.0
COMMIT_FRAMES = 512
STREAM_ITEMS = 32  # items of a stream that are looked at together


def open_source(source: Any, storage_options: Mapping[str, str] | None = None) -> Source:
    """The source, or one of no items if its folder or pattern has gone, is empty or cannot be listed; `problems` then says why.

    Raises:
        SourceError: The source is not a path, or its content cannot be a source.
    """
    try:
        return sources.open_source(source, storage_options)
    except SourceError as error:
        if not isinstance(source, str | os.PathLike) or not os.fsdecode(source) or "://" in os.fsdecode(source):
            raise
        root = os.path.abspath(os.fsdecode(source))
        return Source((), (root,), root, {root: str(error)})


def update(model: PersonModel, source: Source, gallery: Gallery, options: IndexOptions, *, owned: bool = False) -> IndexReport:
    """Bring the gallery up to date with the source.

    New and changed pictures are indexed. Pictures deleted from the source's folder are removed from the gallery.
    An unreadable picture is reported, and removed too if its content has changed since. What could not be looked at stays.

    Args:
        model: Model of the gallery.
        source: Source to index.
        gallery: Gallery to update.
        options: How to index.
        owned: Whether the gallery holds nothing but this source, so that whatever the source does not have leaves it.

    Raises:
        SourceError: No item of the source can be read, or it has none and never had.
    """
    if not source.is_stream and not source.items and source.problems and not any(map(_belongs(source), gallery.records().values())):
        raise SourceError(next(iter(source.problems.values())))
    run = Run(model, gallery.add, options)
    report = IndexReport((), (), (), (), {})
    empty = source.is_stream
    for items in _chunks(source):
        empty = False
        plan = make_plan(items, source, gallery.records(), options, owned=owned)
        prepare(gallery, plan)
        run.read(plan)
        if not plan.replaced.isdisjoint(plan.unreadable):
            run.finish()
            drop_unreadable(gallery, plan)
        report = added_report(report, plan)
    if empty:
        raise SourceError("the generator gave no pictures; it has been used up, or its camera is not open")
    run.finish()
    store_unseen(gallery, report, source.roots, owned=owned)
    if run.commits > 1 or report.changed:  # a single commit is one file already
        gallery.tidy()
    return checked(report)


def checked(report: IndexReport) -> IndexReport:
    """The report, after its problems were logged.

    Raises:
        SourceError: Nothing of the source can be read.
    """
    for problems, what in ((report.unreadable, "not indexed"), (report.not_seen, "not seen"), (report.partial, "read in part")):
        for image, reason in problems.items():
            logger.warning("%s: %s: %s", what, shown(image), shown(reason))
    if report.unreadable and not (report.added or report.changed or report.unchanged or report.renamed or report.not_seen):
        image, reason = next(iter(report.unreadable.items()))
        count = len(report.unreadable)
        raise SourceError(f"nothing could be read of the {count} pictures and videos of the source; the first is {image}: {reason}")
    return report


def _belongs(source: Source) -> Callable[[ImageRecord], bool]:
    """Whether an image of the gallery came from this source."""
    folders = tuple(os.path.join(root, "") for root in source.roots)
    return lambda record: record.root in source.roots or record.image.startswith(folders)


def _chunks(source: Source) -> Iterator[Iterable[Item]]:
    """All items of the source at once, of a stream the next few."""
    if not source.is_stream:
        yield source.items
        return
    items = iter(source.items)
    while chunk := list(islice(items, STREAM_ITEMS)):
        yield chunk


def added_report(report: IndexReport, plan: Plan) -> IndexReport:
    """The report with what one plan did."""
    return IndexReport(
        added=report.added + tuple(image for image in plan.added if image not in plan.unreadable),
        changed=report.changed + tuple(image for image in plan.changed if image not in plan.unreadable),
        removed=report.removed + tuple(plan.removed),
        unchanged=report.unchanged + tuple(plan.unchanged),
        unreadable={**report.unreadable, **plan.unreadable},
        not_seen={**report.not_seen, **plan.not_seen},
        partial={**report.partial, **plan.partial},
        renamed={**report.renamed, **{old: item.image for old, item in plan.renamed.items()}},
    )


def prepare(gallery: Gallery, plan: Plan) -> None:
    """Do what a plan says of files that are not read: give new names, and remove people. Changed stills keep theirs until they are read."""
    if plan.renamed or plan.touched:
        gallery.rename({old: _facts(item) for old, item in (plan.renamed | plan.touched).items()})
    removed = [*(image for image in plan.changed if image not in plan.replaced), *plan.removed]
    if removed:
        gallery.remove(*removed, missing_ok=True)  # another process may update the same gallery


def drop_unreadable(gallery: Gallery, plan: Plan) -> None:
    """Remove the people of changed stills that could not be read after all."""
    gallery.remove(*(image for image in plan.unreadable if image in plan.replaced), missing_ok=True)


class Run:
    """One run of indexing: detects people of plans, and hands them to a gallery, or another sink, now and then.

    Args:
        model: Model to detect with.
        add: Takes several frames with their people at a time.
        options: How to index.
    """

    def __init__(self, model: PersonModel, add: Callable[[list[FramePeople]], None], options: IndexOptions) -> None:
        self.model, self.add, self.options = model, add, options
        self.pending: list[FramePeople] = []
        self.committed, self.commits = time.monotonic(), 0
        self.tally, self.unreadable = Tally(), 0

    def read(self, plan: Plan) -> None:
        """Read the pictures and videos of a plan that must be read, and detect their people."""
        before = len(plan.unreadable)  # those known before are not read again
        first = self.tally.progress().done  # frames of earlier plans
        self.tally.total += len(plan.todo)
        progress = False if callable(self.options.progress) else self.options.progress
        quiet = not logger.isEnabledFor(logging.WARNING)
        bar = tqdm(total=len(plan.todo), unit="frame", desc="indexing", disable=quiet or (None if progress is None else not progress))
        detector = BatchDetector(self.model, self.options.min_score)
        with bar, Decoder(self.model, plan, self.options) as decoder, detector:
            for detected in detector.detect(decoder.batches()):
                self._take(detected, plan)
                decoder.release(detected.batch)
                self._report(bar, first, len(plan.unreadable) - before)
                if len(self.pending) >= COMMIT_FRAMES or time.monotonic() - self.committed > COMMIT_SECONDS:
                    self._commit()
            self._report(bar, first, len(plan.unreadable) - before)  # with images that turned out unreadable after the last batch
        self.unreadable += len(plan.unreadable) - before

    def _report(self, bar: tqdm, first: int, unreadable: int) -> None:
        """Say how far the run is; the bar counts the frames of this plan, and so knows the time left within a video too."""
        self.tally.unreadable = self.unreadable + unreadable
        progress = self.tally.progress()
        bar.total = progress.total - first
        bar.update(progress.done - first - bar.n)
        if callable(self.options.progress):
            self.options.progress(progress)

    def finish(self) -> None:
        """Commit the rest."""
        if self.pending:
            self._commit()

    def _commit(self) -> None:
        self.add(self.pending)
        self.pending, self.committed, self.commits = [], time.monotonic(), self.commits + 1

    def _take(self, detected: DetectedBatch, plan: Plan) -> None:
        for decoded, people in zip(detected.batch, detected.people, strict=True):
            if people is None:
                plan.unreadable[decoded.item.image] = TOO_LARGE
                continue
            self.pending.append(_frame_people(decoded, people))
            self.tally.add(decoded, len(people))


def _facts(item: Item) -> FileFacts:
    return FileFacts(item.image, item.size, item.modified_ns, item.changed_ns, item.root)


def _frame_people(decoded: Decoded, detections: Detections) -> FramePeople:
    item = decoded.item
    return FramePeople(
        image=item.image,
        frame=decoded.frame,
        time=decoded.time,
        height=decoded.height,
        width=decoded.width,
        fingerprint=decoded.fingerprint,
        size=item.size,
        modified_ns=item.modified_ns,
        root=item.root,
        last=decoded.last,
        detections=detections,
        changed_ns=item.changed_ns,
    )

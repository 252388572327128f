"""What to do with each item of a source: read it, keep it, rename it, remove it, or report it."""

import logging
import os
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from itertools import compress

import numpy as np

from personsearch.boxes import Array
from personsearch.checks import shown
from personsearch.errors import ImageError
from personsearch.gallery import NEVER, ImageRecord, ImageRecords
from personsearch.indexing.options import IndexOptions
from personsearch.sources import UNKNOWN, Item, Listing, Source

logger = logging.getLogger(__name__)

# A file changed this soon before indexing may change again within the resolution of its time stamp: hash it again (git's "racy" rule).
RACY_NS = 2_000_000_000


@dataclass
class Plan:
    """What to do with each item of a source."""

    todo: list[Item] = field(default_factory=list)
    done: dict[str, frozenset[int]] = field(default_factory=dict)  # video partly indexed by an interrupted run -> its frames
    added: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    unreadable: dict[str, str] = field(default_factory=dict)
    not_seen: dict[str, str] = field(default_factory=dict)
    partial: dict[str, str] = field(default_factory=dict)
    renamed: dict[str, Item] = field(default_factory=dict)  # old name -> item with the same content
    touched: dict[str, Item] = field(default_factory=dict)  # image -> item with the same content and other dates
    replaced: set[str] = field(default_factory=set)  # changed stills, whose people count until the new ones are written


def make_plan(items: Iterable[Item], source: Source, records: ImageRecords, options: IndexOptions, *, owned: bool) -> Plan:
    """The plan for some items of a source.

    Args:
        items: Items to look at; all of the source's, or the next ones of a stream.
        source: Source of the items.
        records: What the gallery has, by image.
        options: How to index.
        owned: Whether the gallery holds nothing but this source.
    """
    plan = Plan()
    listing = Listing.of_items(items)
    positions = records.positions(listing.names)
    others = np.ones(len(records), bool)
    others[positions[positions >= 0]] = False
    gone = {} if source.is_stream else _gone(source, records, others, owned=owned)
    is_unchanged = _are_unchanged(listing.facts, positions, records, options)
    todo = np.flatnonzero(~is_unchanged)
    stored = dict(zip(todo[positions[todo] >= 0].tolist(), records.at(positions[todo][positions[todo] >= 0].tolist()), strict=True))
    new = [] if options.force else [listing[number] for number in todo[positions[todo] < 0].tolist()]
    moved = _Moved(new, records, others, options)
    for number in todo.tolist():
        is_unchanged[number] = _place(listing[number], stored.get(number), plan, moved, options)
    plan.unchanged = list(compress(listing.names, is_unchanged.tolist()))
    for image, reason in gone.items():
        if image in plan.renamed:
            continue
        if reason is None or (reason.is_gone and options.prune):
            plan.removed.append(image)
        else:
            plan.not_seen[reason.folder] = reason.text
    if not source.is_stream:
        plan.not_seen |= {folder: reason for folder, reason in source.problems.items() if folder not in plan.not_seen}
    plan.removed.sort()
    for image in plan.removed:
        logger.info("removed: %s: not in the source any more", shown(image))
    return plan


def fingerprint(item: Item, options: IndexOptions) -> str:
    """Digest of an item's content, for a video also of the step between frames."""
    return f"{item.fingerprint()}-every{options.every}" if item.is_video else item.fingerprint()


def reason_of(error: ImageError, item: Item) -> str:
    """The error's message without the image's name, which the report has already."""
    return str(error).removeprefix(f"{item.image}: ")


def is_out_of_reach(error: ImageError) -> bool:
    """Whether the system did not give the content, which says nothing about the content."""
    cause = error.__cause__
    return isinstance(cause, OSError) and cause.errno is not None


def _are_unchanged(facts: Array, positions: Array, records: ImageRecords, options: IndexOptions) -> Array:
    """(N,) bool: which items were indexed whole and have the size and times of then, so that nothing else needs to be looked at.

    As `_change`, for all items at once.
    """
    known = np.flatnonzero(positions >= 0)
    result = np.zeros(len(facts), bool)
    if options.force or not len(known):
        return result
    at = positions[known]
    sizes, modified, changed = facts[known].T
    then_modified, then_changed, indexed = records.column("modified_ns")[at], records.column("changed_ns")[at], records.indexed_ns[at]
    is_settled = (then_modified != NEVER) & (indexed - np.maximum(then_modified, np.maximum(then_changed, 0)) > RACY_NS)
    same_change = (changed == UNKNOWN) | np.where(then_changed == NEVER, changed < indexed - RACY_NS, changed == then_changed)
    same_file = (sizes == records.column("size")[at]) & (modified == then_modified) & same_change
    result[known] = is_settled & same_file & records.complete[at] & records.has_step(options.every)[at]
    return result


def _place(item: Item, record: ImageRecord | None, plan: Plan, moved: "_Moved", options: IndexOptions) -> bool:
    """Take one item into the plan; True if it is unchanged after all."""
    try:
        change = "" if record is None else _change(item, record, plan, options)
        old = moved.name_of(item) if record is None else None
    except ImageError as error:
        if record is None:
            plan.unreadable[item.image] = reason_of(error, item)
        elif is_out_of_reach(error) and not options.prune:
            plan.not_seen[item.image] = reason_of(error, item)
        else:
            plan.unreadable[item.image] = reason_of(error, item)
            plan.changed.append(item.image)
        return False
    if old is not None:
        logger.info("renamed: %s is %s now", shown(old), shown(item.image))
        plan.renamed[old] = item
        return False
    if record is None:
        plan.added.append(item.image)
    elif change:
        logger.info("embedded again: %s: %s", shown(item.image), change)
        plan.changed.append(item.image)
        if record.frames == {0} and "-every" not in record.fingerprint and not item.is_video:
            plan.replaced.add(item.image)
    elif record.complete:
        return True
    else:
        logger.info("goes on: %s: an interrupted run indexed %d of its frames", shown(item.image), len(record.frames))
        plan.added.append(item.image)
        plan.done[item.image] = record.frames
    plan.todo.append(item)
    return False


def _change(item: Item, record: ImageRecord, plan: Plan, options: IndexOptions) -> str:
    """What has changed since the item was indexed; an empty string for an item that is the same."""
    other_step = "-every" in record.fingerprint and not record.fingerprint.endswith(f"-every{options.every}")
    if options.force or other_step:
        item.fingerprint()  # what cannot be read now keeps its people
        return "force=True" if options.force else f"every={options.every} now"
    settled = record.modified_ns is not None and record.indexed_ns - max(record.modified_ns, record.changed_ns or 0) > RACY_NS
    if settled and (item.size, item.modified_ns) == (record.size, record.modified_ns) and _has_same_change(item, record):
        return ""
    if fingerprint(item, options) != record.fingerprint:
        return "its content has changed"
    if settled and record.complete:
        plan.touched[item.image] = item
    return ""


def _has_same_change(item: Item, record: ImageRecord) -> bool:
    """Whether the file's own time of change is the indexed one; a program that sets the date back does not set that time."""
    if item.changed_ns is None:
        return True
    if record.changed_ns is None:  # indexed before galleries had this time
        return item.changed_ns < record.indexed_ns - RACY_NS
    return item.changed_ns == record.changed_ns


class _Moved:
    """Images of the gallery whose files have gone, by their content.

    Only new files of a size that such an image has are hashed; whether an object of a store has gone, only its own listing says.

    Args:
        new: Items that the gallery does not have.
        records: What the gallery has.
        others: (G,) bool: the images of the gallery that the source does not have.
        options: How to index.
    """

    def __init__(self, new: list[Item], records: ImageRecords, others: Array, options: IndexOptions) -> None:
        self._prints: dict[str, str | ImageError] = {}
        self._names: dict[str, list[str]] = defaultdict(list)
        sizes = records.column("size")
        candidates = others & records.complete & np.isin(sizes, [item.size for item in new if item.size is not None])
        same_size = set(np.unique(sizes[candidates]).tolist())
        for item in new:
            if item.size in same_size:
                try:
                    self._prints[item.image] = fingerprint(item, options)
                except ImageError as error:
                    self._prints[item.image] = error
        candidates &= records.has_content([digest for digest in self._prints.values() if isinstance(digest, str)])
        for record in reversed(records.at(np.flatnonzero(candidates).tolist())):
            if "://" not in record.image and not os.path.lexists(record.image):
                self._names[record.fingerprint].append(record.image)

    def name_of(self, item: Item) -> str | None:
        """The old name of a new file with known content; each old name is given once.

        Raises:
            ImageError: The file cannot be read.
        """
        digest = self._prints.get(item.image)
        if isinstance(digest, ImageError):
            raise digest
        names = self._names.get(digest or "")
        return names.pop() if names else None


@dataclass(frozen=True)
class _Unseen:
    """Why an image could not be looked for."""

    folder: str
    text: str
    is_gone: bool  # the folder has gone or is empty, which `prune` takes as a deletion


def _gone(source: Source, records: ImageRecords, others: Array, *, owned: bool) -> dict[str, _Unseen | None]:
    """Images of the gallery that this source had and does not have now; None: deleted, else why it may still exist."""
    roots = {root: base_of(root) for root in source.roots}
    folder_reason = cache(lambda folder: _unseen(folder, source.problems, tuple(roots.values())))
    missing: dict[str, _Unseen | None] = {}
    candidates = others
    if not owned:
        candidates = others & np.logical_or.reduce([records.is_from(roots), *map(records.below, {*roots.values(), *source.problems})])
    for image, root in records.sources(np.flatnonzero(candidates)):
        if not owned and root not in roots and os.path.lexists(image):
            continue
        if root in roots and image in roots and not os.path.lexists(image):
            missing[image] = _Unseen(image, "does not exist any more; index with prune=True to remove its people", is_gone=True)
        elif os.path.isabs(image):
            missing[image] = folder_reason(os.path.dirname(image))
        else:
            missing[image] = None
    return missing


def base_of(root: str) -> str:
    """A folder or file itself; of a pattern the part before its first wildcard."""
    if os.path.lexists(root):
        return root
    parts = root.split(os.sep)
    wild = next((number for number, part in enumerate(parts) if any(sign in part for sign in "*?[")), len(parts))
    return os.sep.join(parts[:wild]) or os.sep


def _unseen(folder: str, problems: dict[str, str], bases: tuple[str, ...]) -> _Unseen | None:
    """Why the images of a folder may exist although none of them is listed; None: they were deleted."""
    advice = "index with prune=True to remove their people"
    above = folder
    while True:
        if above in problems and _has_entries(above) is not False:
            return _Unseen(above, problems[above], is_gone=not os.path.lexists(above))
        if os.path.isdir(above):
            entries = _has_entries(above)
            if entries is None:
                return _Unseen(above, "cannot be listed", is_gone=False)
            lost = [base for base in bases if os.path.join(folder, "").startswith(os.path.join(base, "")) and not os.path.lexists(base)]
            if lost:
                return _Unseen(lost[0], f"does not exist any more, as if a disk were missing; {advice}", is_gone=True)
            if not entries:
                return _Unseen(above, f"is empty now, as if a disk were missing; {advice}", is_gone=True)
            return None
        parent = os.path.dirname(above)
        if parent == above:
            return None
        above = parent


def _has_entries(folder: str) -> bool | None:
    """Whether a folder contains anything; None if it cannot be listed."""
    try:
        with os.scandir(folder) as entries:
            return next(entries, None) is not None
    except OSError:
        return None

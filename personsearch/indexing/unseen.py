"""Store what a run could not look at with its gallery."""

import logging
import os
from collections.abc import Collection

from personsearch.errors import GalleryPermissionError
from personsearch.gallery import PARTIAL, AllUnseen, Gallery, Unseen, change_unseen
from personsearch.indexing.plan import base_of
from personsearch.results import IndexReport

logger = logging.getLogger(__name__)

KINDS = ("unreadable", "not_seen", PARTIAL)  # fields of a report


def store_unseen(gallery: Gallery, report: IndexReport, roots: Collection[str], *, owned: bool) -> None:
    """Store what a run could not look at, in the place of what earlier runs on the same source could not.

    Args:
        gallery: Gallery of the run.
        report: What the run did.
        roots: Folders and patterns of its source.
        owned: Whether the gallery holds nothing but this source.
    """
    bases = {root: os.path.join(base_of(root), "") for root in roots}

    def root_of(name: str) -> str | None:
        return next((root for root, base in bases.items() if name == root or os.path.join(name, "").startswith(base)), None)

    def update(stored: AllUnseen) -> AllUnseen:
        unchanged = {*report.unchanged, *report.renamed.values()} if stored else set()
        looked = unchanged.union(report.added, report.changed, report.removed) if stored else set()
        after = {}
        for name, one in stored.items():
            if one.kind == PARTIAL and name in unchanged:
                after[name] = one  # the same content, of which the same part is missing
            elif not (owned or one.root in bases or name in looked):
                after[name] = one
        for kind in KINDS:
            after |= {name: Unseen(kind, reason, root_of(name)) for name, reason in getattr(report, kind).items()}
        return after

    try:
        change_unseen(gallery, update)
    except GalleryPermissionError as error:
        logger.warning("what was not looked at is not stored with the gallery: %s", error)

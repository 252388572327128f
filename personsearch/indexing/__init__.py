"""Indexing: bring a gallery up to date with a source."""

from personsearch.indexing.choices import Choices, choose, model_key
from personsearch.indexing.options import IndexOptions
from personsearch.indexing.places import find_place
from personsearch.indexing.plan import Plan, make_plan, reason_of
from personsearch.indexing.progress import OnProgress, Progress
from personsearch.indexing.run import index_source
from personsearch.indexing.unseen import store_unseen
from personsearch.indexing.updating import Run, added_report, checked, drop_unreadable, open_source, prepare, update

__all__ = [
    "Choices",
    "IndexOptions",
    "OnProgress",
    "Plan",
    "Progress",
    "Run",
    "added_report",
    "checked",
    "choose",
    "drop_unreadable",
    "find_place",
    "index_source",
    "make_plan",
    "model_key",
    "open_source",
    "prepare",
    "reason_of",
    "store_unseen",
    "update",
]

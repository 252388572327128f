"""Indexing: bring a gallery up to date with a source."""

from personsearch.indexing.choices import Choices, choose, model_key
from personsearch.indexing.options import IndexOptions
from personsearch.indexing.progress import OnProgress, Progress
from personsearch.indexing.run import index_source
from personsearch.indexing.updating import open_source, update

__all__ = ["Choices", "IndexOptions", "OnProgress", "Progress", "choose", "index_source", "model_key", "open_source", "update"]

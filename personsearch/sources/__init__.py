"""Sources: what can be indexed, as items that are read one by one."""

from personsearch.sources.frame import Frame, Frames
from personsearch.sources.items import Item, Source
from personsearch.sources.kinds import PICTURE_EXTENSIONS
from personsearch.sources.listing import UNKNOWN, Listing
from personsearch.sources.memory import is_memory_name, is_picture, memory_digest
from personsearch.sources.opening import open_source, read_frame
from personsearch.sources.queries import read_at, read_query
from personsearch.sources.query import Query, Shots

__all__ = [
    "PICTURE_EXTENSIONS",
    "UNKNOWN",
    "Frame",
    "Frames",
    "Item",
    "Listing",
    "Query",
    "Shots",
    "Source",
    "is_memory_name",
    "is_picture",
    "memory_digest",
    "open_source",
    "read_at",
    "read_frame",
    "read_query",
]

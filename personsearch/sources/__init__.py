"""Sources: what can be indexed, as items that are read one by one."""

from personsearch.sources.sources import Frame, Item, Source, open_source, read_frame

__all__ = ["Frame", "Item", "Source", "open_source", "read_frame"]

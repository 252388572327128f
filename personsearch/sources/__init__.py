"""Sources: what can be indexed, as items that are read one by one."""

from personsearch.sources.files import PICTURE_EXTENSIONS
from personsearch.sources.frame import Frame
from personsearch.sources.items import Item, Source
from personsearch.sources.opening import open_source, read_frame

__all__ = ["PICTURE_EXTENSIONS", "Frame", "Item", "Source", "open_source", "read_frame"]

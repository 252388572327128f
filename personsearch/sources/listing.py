"""The items of a source with their facts as columns, so that a run of indexing looks only at those that may have changed."""

import os
from collections.abc import Iterable, Iterator, Sequence
from operator import attrgetter
from typing import overload

import numpy as np

from personsearch.boxes import Array
from personsearch.sources.items import Item

UNKNOWN = -1  # a size or time that is not known
_FACTS = attrgetter("st_size", "st_mtime_ns", "st_ctime_ns")


class Listing(Sequence[Item]):
    """Items of different names; those of files are made when they are looked at.

    Args:
        names: Names of the items.
        facts: (N, 3) int64 size, modification and change time of each, `UNKNOWN` where there is none.
        root: Folder or pattern of files.
        items: The items, if they are not files.
    """

    def __init__(self, names: list[str], facts: Array, root: str | None = None, items: Sequence[Item] | None = None) -> None:
        self.names, self.facts = names, facts
        self._root, self._items = root, items

    @classmethod
    def of_files(cls, paths: list[str], root: str) -> "Listing":
        """Files at different paths; a missing file is reported when it is read."""
        return cls(paths, np.array([_facts(path) for path in paths], np.int64).reshape(-1, 3), root)

    @classmethod
    def of_items(cls, items: Iterable[Item]) -> "Listing":
        """Any items; of two with one name the last."""
        if isinstance(items, Listing):
            return items
        by_name = {item.image: item for item in items}
        facts = [[_number(fact) for fact in (item.size, item.modified_ns, item.changed_ns)] for item in by_name.values()]
        return cls(list(by_name), np.array(facts, np.int64).reshape(-1, 3), items=list(by_name.values()))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Listing) and list(self) == list(other)

    def __len__(self) -> int:
        return len(self.names)

    def __iter__(self) -> Iterator[Item]:
        return map(self.__getitem__, range(len(self)))

    @overload
    def __getitem__(self, index: int) -> Item: ...
    @overload
    def __getitem__(self, index: slice) -> list[Item]: ...
    def __getitem__(self, index: int | slice) -> Item | list[Item]:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        if self._items is not None:
            return self._items[index]
        size, modified, changed = (None if fact == UNKNOWN else fact for fact in self.facts[index].tolist())
        return Item(self.names[index], size, modified, changed, self._root)


def _facts(path: str) -> tuple[int, int, int]:
    try:
        facts: tuple[int, int, int] = _FACTS(os.stat(path))
    except (OSError, ValueError):
        return UNKNOWN, UNKNOWN, UNKNOWN
    return facts


def _number(fact: int | None) -> int:
    return UNKNOWN if fact is None else fact

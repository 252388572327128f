"""What runs of indexing could not look at, stored with the gallery, so that a later search does not take it for "not here"."""

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from personsearch.gallery.location import make_files_private, retried
from personsearch.gallery.table import FileFacts

if TYPE_CHECKING:
    import pyarrow as pa

    from personsearch.gallery.gallery import Gallery

KEY = "personsearch.not_looked"  # of the schema's metadata
PARTIAL = "partial"  # kind of what was read in part: it has people in the gallery
MOST = 500  # names; every version of the table holds them


class Unseen(NamedTuple):
    """Why a picture, video or folder was not looked at, or only in part."""

    kind: str  # "unreadable", "not_seen" or PARTIAL
    reason: str
    root: str | None  # folder or pattern of the source that has it; None: a file of a list


AllUnseen: TypeAlias = Mapping[str, Unseen]  # by name


def read(table_schema: "pa.Schema") -> dict[str, Unseen]:
    """What is stored in a table; nothing if the text is damaged."""
    text = (table_schema.metadata or {}).get(KEY.encode(), b"{}")
    try:
        return {name: Unseen(str(kind), str(reason), root) for name, (kind, reason, root) in json.loads(text).items()}
    except (ValueError, TypeError, AttributeError):
        return {}


def change(gallery: "Gallery", update: Callable[[AllUnseen], AllUnseen]) -> None:
    """Replace what is stored.

    Args:
        gallery: Gallery to change.
        update: Gives what to store, for what is stored.

    Raises:
        GalleryPermissionError: There is something to change, and the gallery may not be written.
    """
    if update(stored := gallery._read(lambda snapshot: read(snapshot.table.schema))) != stored:
        with gallery._guarded(exclusive=True):
            retried(lambda attempt: _change(gallery, update), gallery.location)


def forget_removed(gallery: "Gallery") -> None:
    """Drop the names of partly read pictures and videos that are not in the gallery any more; its lock must be held."""
    if not any(one.kind == PARTIAL for one in read(gallery._refresh().table.schema).values()):
        return
    records = gallery._refresh().records
    _change(gallery, lambda stored: {name: one for name, one in stored.items() if one.kind != PARTIAL or name in records})


def rename(gallery: "Gallery", facts: Mapping[str, FileFacts]) -> None:
    """Give partly read pictures and videos their new names; the gallery's lock must be held."""

    def update(stored: AllUnseen) -> AllUnseen:
        return {facts[name].image if one.kind == PARTIAL and name in facts else name: one for name, one in stored.items()}

    _change(gallery, update)


def _change(gallery: "Gallery", update: Callable[[AllUnseen], AllUnseen]) -> None:
    table = gallery._refresh().table
    stored = read(table.schema)
    after = _shortened(update(stored))
    if after != stored:
        table.update_schema_metadata({KEY: json.dumps(after)})
        make_files_private(gallery.location)


def _shortened(unseen: AllUnseen) -> AllUnseen:
    """The first `MOST`, and one that counts the others."""
    if len(unseen) <= MOST:
        return unseen
    names = list(unseen)
    others = Unseen("unreadable", "index again to see which", unseen[names[MOST]].root)
    return {name: unseen[name] for name in names[: MOST - 1]} | {f"{len(names) - MOST + 1} others": others}

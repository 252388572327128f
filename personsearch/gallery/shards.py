"""A part of a gallery: the people of some of its files, for a gallery that several processes hold together."""

from collections.abc import Sequence

from personsearch.gallery.gallery import Gallery
from personsearch.gallery.records import Replaced
from personsearch.gallery.snapshot import Snapshot
from personsearch.gallery.table import People


def file_count(gallery: Gallery) -> int:
    """Number of files with rows."""
    return gallery._read(lambda snapshot: len(snapshot.table.get_fragments()))


def people_of_files(gallery: Gallery, version: int, number: int, count: int, replaced: Sequence[Replaced]) -> People:
    """The people of every `count`-th file of a gallery, from file `number` on.

    Args:
        gallery: Gallery to read.
        version: Version to read, the same for all parts.
        number: Number of the first file, from 0.
        count: Step between the files.
        replaced: Frames that were written again, wherever the newest write is; `Gallery.records` has them.
    """

    def read(snapshot: Snapshot) -> People:
        whole = snapshot if snapshot.version == version else Snapshot(snapshot.table.checkout_version(version), snapshot.created_ns)
        files = whole.table.get_fragments()[number::count]
        columns = whole.person_columns
        if files:
            rows = whole.table.scanner(columns=columns, filter="row >= 0", fragments=files).to_table()
        else:
            rows = whole.table.head(0, columns=columns)
        return whole.people_in(whole.without_replaced(rows, replaced))

    return gallery._read(read)

"""The vector index of a gallery's table, for galleries too large to hold in memory: who is near, approximately, and where they stand.

The index is Lance's IVF_PQ: rows stand in partitions around centres, and of each there is a short code. It only proposes people; who of
them is more similar is decided by exact cosines of their stored embeddings, as in memory. So what it can do wrong is to miss somebody.
"""

from math import ceil
from typing import Any

import numpy as np

from personsearch.boxes import Array
from personsearch.gallery.table import Snapshot

COLUMN = "embedding"
ROWS_A_PARTITION = 4096
NUMBERS_A_CODE = 4  # of an embedding, for each byte of a code
LEAST_ROWS = 4096  # fewer cannot train the codes, and are searched faster without
PROBED, LEAST_PROBED = 0.6, 16  # share of the partitions that are looked into, and how many at least
UNINDEXED = 0.1  # share of the rows that may be newer than the index; they are compared one by one
SPARE = 2  # times as many candidates are asked for, since replaced frames still have rows


def is_current(table: Any) -> bool:
    """Whether the table has an index, and it covers most rows."""
    parts = [part for index in table.describe_indices() if index.field_names == [COLUMN] for part in index.segments]
    covered = {fragment for part in parts for fragment in part.fragment_ids}
    rows = {fragment.fragment_id: fragment.count_rows() for fragment in table.get_fragments()}
    missing = sum(count for number, count in rows.items() if number not in covered)
    return bool(covered) and missing <= UNINDEXED * sum(rows.values())


def build(table: Any) -> None:
    """Make the index, or make it anew, as a new version of the table; about two minutes for a million people of 256 numbers."""
    dim = table.schema.field(COLUMN).type.list_size
    codes = max((count for count in range(1, dim // NUMBERS_A_CODE + 1) if dim % count == 0), default=1)
    table.create_index(COLUMN, "IVF_PQ", metric="L2", num_partitions=_partitions(table.count_rows()), num_sub_vectors=codes, replace=True)


def nearest(snapshot: Snapshot, query: Array, count: int) -> Array:
    """Places in the gallery, ascending, of about `count` people most similar to a unit row (D,)."""
    table = snapshot.table
    partitions = _partitions(table.count_rows())
    found = table.to_table(
        columns=["_distance"],  # of unit rows the order of distances is that of cosines
        nearest={
            "column": COLUMN,
            "q": query.astype(table.schema.field(COLUMN).type.value_type.to_pandas_dtype()),
            "k": SPARE * count,
            "nprobes": min(partitions, max(LEAST_PROBED, ceil(PROBED * partitions))),
        },
        with_row_id=True,
    )
    places = snapshot.places_of(found.sort_by("_distance")["_rowid"].to_numpy())
    return np.sort(places[places >= 0][:count])


def _partitions(rows: int) -> int:
    return max(1, rows // ROWS_A_PARTITION)

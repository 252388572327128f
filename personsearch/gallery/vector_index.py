"""The vector index of a gallery's table: candidates for a query in galleries too large for memory.

The index is Lance's IVF_PQ: rows are partitioned around centres, and each row has a short code. It only proposes candidates; their
order is decided by exact cosines of the stored embeddings, as in memory. Its only possible error is to miss a person.
"""

from math import ceil
from typing import Any

import numpy as np

from personsearch.boxes import Array
from personsearch.errors import ShapeError
from personsearch.gallery.snapshot import Snapshot

COLUMN = "embedding"
ROWS_PER_PARTITION = 4096
NUMBERS_PER_CODE = 4  # numbers of an embedding for each byte of its code
LEAST_ROWS = 4096  # fewer rows cannot train the codes, and are searched faster without an index
PROBED, LEAST_PROBED = 0.6, 16  # share of the partitions that a search reads, and their least number
UNINDEXED = 0.1  # share of the rows that may be newer than the index; these are compared one by one
SPARE = 2  # factor on the number of candidates, because replaced frames still have rows


def is_current(table: Any) -> bool:
    """Whether the table has an index that covers most rows."""
    parts = [part for index in table.describe_indices() if index.field_names == [COLUMN] for part in index.segments]
    covered = {fragment for part in parts for fragment in part.fragment_ids}
    rows = {fragment.fragment_id: fragment.count_rows() for fragment in table.get_fragments()}
    missing = sum(count for number, count in rows.items() if number not in covered)
    return bool(covered) and missing <= UNINDEXED * sum(rows.values())


def drop_if_stale(table: Any) -> None:
    """Drop the index if it has codes of removed files of the table.

    Merging files takes the codes of removed people out of the index, but not if all people of a file were removed.
    The next search makes the index again.
    """
    fragments = {fragment.fragment_id for fragment in table.get_fragments()}
    for index in table.describe_indices():
        if any(set(part.fragment_ids) - fragments for part in index.segments):
            table.drop_index(index.name)


def build(table: Any) -> None:
    """Build or rebuild the index as a new version of the table; about two minutes for a million people with 256 numbers each."""
    dim = table.schema.field(COLUMN).type.list_size
    codes = max((count for count in range(1, dim // NUMBERS_PER_CODE + 1) if dim % count == 0), default=1)
    table.create_index(COLUMN, "IVF_PQ", metric="L2", num_partitions=_partitions(table.count_rows()), num_sub_vectors=codes, replace=True)


def as_rows(queries: Any, dim: int) -> Array:
    """Queries as (Q, D) float32."""
    try:
        rows = np.asarray(queries, np.float32)
    except (TypeError, ValueError, OverflowError) as error:
        raise ShapeError(f"queries must be (Q, {dim}) numbers, got {queries!r:.80}") from error
    if rows.ndim != 2 or rows.shape[1] != dim or not np.isfinite(rows).all():
        raise ShapeError(f"queries must be (Q, {dim}) finite numbers, got an array of shape {rows.shape}")
    return rows


def nearest(snapshot: Snapshot, query: Array, count: int, condition: str | None = None) -> Array:
    """Gallery rows, ascending, of about `count` people most similar to a unit row (D,), of those that meet a condition in Lance's SQL."""
    table = snapshot.table
    partitions = _partitions(table.count_rows())
    candidates = table.to_table(
        columns=["_distance"],  # for unit rows, distances order as cosines do
        filter=condition,
        prefilter=condition is not None,
        nearest={
            "column": COLUMN,
            "q": query.astype(table.schema.field(COLUMN).type.value_type.to_pandas_dtype()),
            "k": SPARE * count,
            "nprobes": min(partitions, max(LEAST_PROBED, ceil(PROBED * partitions))),
        },
        with_row_id=True,
    )
    gallery_rows = snapshot.gallery_rows(candidates.sort_by("_distance")["_rowid"].to_numpy())
    return np.sort(gallery_rows[gallery_rows >= 0][:count])


def _partitions(rows: int) -> int:
    return max(1, rows // ROWS_PER_PARTITION)

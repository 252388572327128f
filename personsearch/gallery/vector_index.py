"""The vector index of a gallery's table: candidates for a query in galleries too large for memory.

The index is Lance's IVF_PQ: rows are partitioned around centres, and each row has a short code. It only proposes candidates; their
order is decided by exact cosines of the stored embeddings, as in memory. Its only possible error is to miss a person.

How many partitions a search reads is chosen on a sample of the gallery itself: the fewest that find `RECALL` of the ten people most
similar to each person of the sample. A table of N rows has about sqrt(N) / 4 partitions, so that the work of a search and the
centres in memory grow with sqrt(N) as long as the share of the partitions that it must read does not grow.
"""

import json
from math import isqrt
from typing import TYPE_CHECKING, Any

import numpy as np

from personsearch.boxes import Array
from personsearch.errors import ShapeError
from personsearch.gallery.snapshot import Snapshot, newest_rows, uncovered

if TYPE_CHECKING:
    import pyarrow as pa

COLUMN = "embedding"
ROWS_PER_PARTITION = 4096  # least rows of a partition
NUMBERS_PER_CODE = 4  # numbers of an embedding for each byte of its code
LEAST_ROWS = 4096  # fewer rows cannot train the codes, and are searched faster without an index
UNINDEXED = 0.1  # share of the rows that may be newer than the index; a search compares these one by one
OUTGROWN = 4  # growth after which the centres are trained anew
SPARE = 2  # factor on the number of candidates, because replaced frames still have rows
RECALL, SAMPLE, NEIGHBOURS, CANDIDATES = 0.985, 128, 10, 400  # the sample's recall@10 that the partitions read must reach
CHOICES = "personsearch.index"  # key of the table's config: rows at the training, rows and partitions read at the last choice


def exists(table: Any) -> bool:
    """Whether the table has an index."""
    return any(index.field_names == [COLUMN] for index in table.describe_indices())


def is_current(table: Any) -> bool:
    """Whether the table has an index that covers most rows."""
    return exists(table) and sum(fragment.count_rows() for fragment in uncovered(table)) <= UNINDEXED * table.count_rows()


def drop_if_stale(table: Any) -> None:
    """Drop the index if it has codes of removed files of the table.

    Merging files takes the codes of removed people out of the index, but not if all people of a file were removed.
    The next run of indexing, or the next search, makes the index again.
    """
    fragments = {fragment.fragment_id for fragment in table.get_fragments()}
    for index in table.describe_indices():
        if any(set(part.fragment_ids) - fragments for part in index.segments):
            table.drop_index(index.name)


def update(table: Any) -> None:
    """Build the index if there is none or the table has outgrown it, else add the rows that it does not cover.

    Args:
        table: Table at its newest version, without replaced frames.
    """
    if not exists(table) or table.count_rows() > OUTGROWN * _choices(table)["trained"]:
        table.create_index(COLUMN, "IVF_PQ", replace=True, metric="L2", **settings(table))
        settle(table)
        return
    if uncovered(table):
        table.optimize.optimize_indices()
    choices = _choices(table)
    if table.count_rows() > (1 + UNINDEXED) * choices["chosen"]:
        _choose(table, choices)


def settings(table: Any) -> dict[str, int]:
    """Numbers of partitions and codes of a new index."""
    dim = table.schema.field(COLUMN).type.list_size
    codes = max((count for count in range(1, dim // NUMBERS_PER_CODE + 1) if dim % count == 0), default=1)
    return {"num_partitions": partitions(table.count_rows()), "num_sub_vectors": codes}


def settle(table: Any) -> None:
    """Choose and store how much of a new index a search reads."""
    _choose(table, {"trained": table.count_rows(), "partitions": partitions(table.count_rows())})


def as_rows(queries: Any, dim: int) -> Array:
    """Queries as (Q, D) float32."""
    try:
        rows = np.asarray(queries, np.float32)
    except (TypeError, ValueError, OverflowError) as error:
        raise ShapeError(f"queries must be (Q, {dim}) numbers, got {queries!r:.80}") from error
    if rows.ndim != 2 or rows.shape[1] != dim or not np.isfinite(rows).all():
        raise ShapeError(f"queries must be (Q, {dim}) finite numbers, got an array of shape {rows.shape}")
    return rows


def nearest(snapshot: Snapshot, query: Array, count: int, condition: str | None = None) -> "pa.Table":
    """Rows of about `count` people most similar to a unit row (D,), with all columns that `Snapshot.people_in` takes.

    Args:
        snapshot: Version of the table.
        query: The row.
        count: Number of people.
        condition: Condition on the people in Lance's SQL.
    """
    choices = _choices(snapshot.table)
    probes = choices["probes"] or choices["partitions"]
    rows = _search(snapshot.table, query, SPARE * count, probes, snapshot.person_columns, condition).sort_by("_distance")
    return newest_rows(rows, snapshot.newer_frames).slice(0, count)


def partitions(rows: int) -> int:
    """Number of partitions of an index."""
    return max(1, min(rows // ROWS_PER_PARTITION, isqrt(rows) // 4))


def _search(table: Any, query: Array, count: int, probes: int, columns: list[str], condition: str | None = None) -> "pa.Table":
    nearest = {
        "column": COLUMN,
        "q": query.astype(table.schema.field(COLUMN).type.value_type.to_pandas_dtype()),
        "k": count,
        "nprobes": probes,
    }
    columns = [*columns, "_distance"]  # distances of unit rows order as cosines do
    return table.to_table(columns=columns, filter=condition, prefilter=condition is not None, nearest=nearest, with_row_id=True)


def _choices(table: Any) -> dict[str, int]:
    """What was chosen when the index was built; an index made before this was stored is read whole."""
    text = table.config().get(CHOICES)
    rows = table.count_rows()
    old = {"trained": rows, "chosen": 0, "partitions": max(1, rows // ROWS_PER_PARTITION), "probes": 0}
    return old if text is None else {**old, **json.loads(text)}


def _choose(table: Any, choices: dict[str, int]) -> None:
    chosen = {**choices, "chosen": table.count_rows(), "probes": _choose_probes(table, choices["partitions"])}
    table.update_config({CHOICES: json.dumps(chosen)})


def _choose_probes(table: Any, most: int) -> int:
    """The fewest partitions, in steps of about 1.4, that reach `RECALL` on a sample; all of them if none does."""
    ids, queries = _sample(table)
    if not len(ids):
        return most
    wanted = _exact_neighbours(table, ids, queries)
    probes = 1.0
    while probes < most:
        found = [_search(table, query, SPARE * CANDIDATES, round(probes), [])["_rowid"].to_numpy() for query in queries]
        hits = sum(len(np.intersect1d(rows, near)) for rows, near in zip(found, wanted, strict=True))
        if hits >= RECALL * sum(map(len, wanted)):
            return round(probes)
        probes = max(probes + 1, probes * 1.4)
    return most


def _sample(table: Any) -> tuple[Array, Array]:
    """Row ids and float32 embeddings of some people, the same in every run."""
    rows = table.count_rows()
    chosen = np.sort(np.random.default_rng(0).choice(rows, min(rows, 2 * SAMPLE), replace=False))
    part = table.take(chosen, columns=["row", COLUMN, "_rowid"])
    part = part.filter(part["row"].to_numpy() >= 0).slice(0, SAMPLE)
    return part["_rowid"].to_numpy(), _matrix(part)


def _exact_neighbours(table: Any, ids: Array, queries: Array) -> list[Array]:
    """For each person of a sample the row ids of the most similar others, by one pass over the table in blocks."""
    best = np.full((len(ids), NEIGHBOURS), -2.0, np.float32)
    near = np.full((len(ids), NEIGHBOURS), -1, np.int64)
    for batch in table.to_batches(columns=[COLUMN], filter="row >= 0", with_row_id=True):
        rows = batch["_rowid"].to_numpy().astype(np.int64)
        cosine = queries @ _matrix(batch).T
        cosine[ids[:, None] == rows] = -2  # the person itself
        cosine = np.concatenate([best, cosine], axis=1)
        names = np.concatenate([near, np.broadcast_to(rows, (len(ids), len(rows)))], axis=1)
        top = np.argpartition(-cosine, NEIGHBOURS - 1, axis=1)[:, :NEIGHBOURS]
        best, near = np.take_along_axis(cosine, top, 1), np.take_along_axis(names, top, 1)
    return [one[one >= 0] for one in near]


def _matrix(rows: Any) -> Array:
    column = rows[COLUMN]
    column = column.combine_chunks() if hasattr(column, "combine_chunks") else column
    return np.asarray(column.flatten().to_numpy().reshape(-1, column.type.list_size), np.float32)

"""Merge the small files of a gallery with the workers of a cluster."""

from personsearch import checks
from personsearch.distributed import cluster
from personsearch.gallery import Gallery, rows_a_file


def compact(gallery: Gallery, *, workers: int = 2) -> None:
    """Merge small files, of which a run with many workers leaves as many as it had chunks; each worker writes some of the new files.

    `Gallery.compact` also deletes what changed pictures left, in one process.

    Args:
        gallery: Gallery, whose location all machines see.
        workers: Number of workers.

    Raises:
        MissingExtraError: Ray or lance-ray is not installed.
    """
    workers = checks.count("workers", workers)
    lance_ray = cluster.lance_ray()
    from lance.optimize import CompactionOptions

    rows = gallery._read(lambda snapshot: int(snapshot.table.count_rows()))
    options = CompactionOptions(target_rows_per_fragment=rows_a_file(rows))
    with cluster.joined(workers), gallery._guarded():  # so that no other program removes files that are not committed yet
        lance_ray.compact_files(gallery.location, compaction_options=options, num_workers=workers, storage_options=gallery.storage_options)
    gallery.tidy()  # deletes the old versions

"""Build the vector index of a gallery with the workers of a cluster."""

from typing import Any

from personsearch import checks
from personsearch.distributed import cluster
from personsearch.gallery import Gallery, settle_index

CODES = 256  # values of a byte of a code
SAMPLE_RATE = 256  # people of the sample for each value


def build_index(gallery: Gallery, *, workers: int = 2) -> None:
    """Build a gallery's vector index anew; each worker assigns the people of some files to the partitions.

    `Gallery.build_index` adds new people to an index in one process, which is enough while a gallery grows little.

    Args:
        gallery: Gallery, whose location all machines see.
        workers: Number of workers.

    Raises:
        MissingExtraError: Ray or lance-ray is not installed.
    """
    workers = checks.count("workers", workers)
    lance_ray = cluster.lance_ray()
    sample_rate = max(1, min(SAMPLE_RATE, len(gallery) // CODES))

    def build(settings: dict[str, Any]) -> None:
        with cluster.joined(workers):
            lance_ray.create_index(
                gallery.location,
                "embedding",
                "IVF_PQ",
                replace=True,
                num_workers=workers,
                storage_options=gallery.storage_options,
                metric="l2",
                sample_rate=sample_rate,
                **settings,
            )

    settle_index(gallery, build)

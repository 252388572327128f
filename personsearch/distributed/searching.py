"""Search a gallery that is larger than the memory of one machine, exactly: each worker holds some of its files."""

from dataclasses import replace
from typing import Any, cast

import numpy as np

from personsearch import checks
from personsearch.boxes import Array
from personsearch.distributed import cluster
from personsearch.errors import QueryError
from personsearch.gallery import Gallery, People, Replaced, file_count, people_of_files
from personsearch.hits import Hit
from personsearch.query import as_query, embed_queries
from personsearch.results import SearchResult
from personsearch.searching import SearchOptions, check_model, context_rows
from personsearch.searching import search as search_galleries


class Shards:
    """A gallery in the memory of several workers; close it, or use it in a `with` block.

    Changes of the gallery after the workers have read it are not seen.

    Args:
        gallery: Gallery, whose location all machines see.
        workers: Number of workers.
    """

    def __init__(self, gallery: Gallery, *, workers: int = 2) -> None:
        self.gallery = gallery
        self._joined = cluster.joined(checks.count("workers", workers))
        self._ray = self._joined.__enter__()
        actor = self._ray.remote(num_cpus=1, max_restarts=-1, max_task_retries=2)(_Shard)
        count = max(1, min(workers, file_count(gallery)))
        version, replaced = gallery.version, gallery.records().replaced
        self._actors = [actor.remote(gallery, version, number, count, replaced) for number in range(count)]

    def __enter__(self) -> "Shards":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the workers."""
        for actor in self._actors:
            self._ray.kill(actor)
        self._actors = []
        self._joined.__exit__(None, None, None)

    def search(self, searcher: Any, query: Any, options: SearchOptions | None = None) -> SearchResult:
        """The people of the gallery most similar to one query, as `PersonSearcher.search` with the exact engine.

        Args:
            searcher: `PersonSearcher` with the gallery's model.
            query: One query.
            options: How to rank, without re-ranking, scene filter and grouping.

        Raises:
            QueryError: The options name a re-ranking, a scene filter or a grouping, which need the best people of all workers at once.
            GalleryModelError: The gallery holds another model's embeddings.
        """
        options = options or SearchOptions()
        if any(value is not None for value in (options.rerank, options.scene_filter, options.group_by)):
            raise QueryError(
                "workers rank by cosine, or cosine x score; leave rerank, scene_filter and group_by out, or search in one process"
            )
        check_model(self.gallery, searcher.model)
        (embedded,) = embed_queries(searcher.model, [as_query(query)], with_context=False)
        rows = np.array([embedded.row], np.float32)
        parts = self._ray.get([actor.search.remote(rows, options, searcher.calibration) for actor in self._actors])
        return SearchResult(merged([hit for part in parts for hit in part], options.top_k), embedded.query, "exact")


def search(searcher: Any, query: Any, gallery: Gallery, *, workers: int = 2, options: SearchOptions | None = None) -> SearchResult:
    """One search by the workers of a cluster, which read the gallery for it; `Shards` keeps them for several searches."""
    with Shards(gallery, workers=workers) as shards:
        return shards.search(searcher, query, options)


def merged(hits: list[Hit], top_k: int) -> tuple[Hit, ...]:
    """The best of the workers' hits, with new ranks; equal ones by (image, frame, row), as one process ranks them."""
    best = sorted(hits, key=lambda hit: (-hit.ranked_by, hit.image, hit.frame, hit.row or 0))[:top_k]
    return tuple(replace(hit, rank=rank) for rank, hit in enumerate(best, start=1))


class _Shard:
    """Some files of a gallery, in the memory of one worker."""

    fits_in_memory = True

    def __init__(self, gallery: Gallery, version: int, number: int, count: int, replaced: list[Replaced]) -> None:
        self.location, self.key = gallery.location, gallery.key
        self._people = people_of_files(gallery, version, number, count, replaced)

    def people(self) -> People:
        """The people of the files."""
        return self._people

    def search(self, rows: Array, options: SearchOptions, calibration: Any) -> list[Hit]:
        """The worker's best hits for one query."""
        (ranked,) = search_galleries([cast(Gallery, self)], context_rows(rows), options, calibration)
        return list(ranked.hits(None if calibration is None else calibration.min_similarity))

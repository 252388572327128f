"""Many machines: index with the workers of a Ray cluster, build the vector index there, and search galleries beyond one memory."""

from personsearch.distributed.compaction import compact
from personsearch.distributed.indexing import index
from personsearch.distributed.searching import Shards, search
from personsearch.distributed.vector_index import build_index

__all__ = ["Shards", "build_index", "compact", "index", "search"]

"""Galleries on a CUDA device: their rows are copied there when they are first searched, and compared there from then on."""

import logging
import weakref
from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from personsearch.boxes import Array
from personsearch.memory import is_lack_of_memory
from personsearch.ranking import Ranked, rank

if TYPE_CHECKING:
    from personsearch.ranking.device import DeviceGallery

logger = logging.getLogger(__name__)

LEAST_ROWS = 50_000  # a pass over fewer rows takes milliseconds in memory, so copying them does not pay


class DeviceRows:
    """Compares queries with galleries on a device; in memory on a CPU, or where the device cannot.

    The rankings are those of `ranking.rank`, to the last bit. Rows leave the device when the gallery drops them.

    Args:
        device: Device of the model, such as "cuda:0" or "cpu".
    """

    def __init__(self, device: str) -> None:
        self.device = device
        self._blocks: dict[int, tuple[weakref.ref[Any], list[Any]]] = {}  # by the identity of the rows in memory

    def rank(
        self, queries: Array, embeddings: Array, top_k: int, *, scores: Array | None, min_similarity: float | None, part: Array | None
    ) -> list[Ranked]:
        """The people most similar to each query; arguments and result are those of `ranking.rank`."""
        # The best products need not have the best cosines, so a bound on the cosine cannot follow a ranking by products
        is_whole = part is None and (scores is None or min_similarity is None)
        if self.device.startswith("cuda") and is_whole and len(embeddings) >= LEAST_ROWS and find_spec("torch") is not None:
            try:
                ranked = self._gallery(embeddings).rank(queries, top_k, scores=scores)
            except RuntimeError as error:
                if not is_lack_of_memory(error):
                    raise
                logger.info("%d people are compared in memory: %s has too little of its own", len(embeddings), self.device)
            else:
                return [one.at_least(min_similarity) for one in ranked]
        return rank(queries, embeddings, top_k, scores=scores, min_similarity=min_similarity, part=part)

    def _gallery(self, embeddings: Array) -> "DeviceGallery":
        from personsearch.ranking.device import DeviceGallery

        key = id(embeddings)
        known = self._blocks.get(key)
        if known is not None and known[0]() is embeddings:
            return DeviceGallery(embeddings, self.device, blocks=known[1])
        gallery = DeviceGallery(embeddings, self.device)
        self._blocks[key] = weakref.ref(embeddings, lambda _: self._blocks.pop(key, None)), gallery.blocks
        return gallery


@cache
def rows_on(device: str) -> DeviceRows:
    """The galleries on a device, which all searchers of this process share."""
    return DeviceRows(device)

"""Ranking: the people of a gallery most similar to a query, by exact cosine or with CBGM."""

from personsearch.ranking.cbgm import Context, Variant
from personsearch.ranking.cosine import cosines
from personsearch.ranking.exact import Ranked, rank, rank_cbgm

__all__ = ["Context", "Ranked", "Variant", "cosines", "rank", "rank_cbgm"]

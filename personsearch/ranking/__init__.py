"""Ranking: the people of a gallery most similar to a query, by exact cosine or with CBGM."""

from personsearch.ranking.cbgm import Context, Variant
from personsearch.ranking.cosine import cosines
from personsearch.ranking.exact import Ranked, rank, rank_cbgm
from personsearch.ranking.scene_filter import SceneFilter

__all__ = ["Context", "Ranked", "SceneFilter", "Variant", "cosines", "rank", "rank_cbgm"]

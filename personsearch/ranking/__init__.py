"""Ranking: the people of a gallery most similar to a query, by exact cosine or with CBGM."""

from personsearch.ranking.cbgm import CBGM, SAME_PERSON_IOU, Context, Rerank, Variant, context_of, rerank_options
from personsearch.ranking.cosine import cosines
from personsearch.ranking.exact import Ranked, rank, rank_cbgm
from personsearch.ranking.scene_filter import SceneFilter

__all__ = [
    "CBGM",
    "SAME_PERSON_IOU",
    "Context",
    "Ranked",
    "Rerank",
    "SceneFilter",
    "Variant",
    "context_of",
    "cosines",
    "rank",
    "rank_cbgm",
    "rerank_options",
]

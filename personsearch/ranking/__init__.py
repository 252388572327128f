"""Ranking: the people of a gallery most similar to a query, by exact cosine, and the ways to re-rank them."""

from personsearch.ranking.cbgm import CBGM, SAME_PERSON_IOU, Context, Rerank, Variant, context_of, rerank_options
from personsearch.ranking.cosine import cosines
from personsearch.ranking.exact import Ranked, rank, rank_cbgm, rank_cbgm_many
from personsearch.ranking.expansion import QueryExpansion, expanded
from personsearch.ranking.k_reciprocal import KReciprocal, k_reciprocal
from personsearch.ranking.reranking import Reranking, reranking_options
from personsearch.ranking.rule import rule_name
from personsearch.ranking.scene_filter import (
    GFN,
    FilterCost,
    SceneFilter,
    SceneFiltering,
    filter_cost,
    scene_filter_options,
    threshold_at_recall,
)

__all__ = [
    "CBGM",
    "GFN",
    "SAME_PERSON_IOU",
    "Context",
    "FilterCost",
    "KReciprocal",
    "QueryExpansion",
    "Ranked",
    "Rerank",
    "Reranking",
    "SceneFilter",
    "SceneFiltering",
    "Variant",
    "context_of",
    "cosines",
    "expanded",
    "filter_cost",
    "k_reciprocal",
    "rank",
    "rank_cbgm",
    "rank_cbgm_many",
    "rerank_options",
    "reranking_options",
    "rule_name",
    "scene_filter_options",
    "threshold_at_recall",
]

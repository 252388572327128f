"""Ranking: the people of a gallery most similar to a query, by exact cosine or with CBGM."""

from personsearch.ranking.cbgm import CBGM, SAME_PERSON_IOU, Context, Rerank, Variant, context_of, rerank_options
from personsearch.ranking.cosine import cosines
from personsearch.ranking.exact import Ranked, rank, rank_cbgm, rank_cbgm_many
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
    "Ranked",
    "Rerank",
    "SceneFilter",
    "SceneFiltering",
    "Variant",
    "context_of",
    "cosines",
    "filter_cost",
    "rank",
    "rank_cbgm",
    "rank_cbgm_many",
    "rerank_options",
    "scene_filter_options",
    "threshold_at_recall",
]

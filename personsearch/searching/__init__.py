"""Searching: options, queries of one picture or several, and the people of galleries ranked for them."""

from personsearch.searching.engine import RankedPeople, check_model, context_rows, search
from personsearch.searching.options import GroupBy, SearchKeywords, SearchOptions
from personsearch.searching.pools import is_gallery
from personsearch.searching.ranking import QueryRows
from personsearch.searching.shots import (
    AnyEmbedded,
    EmbeddedShots,
    as_any_query,
    doubts_of,
    embed_all,
    results_of,
    rows_of,
    warn,
)

__all__ = [
    "AnyEmbedded",
    "EmbeddedShots",
    "GroupBy",
    "QueryRows",
    "RankedPeople",
    "SearchKeywords",
    "SearchOptions",
    "as_any_query",
    "check_model",
    "context_rows",
    "doubts_of",
    "embed_all",
    "is_gallery",
    "results_of",
    "rows_of",
    "search",
    "warn",
]

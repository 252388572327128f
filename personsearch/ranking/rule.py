"""The rule of a ranking in words, as every result says it."""

from personsearch.ranking.cbgm import CBGM
from personsearch.ranking.expansion import QueryExpansion
from personsearch.ranking.k_reciprocal import KReciprocal
from personsearch.ranking.scene_filter import GFN


def rule_name(*, confidence_weighted: bool, rerank: CBGM | KReciprocal | QueryExpansion | None = None, gfn: GFN | None = None) -> str:
    """What a ranking follows: "cosine", "cosine x score", and what re-ranking or GFN add."""
    name = "cosine x score" if confidence_weighted else "cosine"
    if gfn is not None:
        name += " x scene score"
    if isinstance(rerank, CBGM):
        return f"{name}, CBGM {rerank.k1},{rerank.k2} ({rerank.variant})"
    if isinstance(rerank, KReciprocal):
        return f"{name}, k-reciprocal {rerank.k1},{rerank.k2}"
    return name if rerank is None else f"{name}, query expansion by {rerank.neighbours}"

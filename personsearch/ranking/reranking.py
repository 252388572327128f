"""The ways to re-rank a search, as `rerank=` names them."""

from typing import Any, Literal, TypeAlias

from personsearch.errors import ConfigError, PersonSearchError
from personsearch.ranking.cbgm import CBGM
from personsearch.ranking.expansion import QueryExpansion
from personsearch.ranking.k_reciprocal import KReciprocal

Reranking: TypeAlias = CBGM | KReciprocal | QueryExpansion | Literal["cbgm", "k-reciprocal", "query-expansion"]

NAMES: dict[str, type[CBGM | KReciprocal | QueryExpansion]] = {
    "cbgm": CBGM,
    "k-reciprocal": KReciprocal,
    "query-expansion": QueryExpansion,
}


def reranking_options(value: Any, error: type[PersonSearchError] = ConfigError) -> CBGM | KReciprocal | QueryExpansion | None:
    """The options that `rerank=` names, or None; a name alone is short for the defaults.

    Raises:
        PersonSearchError: of class `error`; the value is neither options, nor a name, nor None.
    """
    if value is None or isinstance(value, CBGM | KReciprocal | QueryExpansion):
        return value
    if isinstance(value, str) and value in NAMES:
        return NAMES[value]()
    names = ", ".join(f'"{name}"' for name in NAMES)
    raise error(
        f"rerank must be None, {names}, CBGM(k1, k2, variant), KReciprocal(k1, k2, weight, candidates) or "
        f"QueryExpansion(neighbours, alpha), got {value!r:.80}"
    )

"""Context Bipartite Graph Matching: who is around the query helps to say who the query is.

The people of the query's scene are matched with the people of a gallery scene so that the sum of similarities is largest.
The gallery person who gets the query takes the largest similarity of that matching; everyone else keeps theirs.

Two variants, because the paper and its code differ:

| | paper | authors |
|---|---|---|
| scenes re-ranked | the k1 scenes with the best person | those of the k1 best people, so at most k1 scenes |
| similarity | cosine | cosine x detection score |

Source: SeqNet (arXiv 2103.10148), Algorithm 1; serend1p1ty/SeqNet@edec285 eval_func.py.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.optimize import linear_sum_assignment

from personsearch.boxes import Array
from personsearch.errors import ConfigError, ShapeError
from personsearch.ranking.cosine import cosines

Variant = Literal["paper", "authors"]


@dataclass(frozen=True)
class Context:
    """The people of the query's scene; row 0 is the query."""

    embeddings: Array  # (P, D) float32 unit rows, P >= 1
    scores: Array  # (P,) float32, 0..1; the query's own counts for nothing

    def __post_init__(self) -> None:
        if self.embeddings.ndim != 2 or len(self.embeddings) == 0 or self.scores.shape != (len(self.embeddings),):
            raise ShapeError(
                f"a context needs embeddings (P, D) and scores (P,) with P >= 1, got {self.embeddings.shape} and {self.scores.shape}; "
                "row 0 is the query"
            )

    def keep(self, k2: int) -> "Context":
        """The query and the k2 - 1 others of best score; equal scores in row order."""
        others = 1 + np.argsort(-self.scores[1:], kind="stable")
        index = np.concatenate([[0], others[: k2 - 1]])
        return Context(self.embeddings[index], self.scores[index])


def check_options(k1: int, k2: int, variant: str) -> None:
    """Check what a user asked for.

    Raises:
        ConfigError: k1 or k2 below 1, or an unknown variant.
    """
    if k1 < 1 or k2 < 1:
        raise ConfigError(f"CBGM needs k1 and k2 of at least 1 (scenes re-ranked, people of the query's scene), got {k1} and {k2}")
    if variant not in ("paper", "authors"):
        raise ConfigError(f'CBGM\'s variant must be "paper" or "authors", got {variant!r}')


def choose_scenes(similarities: Array, scenes: Array, k1: int, variant: Variant) -> Array:
    """The scenes to re-rank, ascending.

    Args:
        similarities: (N,) of the query to gallery people: all of them, or the best. Equal ones count in row order.
        scenes: (N,) int, ascending: the scene of each.
        k1: scenes ("paper") or people ("authors") to take.
        variant: see the module.
    """
    if variant == "authors":
        return np.unique(scenes[_best(similarities, k1)])
    starts = np.flatnonzero(np.diff(scenes, prepend=scenes[:1] - 1))
    return np.sort(scenes[starts[_best(np.maximum.reduceat(similarities, starts), k1)]])


def _best(values: Array, count: int) -> Array:
    """Places of the `count` largest values; equal ones count in order."""
    least = np.partition(values, -count)[-count] if len(values) > count else -np.inf
    places = np.flatnonzero(values >= least)
    return places[np.argsort(-values[places], kind="stable")[:count]]


def rescore(context: Context, gallery: Array, scenes: Array, chosen: Array, weights: Array | None = None) -> tuple[Array, Array]:
    """Match the context with each chosen scene.

    Args:
        context: the query's scene, already cut to k2 people.
        gallery: (N, D) unit rows.
        scenes: (N,) int, ascending: the scene of each row.
        chosen: (S,) int, ascending: the scenes to match, as `choose_scenes` gives them.
        weights: (N,) detection scores that multiply the cosines ("authors"); None for plain cosines ("paper").

    Returns:
        rows: (M,) int, the rows of the chosen scenes, ascending.
        similarities: (M,) float32, theirs to the query; in each scene at most one differs from before, and none is lower.
    """
    starts, ends = np.searchsorted(scenes, chosen, "left"), np.searchsorted(scenes, chosen, "right")
    rows = np.concatenate([np.zeros(0, np.intp), *map(np.arange, starts, ends)])
    edges = cosines(context.embeddings, gallery[rows])
    if weights is not None:
        edges *= weights[rows]
    similarities: Array = edges[0].copy()
    end = 0
    for size in (ends - starts).tolist():
        start, end = end, end + size
        similarities[start:end] = match(edges[:, start:end])
    return rows, similarities


def match(edges: Array) -> Array:
    """Similarities of one scene's people to the query after the matching.

    Args:
        edges: (P, N) similarities of the query's scene (row 0 = the query) to the gallery scene.

    Returns:
        (N,) row 0 of `edges`, where the person matched to the query has the largest edge of the matching.
        With more context than gallery people the query may be left without a match; then nothing changes.
    """
    similarities: Array = edges[0].copy()
    rows, columns = linear_sum_assignment(edges, maximize=True)
    if rows.size and rows[0] == 0:  # rows come sorted
        similarities[columns[0]] = edges[rows, columns].max()
    return similarities

"""Context Bipartite Graph Matching (CBGM): the people around the query help to tell who the query is.

CBGM matches the people of the query's scene with the people of a gallery scene so that the sum of similarities is largest.
The gallery person matched with the query takes the largest similarity of that matching; all others keep their own.

The paper and its code differ, so there are two variants:

| | paper | authors |
|---|---|---|
| scenes re-ranked | the k1 scenes with the best person | the scenes of the k1 best people, so at most k1 scenes |

Algorithm 1 prints cosines. Published numbers of SeqNet come from the authors' code, which takes cosine x detection score: its variant is
"authors", and `confidence_weighted` of the search is on, as SeqNet's models have it.

Source: SeqNet (arXiv 2103.10148), Algorithm 1; serend1p1ty/SeqNet@edec285 eval_func.py.
"""

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

import numpy as np

from personsearch import checks
from personsearch.boxes import Array, iou
from personsearch.errors import ConfigError, PersonSearchError, ShapeError
from personsearch.ranking.cosine import cosines
from personsearch.results import Detections

Variant: TypeAlias = Literal["paper", "authors"]

# A detection that overlaps the query's box more than this is the query person again, not context (SeqNet's second NMS).
SAME_PERSON_IOU = 0.5


@dataclass(frozen=True)
class CBGM:
    """Options of CBGM, the same for searching and for evaluating.

    The default is Algorithm 1 of the paper with its values for PRW. Published numbers come from the authors' code:
    `CBGM(variant="authors")`, on the command line `--cbgm-variant authors`. Whether scores multiply the cosines is not decided here, but
    by `confidence_weighted` of a search or an evaluation.

    Raises:
        ConfigError: k1 or k2 is not a whole number of at least 1, or the variant is unknown.
    """

    k1: int = 30  # scenes ("paper") or people ("authors") to re-rank from
    k2: int = 4  # people of the query's scene that take part, the query counted
    variant: Variant = "paper"  # "paper": Algorithm 1 as printed; "authors": as their code computes it

    def __post_init__(self) -> None:
        object.__setattr__(self, "k1", checks.count("CBGM's k1", self.k1))
        object.__setattr__(self, "k2", checks.count("CBGM's k2", self.k2))
        checks.choice("CBGM's variant", self.variant, get_args(Variant))


Rerank: TypeAlias = CBGM | Literal["cbgm"]  # "cbgm" is short for CBGM()


def rerank_options(value: Any, error: type[PersonSearchError] = ConfigError) -> CBGM | None:
    """The CBGM options that `rerank=` names, or None.

    Raises:
        PersonSearchError: of class `error`; the value is not a CBGM, "cbgm" or None.
    """
    if value is None or isinstance(value, CBGM):
        return value
    if isinstance(value, str) and value == "cbgm":
        return CBGM()
    raise error(f'rerank must be None, "cbgm" or CBGM(k1, k2, variant), got {value!r:.80}')


@dataclass(frozen=True)
class Context:
    """The people of the query's scene; row 0 is the query."""

    embeddings: Array  # (P, D) float32 unit rows, P >= 1
    scores: Array  # (P,) float32, 0..1; the query's own score is not used

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


def context_of(row: Array, box: Array, detections: Detections) -> Context:
    """The query with score 1, then the other people of its scene.

    Args:
        row: (D,) unit embedding of the query.
        box: (4,) xyxy box of the query, pixels of the scene.
        detections: People of the scene. Those with an IoU above `SAME_PERSON_IOU` with the box are the query again and are dropped.
    """
    others = detections.take(iou(detections.boxes, box[None])[:, 0] <= SAME_PERSON_IOU)
    return Context(np.concatenate([row[None], others.embeddings]), np.concatenate([np.ones(1, np.float32), others.scores]))


def choose_scenes(similarities: Array, scenes: Array, k1: int, variant: Variant) -> Array:
    """The scenes to re-rank, ascending.

    Args:
        similarities: (N,) similarities of gallery people to the query: all people, or the best. Equal ones rank by row.
        scenes: (N,) int, ascending: scene of each person.
        k1: Number of scenes ("paper") or people ("authors") to take.
        variant: Variant of CBGM.
    """
    if variant == "authors":
        return np.unique(scenes[_best(similarities, k1)])
    starts = np.flatnonzero(np.diff(scenes, prepend=scenes[:1] - 1))
    return np.sort(scenes[starts[_best(np.maximum.reduceat(similarities, starts), k1)]])


def _best(values: Array, count: int) -> Array:
    """Positions of the `count` largest values; equal values rank by position."""
    least = np.partition(values, -count)[-count] if len(values) > count else -np.inf
    positions = np.flatnonzero(values >= least)
    return positions[np.argsort(-values[positions], kind="stable")[:count]]


def rescore(context: Context, gallery: Array, scenes: Array, scenes_to_match: Array, weights: Array | None = None) -> tuple[Array, Array]:
    """Match the context with some scenes.

    Args:
        context: People of the query's scene, already cut to k2.
        gallery: (N, D) unit rows.
        scenes: (N,) int, ascending: scene of each row.
        scenes_to_match: (S,) int, ascending, as `choose_scenes` gives them.
        weights: (N,) detection scores that multiply the cosines; None for plain cosines.

    Returns:
        rows: (M,) int, the rows of the matched scenes, ascending.
        similarities: (M,) float32, their similarities to the query; the matching raises at most one in each scene and lowers none.
    """
    starts, ends = np.searchsorted(scenes, scenes_to_match, "left"), np.searchsorted(scenes, scenes_to_match, "right")
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
        (N,) row 0 of `edges`, where the person matched with the query has the largest edge of the matching.
        If the context has more people than the scene, the query may have no match; then nothing changes.
    """
    from scipy.optimize import linear_sum_assignment  # slow to import, and only the matching needs it

    similarities: Array = edges[0].copy()
    rows, columns = linear_sum_assignment(edges, maximize=True)
    if rows.size and rows[0] == 0:  # rows are sorted
        similarities[columns[0]] = edges[rows, columns].max()
    return similarities

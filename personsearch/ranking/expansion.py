"""Query expansion: search again with the mean of the query and the best people of a first search.

With `alpha` = 0 it is the average query expansion of Chum et al.; otherwise each of the best people counts by its cosine to the
power of `alpha`, so that a doubtful one counts little (alpha query expansion).

Source: Chum, Philbin, Sivic, Isard, Zisserman: Total Recall (ICCV 2007), average query expansion; Radenovic, Tolias, Chum:
Fine-tuning CNN Image Retrieval with No Human Annotation (TPAMI 2018, arXiv 1711.02512), Sec. 3.4.
"""

from dataclasses import dataclass

import numpy as np

from personsearch import checks
from personsearch.boxes import Array
from personsearch.errors import ConfigError


@dataclass(frozen=True)
class QueryExpansion:
    """Options of query expansion.

    Raises:
        ConfigError: a value is out of range or has the wrong type.
    """

    neighbours: int = 3  # people of the first search that join the query
    alpha: float = 3.0  # power of their cosines; 0: all count alike

    def __post_init__(self) -> None:
        object.__setattr__(self, "neighbours", checks.count("query expansion's neighbours", self.neighbours))
        object.__setattr__(self, "alpha", checks.number("query expansion's alpha", self.alpha))
        if not 0 <= self.alpha < np.inf:
            raise ConfigError(f"query expansion's alpha must be 0 or more, got {self.alpha:g}")


def expanded(query: Array, people: Array, cosines: Array, alpha: float) -> Array:
    """(D,) float32 unit row: the query and the best people, weighted.

    Args:
        query: (D,) unit row; it counts 1.
        people: (K, D) unit rows of the best people of a first search.
        cosines: (K,) their cosines with the query; people at right angles to it or beyond do not count.
        alpha: Power of the cosines.
    """
    weights = np.where(cosines > 0, np.maximum(cosines, 0.0) ** alpha, 0.0)
    total = query + weights @ people
    return np.asarray(total / max(float(np.linalg.norm(total)), 1e-12), np.float32)

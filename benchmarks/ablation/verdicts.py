"""How sure a difference is: the pooled variance of seeds, standard errors, and a t test.

Rows have one or two seeds, too few for a variance of their own. All rows that were trained are taken to vary alike, so their variances
between seeds are pooled. A row that measures another row's model again has the same seeds, so its difference to that row varies less
than is assumed here; the test is then too careful.
"""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from scipy.stats import t as student

from benchmarks.ablation.rows import MEASUREMENTS, ROWS, Row
from personsearch.models.exported import RANKED_BY_SCORE
from personsearch.training.recipes.catalogue import recipes

Verdict = Literal["confirmed", "contradicted", "open", "out of reach here"]
VERDICTS: tuple[Verdict, ...] = ("confirmed", "contradicted", "open", "out of reach here")
Results = Mapping[str, Sequence[Mapping[str, Any]]]  # row -> its results, one a seed
LEVEL = 0.05  # of the two-sided test
RULE = "confidence_weighted"  # field of a result: whether it ranks by cosine x score; a result without it ranks by cosine
BY_COSINE = "mAP_by_cosine"  # field of a result that ranks by cosine x score: its mAP by cosine


@dataclass(frozen=True)
class Noise:
    """What seeds differ by."""

    variance: float  # of one training's mAP (0..1), pooled over rows
    freedom: int  # degrees of freedom; 0: no row has a second seed, and every claim is open

    @property
    def deviation(self) -> float:
        """Standard deviation of one training."""
        return float(self.variance**0.5)


def noise_of(results: Results, point: int = MEASUREMENTS, metric: str = "mAP") -> Noise:
    """The pooled variance between seeds of all trained rows at a point of the learning curve.

    A row counts once: as its paper ranks if several seeds are ranked so, otherwise by cosine.
    """
    groups: list[list[float]] = []
    for name, seeds in results.items():
        if not ROWS[name].of:
            by_each_rule = (values_at(group, point, metric) for group in by_rule(ROWS[name], seeds))
            groups += [values for values in by_each_rule if len(values) > 1][:1]
    freedom = sum(len(values) - 1 for values in groups)
    if not freedom:
        return Noise(0.0, 0)
    return Noise(sum(statistics.variance(values) * (len(values) - 1) for values in groups) / freedom, freedom)


def standard_error(better: Sequence[float], worse: Sequence[float], noise: Noise) -> float:
    """Standard error of the difference of two rows' means, over their seeds."""
    return float((noise.variance * (1 / len(better) + 1 / len(worse))) ** 0.5)


def p_value(better: Sequence[float], worse: Sequence[float], noise: Noise) -> float:
    """The two-sided p of the difference of two rows' means; 1 without a second seed anywhere."""
    if not noise.freedom:
        return 1.0
    difference, error = statistics.fmean(better) - statistics.fmean(worse), standard_error(better, worse, noise)
    if error == 0:
        return float(difference == 0)
    return float(2 * student.sf(abs(difference) / error, noise.freedom))


def verdict(better: Sequence[float], worse: Sequence[float], noise: Noise, *, out_of_reach: bool = False) -> Verdict:
    """The verdict on the claim that `better` beats `worse`; each is the mAP of every seed.

    Args:
        better: Seeds of the row that the paper says is better.
        worse: Seeds of the other row.
        noise: Noise at the point of the comparison.
        out_of_reach: Whether the benchmark cannot test the claim, whatever the numbers.
    """
    if out_of_reach or not better or not worse:
        return "out of reach here"
    if p_value(better, worse, noise) >= LEVEL:
        return "open"
    return "confirmed" if statistics.fmean(better) > statistics.fmean(worse) else "contradicted"


def points_of(result: Mapping[str, Any]) -> int:
    """Number of points of the learning curve that a training, or the training of the model measured, reached."""
    return int(result.get("points", len(result.get("curve", ())) or MEASUREMENTS))


def values_at(results: Sequence[Mapping[str, Any]], point: int, metric: str = "mAP") -> list[float]:
    """The metric of each seed at a point, counted from 1; mAP of a longer training is the value on its curve, if it has one."""
    ended = [result[metric] for result in results if points_of(result) == point]
    if metric != "mAP":
        return ended
    return ended + [result["curve"][point - 1][1] for result in results if points_of(result) > point and "curve" in result]


def as_paper(row: Row, results: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The results that are ranked as the row's paper does; at true boxes, all of score 1, both rules rank alike."""
    return [result for result in results if row.true_boxes or bool(result.get(RULE)) == own_rule(row)]


def by_cosine(results: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The longest result of each seed ranked by cosine: the mAP of its end; curve and top-1 where cosine is its own rule."""
    longest: dict[int, Mapping[str, Any]] = {}
    for result in sorted(results, key=points_of):
        longest[result["seed"]] = result
    return [
        {key: value for key, value in result.items() if key not in ("curve", "top1")}
        | {"mAP": result[BY_COSINE], "points": points_of(result), RULE: False}
        if result.get(RULE)
        else dict(result)
        for _, result in sorted(longest.items())
    ]


def by_rule(row: Row, results: Sequence[Mapping[str, Any]]) -> list[Sequence[Mapping[str, Any]]]:
    """The results of a row that are ranked as its paper does, and, if there are others, all by cosine."""
    own = as_paper(row, results)
    return [group for group in (own, by_cosine(results) if len(own) < len(results) else ()) if group]


def own_rule(row: Row) -> bool:
    """Whether the paper of a row's network ranks by cosine x score."""
    if row.of:
        return own_rule(ROWS[row.of])
    return recipes()[f"{row.recipe}-scratch"].network["architecture"] in RANKED_BY_SCORE

"""The papers' claims about the rows, the verdict on each, and the tables of both.

A claim says that one row has a higher mAP than another. A row's spread is its greatest minus its least mAP over the seeds. Its noise is
that spread, or the median of all spreads if that is larger, because two seeds may agree by chance; with one seed it is the greatest
spread of all rows. A claim is open ("not resolved") if the difference of the means is at most the noise of either row; otherwise it is
confirmed or contradicted. A main row waits for its second seed.

Some rows were trained for a part of the schedule. Rows are compared, and spreads are taken, at the last point of the learning curve that
all trainings of a claim reached.
"""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from benchmarks.ablation.rows import MEASUREMENTS, ROWS

Verdict = Literal["confirmed", "contradicted", "not resolved", "not measured"]
Results = Mapping[str, Sequence[Mapping[str, Any]]]  # row -> its results, one a seed
PRECISION = 1e-9  # smaller differences of mAP (0..1) are rounding


@dataclass(frozen=True)
class Claim:
    """Claim that row `better` has a higher mAP than row `worse`."""

    says: str
    better: str
    worse: str
    source: str  # paper and table
    paper: tuple[float, float] | None  # mAP of worse and better, percent; None: a figure or a text without the two numbers
    data: str = "PRW"
    required: bool = False  # the table is followed by its learning curves if it is not confirmed


SEQNET, ALIGNPS, TRIDENT, DKD, HYBRID = "SeqNet", "ROI-AlignPS", "Trident", "DKD", "Hybrid"
CLAIMS = (
    Claim("NAE beats OIM", "nae", "oim", f"{SEQNET}, Table 6", (34.0, 43.3)),
    Claim("SeqNet beats NAE", "seqnet", "nae", f"{SEQNET}, Table 6", (43.3, 46.7), required=True),
    Claim("SeqNet on OIM beats OIM", "seqnet-oim", "oim", f"{SEQNET}, Table 6", (34.0, 45.8)),
    Claim("SeqNet on NAE beats SeqNet on OIM", "seqnet", "seqnet-oim", f"{SEQNET}, Table 6", (45.8, 46.7)),
    Claim("CBGM helps SeqNet", "seqnet-cbgm", "seqnet", f"{SEQNET}, Table 6", (46.7, 47.6)),
    Claim("CBGM helps SeqNet on OIM", "seqnet-oim-cbgm", "seqnet-oim", f"{SEQNET}, Table 6", (45.8, 46.6)),
    Claim("a second pass helps NAE", "nae-serial", "nae", f"{SEQNET}, Table 1", (43.6, 44.7)),
    Claim("SeqNet's boxes help NAE", "nae-seqnets-boxes", "nae-naes-boxes", f"{SEQNET}, Table 2", (92.5, 93.3), "CUHK-SYSU"),
    Claim("SeqNet embeds NAE's boxes better", "seqnet-naes-boxes", "nae-naes-boxes", f"{SEQNET}, Table 2", (92.5, 93.1), "CUHK-SYSU"),
    Claim("SeqNet embeds true boxes better", "seqnet-true-boxes", "nae-true-boxes", f"{SEQNET}, Table 2", (94.1, 94.6), "CUHK-SYSU"),
    Claim("the first head's score helps", "seqnet", "seqnet-without-fcs", f"{SEQNET}, Table 3", (93.4, 93.8), "CUHK-SYSU"),
    Claim("region alignment helps", "alignps", "alignps-without-region", f"{ALIGNPS}, Table II", (27.4, 45.9), required=True),
    Claim("deformable laterals help", "alignps", "alignps-without-lateral", f"{ALIGNPS}, Table II", (40.7, 45.9)),
    Claim("a deformable output helps", "alignps", "alignps-without-output", f"{ALIGNPS}, Table II", (39.6, 45.9)),
    Claim("concatenation helps", "alignps", "alignps-without-concat", f"{ALIGNPS}, Table II", (42.8, 45.9)),
    Claim("scale alignment: P3, not P4", "alignps", "alignps-p4", f"{ALIGNPS}, Table I", (41.4, 45.9)),
    Claim("scale alignment: P3, not P5", "alignps", "alignps-p5", f"{ALIGNPS}, Table I", (25.3, 45.9)),
    Claim("scale alignment: P3, not P3 and P4", "alignps", "alignps-p3-p4", f"{ALIGNPS}, Table I", (40.8, 45.9)),
    Claim("scale alignment: P3, not all three", "alignps", "alignps-p3-p4-p5", f"{ALIGNPS}, Table I", (39.5, 45.9)),
    Claim("task alignment: not T1", "alignps", "alignps-t1", f"{ALIGNPS}, Table III", (35.5, 45.9)),
    Claim("task alignment: not T2", "alignps", "alignps-t2", f"{ALIGNPS}, Table III", (31.8, 45.9)),
    Claim("task alignment: not T3", "alignps", "alignps-t3", f"{ALIGNPS}, Table III", (35.8, 45.9)),
    Claim("TOIM beats OIM", "alignps", "alignps-oim", f"{ALIGNPS}, Table IV", (45.7, 45.9)),
    Claim("TOIM's table helps", "alignps", "alignps-toim-without-lut", f"{ALIGNPS}, Table IV", (45.8, 45.9)),
    Claim("AlignPS beats NAE", "alignps", "nae", f"{ALIGNPS}, Table VIII", (43.3, 45.9)),
    Claim("ROI-AlignPS beats AlignPS", "roi-alignps", "alignps", f"{ALIGNPS}, Table VIII", (45.9, 51.6)),
    *(
        Claim(f"both branches beat {name}", f"roi-alignps-{source}", f"roi-alignps-{source}-{branch}", f"{ALIGNPS}, Table VI", numbers)
        for source, branch, name, numbers in (
            ("without-mutual", "alignps-branch", "the AlignPS branch", (46.4, 50.3)),
            ("without-mutual", "roi-branch", "the RoI branch", (47.8, 50.3)),
            ("without-rpn", "alignps-branch", "the AlignPS branch, no RPN", (44.9, 48.6)),
            ("without-rpn", "roi-branch", "the RoI branch, no RPN", (43.9, 48.6)),
        )
    ),
    Claim("training by an RPN helps", "roi-alignps-without-mutual", "roi-alignps-without-rpn", f"{ALIGNPS}, Table VI", (48.6, 50.3)),
    Claim("both branches beat ROI-Align*", "roi-alignps-without-rpn", "roi-alignps-roi-only", f"{ALIGNPS}, Table VI", (47.5, 48.6)),
    Claim("mutual information helps", "roi-alignps", "roi-alignps-without-mutual", f"{ALIGNPS}, Table VII", (50.3, 51.6)),
    Claim("KL divergence helps", "roi-alignps-kl", "roi-alignps-without-mutual", f"{ALIGNPS}, Table VII", (50.3, 50.4)),
    Claim("diversity helps", "roi-alignps-dv", "roi-alignps-without-mutual", f"{ALIGNPS}, Table VII", (50.3, 50.4)),
    *(
        Claim(f"mutual information alone beats {terms}", "roi-alignps", f"roi-alignps-{terms}", f"{ALIGNPS}, Table VII", (number, 51.6))
        for terms, number in (("kl", 50.4), ("dv", 50.4), ("mi-kl", 51.1), ("mi-dv", 50.4), ("kl-dv", 50.0), ("mi-kl-dv", 51.4))
    ),
    Claim("Trident beats NAE", "trident", "nae", f"{TRIDENT}, Table 3", (44.0, 53.3)),
    *(
        Claim(says, "trident", f"trident-without-{part}", f"{TRIDENT}, Table {table}", (number, 48.04), "PRW, multi-view")
        for says, part, table, number in (
            ("adaptive gradient weighting helps", "agwf", 1, 46.87),
            ("part classification helps", "parts", 1, 46.52),
            ("both help", "agwf-and-parts", 1, 45.82),
            ("the binary and the unlabelled term help", "binary-and-unlabelled", 2, 47.44),
        )
    ),
    Claim("DKD helps its baseline", "dkd", "dkd-ours-0", f"{DKD}, Table 3", (41.91, 50.51), required=True),
    *(
        Claim(says, better, worse, f"{DKD}, Table {table}", numbers)
        for says, better, worse, table, numbers in (
            ("probabilities help", "dkd-ours-1", "dkd-ours-0", 2, (41.91, 49.44)),
            ("ISA helps the student", "dkd-ours-2", "dkd-ours-1", 2, (49.44, 49.78)),
            ("FSA helps", "dkd-ours-3", "dkd-ours-2", 2, (49.78, 50.15)),
            ("ISA helps the teacher at true boxes", "reid", "reid-r-1", 2, (54.46, 56.78)),
            ("ISA helps two steps", "d-r-2", "d-r-1", 2, (51.85, 54.16)),
            ("two steps beat the student", "d-r-2", "dkd", 3, (50.51, 54.16)),
            ("pairs help", "dkd-ours-4", "dkd-ours-0", 3, (41.91, 46.00)),
            ("triplets help", "dkd-ours-5", "dkd-ours-0", 3, (41.91, 45.54)),
            ("pairs help triplets", "dkd-ours-6", "dkd-ours-5", 3, (45.54, 47.18)),
            ("triplets help pairs", "dkd-ours-6", "dkd-ours-4", 3, (46.00, 47.18)),
            ("probabilities help both", "dkd", "dkd-ours-6", 3, (47.18, 50.51)),
            ("triplets help the other two", "dkd", "dkd-ours-7", 3, (50.18, 50.51)),
            ("pairs help the other two", "dkd", "dkd-ours-8", 3, (50.46, 50.51)),
            ("the teacher's random erasing helps", "dkd", "dkd-teacher-without-erasing", 6, (50.19, 50.51)),
            ("the teacher's BNNeck helps", "dkd", "dkd-teacher-without-bnneck", 6, (47.83, 50.51)),
        )
    ),
    Claim("pairs help probabilities", "dkd-ours-7", "dkd-ours-3", f"{DKD}, Tables 2 and 3", (50.15, 50.18)),
    Claim("triplets help probabilities", "dkd-ours-8", "dkd-ours-3", f"{DKD}, Tables 2 and 3", (50.15, 50.46)),
    # the papers' other start is ImageNet, here it is random
    Claim("pre-training helps NAE", "nae-pretrained", "nae-random", f"{HYBRID}, Table 1 (ResNet-18)", (35.87, 39.79), required=True),
    Claim("pre-training helps AlignPS", "alignps-pretrained", "alignps-random", f"{HYBRID}, Table 2", (45.90, 49.14)),
    Claim("pre-training helps ROI-AlignPS", "roi-alignps-pretrained", "roi-alignps-random", f"{HYBRID}, Table 2", (51.84, 54.47)),
    Claim("the whole network helps more", "nae-pretrained-whole", "nae-pretrained", f"{HYBRID}, Fig. 5", None),
    Claim("it helps with 20 % of the data", "nae-pretrained-20-percent", "nae-random-20-percent", f"{HYBRID}, Fig. 5", None),
    Claim("it helps with 60 % of the data", "nae-pretrained-60-percent", "nae-random-60-percent", f"{HYBRID}, Fig. 5", None),
    Claim("with 60 % it beats all without", "nae-pretrained-60-percent", "nae-random", f"{HYBRID}, Fig. 5", None),
    Claim("expand_resize beats random_paste", "nae-pretrained", "nae-pretrained-random-paste", f"{HYBRID}, Table 4", (46.49, 47.08)),
    Claim("inter-task alignment harms", "nae-pretrained", "nae-pretrained-inter-task", f"{HYBRID}, Table 5", (46.53, 47.08)),
    Claim("intra-task alignment helps", "nae-pretrained", "nae-pretrained-without-alignment", f"{HYBRID}, Fig. 6", None),
    Claim("its consistency helps (by 0.3)", "nae-pretrained", "nae-pretrained-without-consistency", f"{HYBRID}, text of Eq. 7", None),
)


@dataclass(frozen=True)
class Noise:
    """Spreads of the rows with several seeds, the noise of rows with fewer."""

    median: float  # spread, mAP 0..1
    greatest: float


def noise_of(results: Results, point: int = MEASUREMENTS) -> Noise:
    """Noise of all rows with several seeds at a point of the curve; infinite without such rows, so that nothing is resolved."""
    spreads = [spread(values) for seeds in results.values() if len(values := values_at(seeds, point)) > 1] or [float("inf")]
    return Noise(statistics.median(spreads), max(spreads))


def points_of(result: Mapping[str, Any]) -> int:
    """Number of points of the learning curve that a training, or the training of the model measured, reached."""
    return int(result.get("points", len(result.get("curve", ())) or MEASUREMENTS))


def values_at(results: Sequence[Mapping[str, Any]], point: int) -> list[float]:
    """The mAP of each seed at a point, counted from 1; of a longer training the value on its curve, if it has one."""
    ended = [result["mAP"] for result in results if points_of(result) == point]
    return ended + [result["curve"][point - 1][1] for result in results if points_of(result) > point and "curve" in result]


def verdict(better: Sequence[float], worse: Sequence[float], noise: Noise) -> Verdict:
    """Verdict on the claim that `better` beats `worse` (see the module); each is the mAP of every seed."""
    if not better or not worse:
        return "not measured"
    difference = mean(better) - mean(worse)
    if abs(difference) <= max(noise_of_row(better, noise), noise_of_row(worse, noise)) + PRECISION:
        return "not resolved"
    return "confirmed" if difference > 0 else "contradicted"


def noise_of_row(values: Sequence[float], noise: Noise) -> float:
    """Noise of a row with these values, one per seed."""
    return max(spread(values), noise.median) if len(values) > 1 else noise.greatest


def spread(values: Sequence[float]) -> float:
    """Greatest minus least."""
    return max(values) - min(values)


def mean(values: Sequence[float]) -> float:
    """The arithmetic mean."""
    return sum(values) / len(values)


def column(results: Sequence[Mapping[str, Any]], name: str) -> list[float]:
    """One number of each seed."""
    return [result[name] for result in results]


def markdown(results: Results) -> str:
    """Two tables: the measurements, with seeds of the same length in one line, and the claims."""
    lines = ["| row | points | seeds | mAP | spread | top-1 | spread | AP |", "|---|---|---|---|---|---|---|---|"]
    for name in ROWS:
        for point in sorted(set(map(points_of, results.get(name, ())))):
            seeds = [result for result in results[name] if points_of(result) == point]
            m, t, ap = column(seeds, "mAP"), column(seeds, "top1"), f"{100 * mean(column(seeds, 'ap')):.1f}"
            lines.append(
                f"| {name} | {point}/{MEASUREMENTS} | {len(seeds)} | {_percent(m)} | {_spread(m)} | {_percent(t)} | {_spread(t)} | {ap} |"
            )
    lines += ["", "| the paper says | paper | mAP there | at | mAP here | difference | verdict |", "|---|---|---|---|---|---|---|"]
    for claim in CLAIMS:
        better, worse, point = sides(claim, results)
        at, here, difference = "", "", ""
        if better and worse:
            at, here, difference = (
                f"{point}/{MEASUREMENTS}",
                f"{_percent(worse)} to {_percent(better)}",
                f"{100 * (mean(better) - mean(worse)):+.1f}",
            )
        there = "" if claim.paper is None else f"{claim.paper[0]} to {claim.paper[1]} ({claim.data})"
        says = f"**{claim.says}**" if claim.required else claim.says
        waits = any(ROWS[name].main and len(results.get(name, ())) == 1 for name in (claim.better, claim.worse))
        result = "one seed so far" if waits and here else verdict(better, worse, noise_of(results, point))
        lines.append(f"| {says} | {claim.source} | {there} | {at} | {here} | {difference} | {result} |")
    return "\n".join(lines) + "\n"


def sides(claim: Claim, results: Results) -> tuple[list[float], list[float], int]:
    """The mAP of each seed of the better and of the worse row, and the last point that all of them reached."""
    better, worse = results.get(claim.better, ()), results.get(claim.worse, ())
    point = min((points_of(result) for result in (*better, *worse)), default=MEASUREMENTS)
    return values_at(better, point), values_at(worse, point), point


def curves(results: Results) -> str:
    """Learning curves of both rows of each required claim that was not confirmed, as lines of text; may be empty."""
    lines = []
    for claim in (claim for claim in CLAIMS if claim.required):
        rows = [results.get(name, ()) for name in (claim.better, claim.worse)]
        better, worse, point = sides(claim, results)
        if verdict(better, worse, noise_of(results, point)) in ("contradicted", "not resolved"):
            lines += ["", f"{claim.says}: mAP after so many steps", ""]
            for result in (*rows[0], *rows[1]):
                points = ", ".join(f"{step}: {100 * value:.1f}" for step, value in result["curve"])
                lines.append(f"* {result['row']}, seed {result['seed']}: {points}")
    return "\n".join(lines) + "\n" if lines else ""


def _percent(values: Sequence[float]) -> str:
    return f"{100 * mean(values):.1f}"


def _spread(values: Sequence[float]) -> str:
    return f"{100 * spread(values):.1f}" if len(values) > 1 else "-"

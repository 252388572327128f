"""ABLATION.md from the results: a summary of five lines a paper, the claims, the rows with what they are, and learning curves."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from benchmarks.ablation.claims import CLAIMS, PAPERS, Claim
from benchmarks.ablation.rows import MEASUREMENTS, ROWS, Row
from benchmarks.ablation.verdicts import (
    LEVEL,
    RULE,
    VERDICTS,
    Results,
    Verdict,
    as_paper,
    by_cosine,
    by_rule,
    noise_of,
    p_value,
    points_of,
    standard_error,
    values_at,
    verdict,
)
from personsearch.ranking import rule_name

UNTRAINED = "a row is ready and not trained"
UNCOMPARED = "the rows have no point in common by one rule"
FEW_SEEDS = "one seed of a row"
OTHER_RULE = "ranked by cosine, not as the papers do"


def compared(claim: Claim, results: Results) -> tuple[Sequence[Mapping[str, Any]], Sequence[Mapping[str, Any]]]:
    """The results of the better and of the worse row: ranked as their papers do if both rows have such; otherwise both by cosine."""
    rows = [(ROWS[name], results.get(name, ())) for name in (claim.better, claim.worse)]
    better, worse = (as_paper(*row) if by_own_rule(claim, results) else by_cosine(row[1]) for row in rows)
    return better, worse


def sides(claim: Claim, results: Results) -> tuple[list[float], list[float], int]:
    """The claim's metric of each seed of the better and of the worse row, and the last point that all of them reached."""
    better, worse = compared(claim, results)
    point = min((points_of(result) for result in (*better, *worse)), default=MEASUREMENTS)
    return values_at(better, point, claim.metric), values_at(worse, point, claim.metric), point


def by_own_rule(claim: Claim, results: Results) -> bool:
    """Whether both rows of a claim have results that are ranked as their papers do."""
    return all(as_paper(ROWS[name], results.get(name, ())) for name in (claim.better, claim.worse))


def is_off_rule(claim: Claim, results: Results) -> bool:
    """Whether a claim about mAP was measured by cosine, though a paper of its rows ranks by cosine x score."""
    return claim.metric == "mAP" and all(sides(claim, results)[:2]) and not by_own_rule(claim, results)


def rules_line(results: Results) -> str:
    """How many claims were measured by the papers' own rules, of which papers the others are, and what these would be by cosine."""
    measured = [claim for claim in CLAIMS if claim.metric == "mAP" and all(sides(claim, results)[:2])]
    others = [claim for claim in measured if is_off_rule(claim, results)]
    counts = ((paper, sum(claim.source.startswith(paper) for claim in others)) for paper in PAPERS)
    parts = ", ".join(f"{count} of {paper}" for paper, count in counts if count)
    same = len(measured) - len(others)
    if not others:
        return f"All {len(measured)} measured claims about mAP are ranked as the papers do.\n"
    line = f"Of {len(measured)} measured claims about mAP, {same} are ranked as the papers do, {len(others)} by cosine ({parts})."
    by_verdict = [
        (word, [claim.says for claim in others if _verdict_of_numbers(claim, results) == word]) for word in ("confirmed", "contradicted")
    ]
    words = " and ".join(f"{len(says)} would be {word}" + f" ({'; '.join(says)})" * bool(says) for word, says in by_verdict)
    return f"{line} These are open, or out of reach, whatever their numbers. By cosine alone {words}.\n"


def verdict_of(claim: Claim, results: Results) -> Verdict:
    """The verdict on a claim at the last point that both rows reached; open at best if it is not ranked as the papers do."""
    result = _verdict_of_numbers(claim, results)
    return "open" if is_off_rule(claim, results) and result in ("confirmed", "contradicted") else result


def _verdict_of_numbers(claim: Claim, results: Results) -> Verdict:
    better, worse, point = sides(claim, results)
    result = verdict(better, worse, noise_of(results, point, claim.metric), out_of_reach=bool(claim.beyond))
    few = min(len(better), len(worse)) < claim.seeds
    return "open" if few and result in ("confirmed", "contradicted") else result


def difference_of(claim: Claim, results: Results) -> str:
    """The difference of a claim and its standard error, percent; empty if the rows cannot be compared."""
    better, worse, point = sides(claim, results)
    if not better or not worse:
        return ""
    difference = statistics.fmean(better) - statistics.fmean(worse)
    return f"{100 * difference:+.1f} ± {100 * standard_error(better, worse, noise_of(results, point, claim.metric)):.1f}"


def counts_line(results: Results) -> str:
    """How many claims have each verdict, and how many would be confirmed or contradicted by chance, in words."""
    verdicts = [verdict_of(claim, results) for claim in CLAIMS]
    confirmed, contradicted, left_open, beyond = (verdicts.count(name) for name in VERDICTS)
    counts = f"{confirmed} are confirmed, {contradicted} contradicted, {left_open} open, and {beyond} out of reach here"
    decided = len(CLAIMS) - beyond - sum(is_off_rule(claim, results) and not claim.beyond for claim in CLAIMS)
    fewest = int(LEVEL * decided)
    by_chance = f"{fewest} or {fewest + 1} would be confirmed or contradicted by chance"
    chance = f"If the {decided} that numbers can decide were all untrue, {by_chance}."
    return f"Of {len(CLAIMS)} claims {counts}. {chance}\n"


def summary(results: Results) -> str:
    """Five lines a paper: how many claims, and which have each verdict."""
    lines = []
    for paper in PAPERS:
        claims = [claim for claim in CLAIMS if claim.source.startswith(paper)]
        by_verdict = {name: [claim for claim in claims if verdict_of(claim, results) == name] for name in VERDICTS}
        counts = ", ".join(f"{len(by_verdict[name])} {name}" for name in VERDICTS)
        lines += ["", f"**{paper}**: {len(claims)} claims, {counts}.", ""]
        for name in VERDICTS:
            named = "; ".join(f"{claim.says} ({_measured(claim, results)})" for claim in by_verdict[name])
            lines.append(f"* {name.capitalize()}: {named or 'none'}.")
    return "\n".join(lines[1:]) + "\n"


def _measured(claim: Claim, results: Results) -> str:
    """The difference of a claim in the summary."""
    return (difference_of(claim, results) or "not measured") + ", by cosine" * is_off_rule(claim, results)


def claims_table(results: Results) -> str:
    """Each claim with the paper's numbers, ours, the difference with its standard error over seeds, p, and the verdict."""
    lines = ["| the paper says | paper | mAP there | at | ranked | mAP here | difference | p | verdict |", f"|{'---|' * 9}"]
    for claim in CLAIMS:
        better, worse, point = sides(claim, results)
        at, ranked, here, p = "", "", "", ""
        if better and worse:
            at, here = f"{point}/{MEASUREMENTS}", f"{_percent(worse)} to {_percent(better)}"
            if claim.metric == "mAP":
                ranked = "as papers" if by_own_rule(claim, results) else "by cosine"
            p = f"{p_value(better, worse, noise_of(results, point, claim.metric)):.3f}"
        there = "" if claim.paper is None else f"{claim.paper[0]} to {claim.paper[1]} ({claim.data})"
        says = f"**{claim.says}**" if claim.required else claim.says
        trained = results.get(claim.better) and results.get(claim.worse)
        open_for = [OTHER_RULE] * is_off_rule(claim, results) + [FEW_SEEDS] * (min(len(better), len(worse)) < claim.seeds)
        why = claim.beyond or ("; ".join(open_for) if better and worse else UNCOMPARED if trained else UNTRAINED)
        result = verdict_of(claim, results) + (f": {why}" if why else "")
        lines.append(f"| {says} | {claim.source} | {there} | {at} | {ranked} | {here} | {difference_of(claim, results)} | {p} | {result} |")
    return "\n".join(lines) + "\n"


def rows_table(results: Results) -> str:
    """Every row with what it is, at every length that rows of the table were stopped at; AP and top-1 are of the end of a training."""
    ends = sorted({points_of(result) for name in ROWS for result in results.get(name, ())})
    lines = ["| row | what it is | points | seeds | ranked | mAP | spread | top-1 | AP |", f"|{'---|' * 9}"]
    for name, row in ROWS.items():
        for seeds, point in ((seeds, point) for seeds in by_rule(row, results.get(name, ())) for point in ends):
            values = values_at(seeds, point)
            if not values:
                continue
            ended = [result for result in seeds if points_of(result) == point]
            top1, ap = (_percent(column(ended, key)) or "-" for key in ("top1", "ap"))
            spread = f"{100 * (max(values) - min(values)):.1f}" if len(values) > 1 else "-"
            at, rule = f"{point}/{MEASUREMENTS}", ranked_by(seeds)
            lines.append(f"| {name} | {explained(row)} | {at} | {len(values)} | {rule} | {_percent(values)} | {spread} | {top1} | {ap} |")
    waiting = ", ".join(name for name, row in ROWS.items() if row.is_measured and not results.get(name))
    return "\n".join(lines) + "\n" + (f"\nNot trained yet: {waiting}.\n" if waiting else "")


def ranked_by(results: Sequence[Mapping[str, Any]]) -> str:
    """The rule of a row's results, in words."""
    return " or ".join(sorted({rule_name(confidence_weighted=bool(result.get(RULE))) for result in results}))


def explained(row: Row) -> str:
    """What a row is: its recipe or the model that it measures again, and what it changes."""
    parts = [f"recipe `{row.recipe}-scratch`" if row.recipe else f"the model of {row.of}"]
    parts += [f"`{path}` = {value}" for path, value in _flat(row.changes)]
    if row.detector:
        parts.append(f"at the boxes of {row.detector}")
    if row.true_boxes:
        parts.append("at the true boxes")
    if row.cbgm:
        parts.append("re-ranked by CBGM")
    if row.teacher:
        parts.append(f"taught by {row.teacher}")
    if row.recipe and row.initial != "start":
        parts.append(f"from {'the whole' if row.whole else 'the backbone'} of {row.initial}" if row.initial else "from random weights")
    return ", ".join(parts)


def curves(results: Results) -> str:
    """Learning curves of both rows of each required claim that was not confirmed, as lines of text; may be empty."""
    lines = []
    for claim in (claim for claim in CLAIMS if claim.required):
        rows = compared(claim, results)
        if all(rows) and verdict_of(claim, results) != "confirmed":
            lines += ["", f"{claim.says}: mAP after so many steps", ""]
            for result in (result for row in rows for result in row if "curve" in result):
                points = ", ".join(f"{step}: {100 * value:.1f}" for step, value in result["curve"])
                lines.append(f"* {result['row']}, seed {result['seed']}: {points}")
    return "\n".join(lines) + "\n" if lines else ""


def noise_line(results: Results) -> str:
    """The standard deviation between seeds at each length of the table, in words."""
    ends = sorted({points_of(result) for seeds in results.values() for result in seeds})
    parts = [
        f"{100 * noise.deviation:.1f} mAP at {end}/{MEASUREMENTS} ({noise.freedom} degrees of freedom)"
        for end in ends
        if (noise := noise_of(results, end)).freedom
    ]
    return f"One training differs from another of the same row, by its seed alone, by a standard deviation of {', '.join(parts)}.\n"


def column(results: Sequence[Mapping[str, Any]], name: str) -> list[float]:
    """One number of each seed; empty if a seed lacks it."""
    return [result[name] for result in results] if all(name in result for result in results) else []


def _flat(values: Mapping[str, Any], before: str = "") -> list[tuple[str, Any]]:
    flat: list[tuple[str, Any]] = []
    for name, value in values.items():
        flat += _flat(value, f"{before}{name}.") if isinstance(value, Mapping) else [(f"{before}{name}", value)]
    return flat


def _percent(values: Sequence[float]) -> str:
    return f"{100 * statistics.fmean(values):.1f}" if values else ""


PARTS: dict[str, Callable[[Results], str]] = {
    "counts": counts_line,
    "summary": summary,
    "rules": rules_line,
    "noise": noise_line,
    "claims": claims_table,
    "rows": rows_table,
    "curves": curves,
}


def insert_parts(text: str, parts: Mapping[str, str]) -> str:
    """The text with each part between its marks, which are `<!-- NAME -->` and `<!-- end of NAME -->`.

    Raises:
        ValueError: The marks of a part are missing.
    """
    for name, part in parts.items():
        first, last = f"<!-- {name} -->\n", f"<!-- end of {name} -->\n"
        before, start, rest = text.partition(first)
        _, end, after = rest.partition(last)
        if not start or not end:
            raise ValueError(f"the text lacks {first.strip()} or {last.strip()}; add both lines where {name} belongs")
        text = f"{before}{first}\n{part.strip()}\n\n{last}{after}" if part.strip() else f"{before}{first}{last}{after}"
    return text

"""The ablation's rules of ranking, what data its rows need, and how its tables are written."""

import json

import pytest

from benchmarks.ablation import data as data_sets
from benchmarks.ablation import run as ablation
from benchmarks.ablation.claims import CLAIMS
from benchmarks.ablation.report import (
    OTHER_RULE,
    UNCOMPARED,
    UNTRAINED,
    claims_table,
    counts_line,
    insert_parts,
    rows_table,
    rules_line,
    sides,
    summary,
    verdict_of,
)
from benchmarks.ablation.rows import ROWS
from benchmarks.ablation.verdicts import BY_COSINE, RULE, Noise, noise_of, own_rule

PICTURES = 600


def test_the_rule_of_each_rows_paper() -> None:
    rules = {name: own_rule(row) for name, row in ROWS.items()}
    assert (rules["nae"], rules["seqnet-oim"], rules["trident"], rules["nae-seqnets-boxes"]) == (True,) * 4
    assert (rules["oim"], rules["alignps"], rules["roi-alignps"], rules["dkd"], rules["d-r-2"]) == (False,) * 5


def result(row: str, value: float, cosine: float | None = None, points: int = 2, seed: int = 1) -> dict:
    """A result ranked by cosine, or by cosine x score with its mAP by cosine."""
    rule = {} if cosine is None else {RULE: True, BY_COSINE: cosine}
    return {"row": row, "seed": seed, "mAP": value, "top1": 0.5, "ap": 0.9, "curve": [[step, value] for step in range(points)]} | rule


def test_rows_without_a_common_point_by_one_rule_are_not_compared() -> None:
    """SeqNet goes on by cosine x score to a second point, NAE stops at the first: by cosine SeqNet has only its end."""
    (claim,) = [claim for claim in CLAIMS if claim.says == "SeqNet beats NAE"]
    results = {"nae": [result("nae", 0.2, points=1)], "seqnet": [result("seqnet", 0.3, 0.25)]}
    (line,) = [line for line in claims_table(results).splitlines() if claim.says in line]
    assert line.endswith(f"|  |  |  |  |  | out of reach here: {UNCOMPARED} |")
    assert rules_line(results).startswith("All 0 measured claims")
    (line,) = [line for line in claims_table({"nae": results["nae"]}).splitlines() if claim.says in line]
    assert line.endswith(f"out of reach here: {UNTRAINED} |")


def test_seeds_of_one_row_are_ranked_by_one_rule() -> None:
    """A new seed ranks by cosine x score, an old one by cosine alone: both count by cosine, which has no top-1 of the new one."""
    mixed = {"nae": [result("nae", 0.5, 0.3), result("nae", 0.1, seed=2)]}
    assert "| nae | recipe `nae-prw-scratch` | 2/5 | 2 | cosine | 20.0 | 20.0 | - | 90.0 |" in rows_table(mixed).splitlines()
    assert noise_of(mixed, 2) == Noise(pytest.approx(0.02), 1)
    own = {"nae": [result("nae", 0.5, 0.3), result("nae", 0.1, 0.3, seed=2)]}
    assert "| 2/5 | 2 | cosine x score | 30.0 | 40.0 | 50.0 | 90.0 |" in rows_table(own)
    assert noise_of(own, 2) == Noise(pytest.approx(0.08), 1)
    # results of before, by cosine alone, beside them add no seeds
    again = {"nae": [*own["nae"], result("nae", 0.3), result("nae", 0.4, seed=2)]}
    assert noise_of(again, 2) == Noise(pytest.approx(0.08), 1)


def test_a_claim_ranked_by_another_rule_was_called_confirmed() -> None:
    """Surely so by cosine, but SeqNet and NAE rank by cosine x score: open, and said in the summary and above it."""
    (claim,) = [claim for claim in CLAIMS if claim.says == "SeqNet beats NAE"]
    values = {"nae": (0.20, 0.21), "seqnet": (0.80, 0.81)}
    old = {name: [result(name, value, seed=seed) for seed, value in enumerate(seeds, start=1)] for name, seeds in values.items()}
    assert verdict_of(claim, old) == "open"
    (line,) = [line for line in claims_table(old).splitlines() if claim.says in line]
    assert line.endswith(f"| 0.000 | open: {OTHER_RULE} |")
    assert "* Open: SeqNet beats NAE (+60.0 ± 0.7, by cosine)." in summary(old)
    assert rules_line(old).endswith("By cosine alone 1 would be confirmed (SeqNet beats NAE) and 0 would be contradicted.\n")
    assert "If the 0 that numbers can decide" in counts_line(old)
    # of both kinds beside each other those of the papers' rule decide, although they are fewer and shorter
    both = {name: [*seeds, result(name, 0.5, 0.5, points=1)] for name, seeds in old.items()}
    assert sides(claim, both) == ([0.5], [0.5], 1)
    assert sides(claim, both | {"nae": old["nae"]}) == ([0.80, 0.81], [0.20, 0.21], 2)
    lines = [line.split(" | ") for line in rows_table(both).splitlines() if line.startswith("| nae ")]
    assert [line[2:6] for line in lines] == [
        ["1/5", "1", "cosine x score", "50.0"],
        ["1/5", "2", "cosine", "20.5"],
        ["2/5", "2", "cosine", "20.5"],
    ]


def test_a_training_is_measured_by_its_papers_rule_and_by_cosine(tmp_path, monkeypatch) -> None:
    def train(recipe, data, out, options):
        out.mkdir(parents=True)
        (out / "log.jsonl").write_text(json.dumps({"step": 3, "epoch": 0, "mAP": 0.3, RULE: True}))

    monkeypatch.setattr(ablation, "train_recipe", train)
    monkeypatch.setattr(ablation, "open_folder", lambda folder, device: None)
    monkeypatch.setattr(ablation, "search_scores", lambda model, data, *, true_boxes, confidence_weighted: {"mAP": 0.2})
    bench = ablation.Bench(tmp_path, tmp_path, 3, "cpu")
    vars(bench).update(train_set=range(PICTURES), test_set=[])
    *_, job = ablation.jobs_of(["nae"], 1, 1)
    assert {"mAP": 0.3, RULE: True, BY_COSINE: 0.2}.items() <= bench.run(job).items()


def test_rows_need_only_the_data_that_they_learn_from(tmp_path) -> None:
    assert data_sets.is_complete(tmp_path, ())
    for name in ("train", *(f"test-{place}" for place in range(data_sets.PLACES)), "start-crops"):
        assert not data_sets.is_complete(tmp_path, {"scenes", "crops"})
        (tmp_path / name).mkdir()
    assert data_sets.is_complete(tmp_path, {"scenes", "crops"})
    assert not data_sets.is_complete(tmp_path, {"scenes", "sub-tasks"})


def test_a_part_is_written_between_its_marks() -> None:
    text = "a\n<!-- rows -->\nold\n<!-- end of rows -->\nb\n"
    assert insert_parts(text, {"rows": "| new |\n"}) == "a\n<!-- rows -->\n\n| new |\n\n<!-- end of rows -->\nb\n"
    assert insert_parts(text, {"rows": ""}) == "a\n<!-- rows -->\n<!-- end of rows -->\nb\n"
    with pytest.raises(ValueError, match="lacks <!-- noise -->"):
        insert_parts(text, {"noise": "x"})

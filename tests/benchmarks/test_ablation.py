"""The rows and claims of the ablation benchmark, without training: every recipe is one, and the verdicts by hand."""

import fcntl
import json
from pathlib import Path
from typing import Any

import pytest
import torch
import typer
from pydantic import ValidationError

from benchmarks.ablation import run as ablation
from benchmarks.ablation.claims import CLAIMS
from benchmarks.ablation.report import (
    PARTS,
    by_own_rule,
    claims_table,
    counts_line,
    curves,
    explained,
    insert_parts,
    rows_table,
    rules_line,
    sides,
    summary,
    verdict_of,
)
from benchmarks.ablation.rows import BACKBONE, CROP, HEIGHT, ROWS, START, STEPS, WIDTH, merged, recipe_of
from benchmarks.ablation.verdicts import BY_COSINE, RULE, Noise, noise_of, p_value, points_of, standard_error, values_at, verdict
from personsearch.errors import PersonSearchError
from personsearch.models.alignps import AlignPSConfig
from personsearch.models.dkd import DKDConfig
from personsearch.models.rcnn import RCNNConfig
from personsearch.models.reid import ReidConfig
from personsearch.models.roi_alignps import ROIAlignPSConfig
from personsearch.models.seqnet import SeqNetConfig
from personsearch.models.trident import TridentConfig
from personsearch.training.learners.build import build_learner

CONFIGS: dict[str, Any] = {
    "oim": RCNNConfig,
    "nae": RCNNConfig,
    "seqnet": SeqNetConfig,
    "dkd": DKDConfig,
    "reid": ReidConfig,
    "trident": TridentConfig,
    "alignps": AlignPSConfig,
    "roi-alignps": ROIAlignPSConfig,
}
TRAINED = [row for row in ROWS.values() if row.recipe]
PICTURES = 600
BY_CHANCE = "If the 2 that numbers can decide were all untrue, 0 or 1 would be confirmed or contradicted by chance."


def config_of(name: str, seed: int = 1):
    """What a row's network, or the one it measures again, is built of."""
    row = ROWS[name]
    if row.of:
        values = config_of(row.of).model_dump(mode="json")
        return CONFIGS[values["architecture"]].model_validate(values | dict(row.changes))
    values = recipe_of(row, seed, PICTURES).network
    return CONFIGS[values["architecture"]].model_validate(values)


def test_every_row_is_a_recipe_and_a_network() -> None:
    for name, row in ROWS.items():
        assert bool(row.recipe) != bool(row.of), name
        backbone = config_of(name).backbone
        assert (backbone.name, backbone.width, backbone.norm) == (BACKBONE["name"], BACKBONE["width"], BACKBONE["norm"]), name


def test_all_rows_have_one_budget_and_one_size() -> None:
    for row in TRAINED:
        recipe = recipe_of(row, 7, PICTURES)
        batches = -(-max(1, round(recipe.share * PICTURES)) // recipe.batch_size)
        assert recipe.epochs * batches == pytest.approx(STEPS, rel=0.02), row.name
        assert recipe.augment.sizes == ((CROP if row.name == START else (HEIGHT, WIDTH)),), row.name
        assert (recipe.seed, recipe.frozen, recipe.optimizer.warmup_steps) == (7, (), STEPS // 10), row.name


def test_rows_differ() -> None:
    """No two trainings are the same under another name."""
    told = [(recipe_of(row, 1, PICTURES), row.teacher, row.initial, row.whole) for row in TRAINED]
    plain = [
        (json.dumps(recipe.model_copy(update={"name": "", "network": recipe.network | {"name": ""}}).model_dump(mode="json")), *rest)
        for recipe, *rest in told
    ]
    assert len(set(plain)) == len(plain)


def test_what_a_row_needs_is_there_and_comes_first() -> None:
    jobs = ablation.jobs_of(None, 1, 2)
    assert len(jobs) == len(set(jobs))
    for place, job in enumerate(jobs):
        assert set(job.needs) <= set(jobs[:place]), job
        assert all(need.row.recipe for need in job.needs), job  # only a training leaves a model
    assert {job.row.name for job in jobs} == set(ROWS)
    assert sorted(job.seed for job in jobs if job.row.name == "seqnet-cbgm") == [1, 2]  # as many as SeqNet has
    teachers = {name: (ROWS[name].teacher, recipe_of(ROWS[name], 1, PICTURES).losses) for name in ROWS if name.startswith("dkd")}
    for name, (teacher, losses) in teachers.items():
        assert bool(teacher) == (losses.distillation is not None), name


def test_where_trainings_start() -> None:
    """All where one row has learned, as the papers' start from ImageNet; those about pre-training at random, with and without it."""

    def origin(name: str) -> str:
        return name if not ROWS[name].initial else origin(ROWS[name].initial)

    pretraining = {row.name for row in TRAINED if "hybrid" in row.name or "pretrained" in row.name or "random" in row.name.split("-")}
    for row in TRAINED:
        assert (origin(row.name) == START) == (row.name not in pretraining), row.name
    for claim in CLAIMS:
        assert (claim.better in pretraining) == (claim.worse in pretraining), claim
    assert {row.name for row in ROWS.values() if not row.is_measured} == {START} | {name for name in ROWS if name.startswith("hybrid")}


def test_only_takes_a_row_and_what_it_needs() -> None:
    assert [(job.row.name, job.seed) for job in ablation.jobs_of(["d-r-2"], 1, 1)] == [(START, 1), ("reid", 1), ("dkd-d", 1), ("d-r-2", 1)]
    with pytest.raises(typer.BadParameter, match="d-r-3"):
        ablation.jobs_of(["d-r-3"], 1, 1)


def test_a_change_that_is_no_recipes_is_told() -> None:
    row = ROWS["nae"]
    with pytest.raises(ValidationError, match="epochz"):
        recipe_of(type(row)("x", row.recipe, {"epochz": 3}), 1, PICTURES)


@pytest.mark.parametrize("name", ["nae", "alignps-without-region"])
def test_rows_build(name) -> None:
    with torch.device("meta"):
        learner = build_learner(recipe_of(ROWS[name], 1, PICTURES), 60)
    assert learner.config.backbone.name == BACKBONE["name"]


def test_merged_by_hand() -> None:
    values = {"a": {"b": 1, "c": [1, 2]}, "d": 3}
    assert merged(values, {"a": {"c": [4]}, "d": None}) == {"a": {"b": 1, "c": [4]}, "d": None}
    assert merged({"a": None}, {"a": {"b": 1}}) == {"a": {"b": 1}}
    assert values["a"] == {"b": 1, "c": [1, 2]}


def test_claims_are_of_rows_that_are_measured() -> None:
    for claim in CLAIMS:
        assert claim.better != claim.worse
        for name in (claim.better, claim.worse):
            assert ROWS[name].is_measured, claim
        assert claim.paper is None or claim.paper[0] < claim.paper[1], claim
        if claim.required:
            assert ROWS[claim.better].main, claim
            assert ROWS[claim.worse].main, claim
    assert len({claim.says for claim in CLAIMS}) == len(CLAIMS)
    assert sum(claim.required for claim in CLAIMS) == 4


@pytest.mark.parametrize(
    ("better", "worse", "expected"),
    [
        ([0.50, 0.52], [0.40, 0.42], "confirmed"),  # 0.10 apart, standard error 0.02: t = 5
        ([0.40, 0.42], [0.50, 0.52], "contradicted"),
        ([0.50, 0.52], [0.47, 0.48], "open"),  # t = 1.75
        ([0.50], [0.44], "confirmed"),  # standard error 0.028: t = 2.12, p = 0.048 with 18 degrees of freedom
        ([0.50], [0.442], "open"),  # t = 2.05
        ([], [0.44], "out of reach here"),
    ],
)
def test_verdicts_by_hand(better, worse, expected) -> None:
    assert verdict(better, worse, Noise(variance=0.02**2, freedom=18)) == expected


def test_the_noise_is_pooled_over_trained_rows() -> None:
    """Two rows with variances 0.0002 and 0.0008; a row of one seed and a model measured again say nothing."""
    results = {**RESULTS, "nae-serial": [result("nae-serial", 1, 0.1), result("nae-serial", 2, 0.9)]}
    assert noise_of(results, 2) == Noise(pytest.approx(0.0005), 2)
    assert standard_error([0.3, 0.3], [0.2], noise_of(RESULTS, 2)) == pytest.approx((0.0005 * 1.5) ** 0.5)
    assert p_value([0.3], [0.2], Noise(0.0, 0)) == 1
    assert verdict([0.3], [0.2], Noise(0.02**2, 18), out_of_reach=True) == "out of reach here"


def result(row: str, seed: int, value: float) -> dict:
    return {"row": row, "seed": seed, "steps": 10, "mAP": value, "top1": value / 2, "ap": 0.9, "curve": [[5, value / 4], [10, value]]}


def by_score(row: str, seed: int, value: float, cosine: float) -> dict:
    return result(row, seed, value) | {RULE: True, BY_COSINE: cosine}


RESULTS = {
    "nae": [by_score("nae", 1, 0.30, 0.25), by_score("nae", 2, 0.32, 0.25)],
    "seqnet": [by_score("seqnet", 1, 0.20, 0.25), by_score("seqnet", 2, 0.24, 0.25)],
    "oim": [result("oim", 1, 0.10)],
}


def test_the_tables_by_hand() -> None:
    lines = rows_table(RESULTS).splitlines()
    assert "| nae | recipe `nae-prw-scratch` | 2/5 | 2 | cosine x score | 31.0 | 2.0 | 15.5 | 90.0 |" in lines
    assert "| oim | recipe `oim-prw-scratch` | 2/5 | 1 | cosine | 10.0 | - | 5.0 | 90.0 |" in lines
    claims = claims_table(RESULTS).splitlines()
    # sd sqrt(0.0005); t = 0.21 / 0.0274 and -0.09 / 0.0224, two degrees of freedom
    assert (
        "| NAE beats OIM | SeqNet, Table 6 | 34.0 to 43.3 (PRW) | 2/5 | as papers | 10.0 to 31.0 | +21.0 ± 2.7 | 0.017 | confirmed |"
        in claims
    )
    assert (
        "| **SeqNet beats NAE** | SeqNet, Table 6 | 43.3 to 46.7 (PRW) | 2/5 | as papers | 31.0 to 22.0 | -9.0 ± 2.2 | 0.057 | open |"
        in claims
    )
    assert sum("| out of reach here" in line for line in claims) == len(CLAIMS) - 2


def test_rows_are_compared_at_the_last_point_that_both_have() -> None:
    """NAE goes on to a second point, OIM stops at the first, where NAE had a quarter of its end: 7.5 and 8.0."""
    oim = {"row": "oim", "seed": 1, "steps": 10, "mAP": 0.02, "top1": 0.02, "ap": 0.9, "curve": [[5, 0.02]]}
    results = {"nae": RESULTS["nae"], "oim": [oim, oim | {"seed": 2, "mAP": 0.03}]}
    assert "| oim | recipe `oim-prw-scratch` | 1/5 | 2 | cosine | 2.5 | 1.0 | 2.0 | 90.0 |" in rows_table(results).splitlines()
    assert "| nae | recipe `nae-prw-scratch` | 1/5 | 2 | cosine x score | 7.8 | 0.5 | - | - |" in rows_table(results).splitlines()
    (line,) = [line for line in claims_table(results).splitlines() if line.startswith("| NAE beats OIM")]
    assert "| 1/5 | as papers | 2.5 to 7.8 | +5.2 ± 0.6 |" in line


def test_rows_are_compared_by_one_rule() -> None:
    """By each paper's own if both rows have such results; a row from before models had a rule leaves both to cosine."""
    (claim,) = [claim for claim in CLAIMS if claim.says == "SeqNet beats NAE"]
    own = {"nae": [by_score("nae", 1, 0.3, 0.2)], "seqnet": [by_score("seqnet", 1, 0.4, 0.1)]}
    assert by_own_rule(claim, own)
    assert sides(claim, own) == ([0.4], [0.3], 2)
    mixed = own | {"nae": [result("nae", 1, 0.25)]}
    assert not by_own_rule(claim, mixed)
    assert sides(claim, mixed) == ([0.1], [0.25], 2)
    # at the first point cosine has no value of a row that ranks by cosine x score
    early = {"row": "nae", "seed": 1, "steps": 10, "mAP": 0.02, "top1": 0.02, "ap": 0.9, "curve": [[5, 0.02]]}
    assert sides(claim, own | {"nae": [early]}) == ([], [0.02], 1)
    assert rules_line(own) == "All 1 measured claims about mAP are ranked as the papers do.\n"
    assert "0 are ranked as the papers do, 1 by cosine (1 of SeqNet)" in rules_line(mixed)


def test_a_claim_that_wants_two_seeds_is_open_with_one() -> None:
    (claim,) = [claim for claim in CLAIMS if claim.says == "region alignment helps with taps that move"]
    results = RESULTS | {"alignps-sgd": [result("alignps-sgd", 1, 0.9)], "alignps-sgd-without-region": [result("x", 1, 0.1)]}
    assert verdict_of(claim, results) == "open"
    (line,) = [line for line in claims_table(results).splitlines() if claim.says in line]
    assert line.endswith("| open: one seed of a row |")
    twice = results | {name: results[name] * 2 for name in ("alignps-sgd", "alignps-sgd-without-region")}
    assert verdict_of(claim, twice) == "confirmed"
    assert verdict_of(claim, RESULTS) == "out of reach here"


def test_every_row_is_explained() -> None:
    told = {name: explained(row) for name, row in ROWS.items()}
    assert told["alignps-p4"] == "recipe `alignps-prw-scratch`, `network.levels` = [4]"
    assert told["nae-seqnets-boxes"] == "the model of nae, at the boxes of seqnet"
    assert told["dkd-ours-2"] == "recipe `dkd-prw-ours-2-scratch`, taught by reid"
    assert told["nae-pretrained-whole"] == "recipe `nae-prw-scratch`, from the whole of hybrid"
    assert all(told.values())


def test_the_summary_has_five_lines_a_paper() -> None:
    lines = [line for line in summary(RESULTS).splitlines() if line]
    assert len(lines) == 5 * 5
    assert lines[0] == "**SeqNet**: 11 claims, 1 confirmed, 0 contradicted, 1 open, 9 out of reach here."
    assert lines[1] == "* Confirmed: NAE beats OIM (+21.0 ± 2.7)."
    beyond = len(CLAIMS) - 2
    counts = f"Of {len(CLAIMS)} claims 1 are confirmed, 0 contradicted, 1 open, and {beyond} out of reach here."
    assert counts_line(RESULTS) == f"{counts} {BY_CHANCE}\n"


def test_a_model_measured_again_has_the_point_of_its_training_alone() -> None:
    """It has no learning curve, so it is not compared with what was trained shorter."""
    again = {"row": "nae-serial", "seed": 1, "steps": 10, "mAP": 0.3, "top1": 0.3, "ap": 0.9}
    assert (points_of(again), points_of(again | {"points": 2})) == (5, 2)
    assert [values_at([again | {"points": 2}], 2), values_at([again], 2), values_at([again | {"points": 2}], 5)] == [[0.3], [], []]


@pytest.mark.parametrize(("row", "epochs"), [("oim", 2), (START, None), ("reid", None)])
def test_who_serves_others_is_trained_to_the_end(tmp_path, monkeypatch, row, epochs) -> None:
    asked = []

    def train(recipe, data, out, options):
        out.mkdir(parents=True)
        (out / "log.jsonl").write_text('{"step": 1, "mAP": 0.3}')
        asked.append((recipe.evaluate_every, options.epochs))

    monkeypatch.setattr(ablation, "train_recipe", train)
    monkeypatch.setattr("benchmarks.ablation.data.start_set", lambda folder: range(PICTURES))
    bench = ablation.Bench(tmp_path, tmp_path, 750, "cpu", points=2)
    vars(bench).update(train_set=range(PICTURES), test_set=[])
    *_, job = ablation.jobs_of([row], 1, 1)
    bench.run(job)
    assert asked == [(asked[0][0], epochs and epochs * asked[0][0])]


def test_a_row_measured_again_says_how_long_its_models_were_trained(tmp_path, monkeypatch) -> None:
    jobs = {job.row.name: job for job in ablation.jobs_of(["d-r-2"], 1, 1)}
    for name, curve in (("reid", [[1, 0.1]] * 5), ("dkd-d", [[1, 0.1]] * 2)):
        (jobs[name].folder(tmp_path) / "model").mkdir(parents=True)
        (jobs[name].folder(tmp_path) / "model" / "config.json").write_text("{}")
        (jobs[name].folder(tmp_path) / ablation.RESULT).write_text(json.dumps({"curve": curve}))
    monkeypatch.setattr(ablation, "open_folder", lambda folder, device: None)
    monkeypatch.setattr(ablation, "CombinedModel", lambda *parts: None)
    monkeypatch.setattr(ablation, "search_scores", lambda model, data, **options: {"mAP": 0.7})
    bench = ablation.Bench(tmp_path, tmp_path, 10, "cpu")
    vars(bench).update(test_set=[])
    assert {"points": 2, "mAP": 0.7}.items() <= bench.run(jobs["d-r-2"]).items()


def test_without_any_second_seed_nothing_is_resolved() -> None:
    one = {name: some[:1] for name, some in RESULTS.items()}
    for results in (one, {}):
        assert not any(line.endswith(("| confirmed |", "| contradicted |")) for line in claims_table(results).splitlines())


def test_the_committed_table_is_of_the_committed_results() -> None:
    folder = Path(ablation.__file__).parent
    results = ablation.read_results(folder / "results")
    assert results
    text = (folder / "ABLATION.md").read_text(encoding="utf-8")
    assert insert_parts(text, {name: part(results) for name, part in PARTS.items()}) == text


def test_curves_are_of_required_claims_that_did_not_come_out() -> None:
    found = curves(RESULTS)
    assert "* seqnet, seed 2: 5: 6.0, 10: 24.0" in found
    assert "* nae, seed 1: 5: 7.5, 10: 30.0" in found
    assert "oim" not in found
    assert curves(RESULTS | {"seqnet": [by_score("seqnet", 1, 0.5, 0.1), by_score("seqnet", 2, 0.5, 0.1)]}) == ""


class Bench:
    """Does jobs by writing them down."""

    def __init__(self, out) -> None:
        self.out, self.ran = out, []

    def run(self, job):
        self.ran.append((job.row.name, job.seed))
        if job.row.name == "reid":
            raise PersonSearchError("no number")
        return result(job.row.name, job.seed, 0.5)


def test_what_is_done_is_skipped_and_what_fails_takes_only_its_own_along(tmp_path) -> None:
    jobs = ablation.jobs_of(["dkd-ours-0", "dkd-ours-2"], 1, 1)
    bench = Bench(tmp_path)
    assert [job.row.name for job in ablation.work(bench, jobs)] == ["reid", "dkd-ours-2"]
    assert bench.ran == [(START, 1), ("dkd-ours-0", 1), ("reid", 1)]
    again = Bench(tmp_path)
    ablation.work(again, jobs)
    assert again.ran == [("reid", 1)]
    assert [one["mAP"] for one in ablation.read_results(tmp_path, 10)["dkd-ours-0"]] == [0.5]
    with pytest.raises(typer.BadParameter, match="10 and 20 steps"):
        ablation.read_results(tmp_path, 20)


def test_a_start_of_another_budget_may_stand_beside_longer_runs(tmp_path) -> None:
    for row, values in ((START, {"steps": 10}), ("nae", result("nae", 1, 0.5) | {"steps": 20})):
        (tmp_path / row).mkdir()
        (tmp_path / row / ablation.RESULT).write_text(json.dumps({"row": row} | values))
    assert list(ablation.read_results(tmp_path, 20)) == ["nae"]


def test_a_row_that_another_process_trains_is_left_to_it(tmp_path) -> None:
    *_, job = ablation.jobs_of(["oim"], 1, 1)
    job.folder(tmp_path).mkdir()
    bench = Bench(tmp_path)
    with (job.folder(tmp_path) / ablation.LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert not ablation.do(job, bench)
    assert bench.ran == []
    assert ablation.do(job, bench)


@pytest.mark.parametrize(("row", "true_boxes"), [("oim", False), ("reid", True)])
@pytest.mark.parametrize(("measured_at", "expected"), [(3, 0.3), (1, 0.7)])
def test_a_training_cut_off_while_it_was_measured_is_measured_again(tmp_path, monkeypatch, row, true_boxes, measured_at, expected) -> None:
    def train(recipe, data, out, options):
        out.mkdir(parents=True)
        lines = [{"step": step, "loss": 1.0, "seconds": 2.0} for step in (1, 2, 3)] + [{"step": measured_at, "epoch": 0, "mAP": 0.3}]
        (out / "log.jsonl").write_text("\n".join(map(json.dumps, lines)))

    asked = []
    monkeypatch.setattr(ablation, "train_recipe", train)
    monkeypatch.setattr(ablation, "open_folder", lambda folder, device: None)
    monkeypatch.setattr(ablation, "search_scores", lambda model, data, *, true_boxes: asked.append(true_boxes) or {"mAP": 0.7})
    bench = ablation.Bench(tmp_path, tmp_path, 3, "cpu")
    vars(bench).update(train_set=range(PICTURES), test_set=[])
    *_, job = ablation.jobs_of([row], 1, 1)
    found = bench.run(job)
    assert (found["mAP"], found["seconds_of_steps"], found["row"]) == (expected, 6, row)
    assert found["curve"] == ([[3, 0.3]] if expected == 0.3 else [[1, 0.3], [3, 0.7]])
    assert asked == ([] if expected == 0.3 else [true_boxes])


def test_a_changed_copy_leaves_the_model(tmp_path) -> None:
    (tmp_path / "config.json").write_text('{"branch": "fused", "a": 1}')
    with ablation.changed(tmp_path, {"branch": "roi"}) as folder:
        assert json.loads((folder / "config.json").read_text()) == {"branch": "roi", "a": 1}
    assert json.loads((tmp_path / "config.json").read_text())["branch"] == "fused"

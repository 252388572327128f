"""The ablation's rules of ranking, what data its rows need, and how its tables are written."""

import json

import pytest

from benchmarks.ablation import data as data_sets
from benchmarks.ablation import run as ablation
from benchmarks.ablation.report import inserted
from benchmarks.ablation.rows import ROWS
from benchmarks.ablation.verdicts import BY_COSINE, RULE, own_rule

PICTURES = 600


def test_the_rule_of_each_rows_paper() -> None:
    rules = {name: own_rule(row) for name, row in ROWS.items()}
    assert (rules["nae"], rules["seqnet-oim"], rules["trident"], rules["nae-seqnets-boxes"]) == (True,) * 4
    assert (rules["oim"], rules["alignps"], rules["roi-alignps"], rules["dkd"], rules["d-r-2"]) == (False,) * 5


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
    assert inserted(text, {"rows": "| new |\n"}) == "a\n<!-- rows -->\n\n| new |\n\n<!-- end of rows -->\nb\n"
    assert inserted(text, {"rows": ""}) == "a\n<!-- rows -->\n<!-- end of rows -->\nb\n"
    with pytest.raises(ValueError, match="lacks <!-- noise -->"):
        inserted(text, {"noise": "x"})

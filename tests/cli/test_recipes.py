"""The recipes as a table by paper, and one as JSON to edit."""

import json
from pathlib import Path

from typer.testing import CliRunner

from personsearch.cli import app as cli
from personsearch.training.recipes import load_recipe
from personsearch.training.recipes.catalogue import builders
from personsearch.training.recipes.listing import PAPERS, SCRATCH, lines


def test_every_recipe_has_a_line_of_its_own() -> None:
    listed = {line.name: line for line in lines()}
    assert set(listed) == {name for name in builders() if not name.endswith(SCRATCH)}
    told = [(line.what, line.start, line.schedule, line.paper, line.differs) for line in listed.values()]
    alike = {line.name for line in listed.values() if told.count((line.what, line.start, line.schedule, line.paper, line.differs)) > 1}
    assert alike == {f"hybrid-resnet50-{count}-sets" for count in range(1, 5)}
    dkd, plus = listed["dkd-prw"], listed["alignps-plus-prw-code"]
    assert (dkd.start, dkd.schedule) == ("ImageNet and --teacher", "35 epochs of 4, sgd 0.001, x0.1 after 21")
    assert plus.start == "ImageNet (Caffe's ResNet-50)"
    assert "AlignPS+" in plus.what


def test_the_command_prints_a_table_and_a_recipe(tmp_path: Path) -> None:
    printed = CliRunner().invoke(cli.app, ["recipes"]).stdout
    for text in (*PAPERS.values(), "seqnet-oim-prw", "--backbone-weights", "differs from the paper"):
        assert text in printed
    text = CliRunner().invoke(cli.app, ["recipes", "seqnet-prw-paper"]).stdout
    assert json.loads(text)["losses"]["first"]["box_mean"] == "people"
    (tmp_path / "mine.json").write_text(text)
    assert load_recipe(tmp_path / "mine.json") == load_recipe("seqnet-prw-paper")
    assert CliRunner().invoke(cli.app, ["recipes", "segnet"]).exit_code == 1

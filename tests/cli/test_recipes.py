"""The recipes as a table by paper, and one as JSON to edit."""

import json
from pathlib import Path

from typer.testing import CliRunner

from personsearch.cli import app as cli
from personsearch.cli.recipes import LIST_FILE
from personsearch.training.recipes import load_recipe
from personsearch.training.recipes.catalogue import builders
from personsearch.training.recipes.listing import PAPERS, SCRATCH, lines, table


def test_every_recipe_has_a_line_of_its_own() -> None:
    """Rows of DKD's Table 2 differ in their teacher alone, and those of the hybrid pre-training's Fig. 6 in their data sets."""
    listed = {line.name: line for line in lines()}
    assert set(listed) == {name for name in builders() if not name.endswith(SCRATCH)}
    told = [(line.what, line.start, line.schedule, line.paper, line.differs) for line in listed.values()]
    alike = {line.name for line in listed.values() if told.count((line.what, line.start, line.schedule, line.paper, line.differs)) > 1}
    assert alike == set()
    assert listed["hybrid-resnet50-3-sets"].what == "Pre-training of NAE, 3 of the five data sets (Fig. 6)"
    dkd, plus = listed["dkd-prw"], listed["alignps-plus-prw-code"]
    assert (dkd.start, dkd.schedule) == ("ImageNet and --teacher, reid-prw", "35 epochs of 4, sgd 0.001, x0.1 after 21")
    starts = [listed[f"dkd-prw-ours-{number}"].start for number in (0, 1, 2)]
    assert starts == ["ImageNet", "ImageNet and --teacher, reid-prw-r-1", "ImageNet and --teacher, reid-prw"]
    assert plus.start == "ImageNet (Caffe's ResNet-50)"
    assert "AlignPS+" in plus.what


def test_the_stored_list_is_that_of_the_recipes() -> None:
    assert LIST_FILE.read_text() == table() + "\n", "run: python -m docs.tables"


def test_the_command_prints_a_table_and_a_recipe(tmp_path: Path) -> None:
    printed = CliRunner().invoke(cli.app, ["recipes"]).stdout
    for text in (*PAPERS.values(), "seqnet-oim-prw", "--backbone-weights", "differs from the paper"):
        assert text in printed
    text = CliRunner().invoke(cli.app, ["recipes", "seqnet-prw-paper"]).stdout
    assert json.loads(text)["losses"]["first"]["box_mean"] == "people"
    (tmp_path / "mine.json").write_text(text)
    assert load_recipe(tmp_path / "mine.json") == load_recipe("seqnet-prw-paper")
    assert CliRunner().invoke(cli.app, ["recipes", "segnet"]).exit_code == 1

"""What a training checks before its first step."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from typer.testing import CliRunner

from personsearch.cli import app as cli
from personsearch.datasets.coco import Fields
from personsearch.errors import ConfigError, DataError
from personsearch.training.recipes import load_recipe
from personsearch.training.run import TrainOptions, prepare
from tests.helpers.training_scenes import QUIET, MadeUpScenes, recipe_of


def own(folder: Path, *rows: dict[str, Any], picture: bool = True) -> Path:
    if picture:
        Image.new("RGB", (60, 60)).save(folder / "a.png")
    people = [{"image_id": 1, "bbox": [5, 5, 20, 40]} | row for row in rows]
    content = {"images": [{"id": 1, "file_name": "a.png"}], "annotations": people}
    (folder / "annotations.json").write_text(json.dumps(content))
    return folder


def refusal(recipe: Any, data: Any, folder: Path, options: Any = QUIET) -> str:
    with pytest.raises((DataError, ConfigError)) as raised:
        prepare(recipe, data, folder / "out", options)
    assert not (folder / "out").exists()
    return str(raised.value)


def test_a_training_without_identities_does_not_start(tmp_path: Path) -> None:
    data = own(tmp_path, {}, {"person_id": None})
    assert "the data have 2 people and no identity" in refusal(recipe_of("nae"), data, tmp_path)


def test_a_training_without_people_does_not_start(tmp_path: Path) -> None:
    assert "none of the 1 pictures has a person" in refusal(recipe_of("nae"), own(tmp_path), tmp_path)
    assert "none of the 1 pictures has a person" in refusal(recipe_of("nae"), [("coco", tmp_path)], tmp_path)


@pytest.mark.parametrize("whole", [True, False])
def test_a_missing_picture_is_found_before_the_first_step(tmp_path: Path, whole: bool) -> None:
    data: Any = own(tmp_path, {"person_id": 1}, picture=False)
    assert "1 x missing picture" in refusal(recipe_of("nae"), data if whole else [("coco", data)], tmp_path)


@pytest.mark.parametrize("name", ["seqnet-prw", "trident-prw", "dkd-prw", "alignps-prw-code", "hybrid-resnet50"])
def test_frozen_layers_of_random_weights_do_not_start(tmp_path: Path, name: str) -> None:
    """The recipe's own frozen layers, and batch norms whose numbers never change."""
    message = refusal(load_recipe(name), MadeUpScenes(2), tmp_path)
    assert f"{load_recipe(name).name} freezes " in message
    assert "starts from random weights" in message


@pytest.mark.parametrize(
    ("name", "weights", "scratch"),
    [
        ("seqnet-prw", "torchvision's .pth, for example", "seqnet-prw-scratch"),
        ("alignps-prw-paper", "Caffe's ResNet-50; torchvision's fits recipes that end in -pretrained", "alignps-prw-scratch"),
        ("seqnet-cuhk-reid-only", "torchvision's .pth", "seqnet-cuhk-reid-only-scratch"),
    ],
)
def test_a_refusal_named_weights_that_the_recipe_then_refused(tmp_path: Path, name: str, weights: str, scratch: str) -> None:
    """AlignPS's recipes take Caffe's ResNet-50; the recipe to start from random weights is named."""
    message = refusal(load_recipe(name), MadeUpScenes(2), tmp_path)
    assert f"--backbone-weights FILE ({weights}" in message
    assert message.endswith(f"or take {scratch}")


def test_fields_of_the_options_reach_every_reader(tmp_path: Path) -> None:
    data = own(tmp_path, {"attributes": {"track_id": "x"}}, {"attributes": {"track_id": "y"}})
    assert "attributes.track_id" in refusal(recipe_of("nae"), data, tmp_path)
    options = replace(QUIET, fields=Fields(identity="attributes.track_id"))
    assert prepare(recipe_of("nae"), data, tmp_path / "out", options).identities == 2
    assert prepare(recipe_of("nae"), [("coco", data)], tmp_path / "out", options).identities == 2


def test_category_and_identity_on_the_command_line(tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.json"
    recipe.write_text(recipe_of("nae").model_dump_json())
    arguments = ["train", str(recipe), str(own(tmp_path, {"person_id": 1})), str(tmp_path / "out"), "--device", "cpu"]
    for option, message in (("--category", "category 'walker'"), ("--identity", "field 'walker'")):
        error = CliRunner().invoke(cli.app, [*arguments, option, "walker"]).exception
        assert isinstance(error, DataError)
        assert message in str(error)


@pytest.mark.parametrize("weighted", [True, False])
def test_a_rule_of_the_measure_needs_data_to_measure_on(weighted: bool, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="confidence_weighted is about the measurement of a training; pass test_data too"):
        TrainOptions(confidence_weighted=weighted)
    flag = "--confidence-weighted" if weighted else "--no-confidence-weighted"
    error = CliRunner().invoke(cli.app, ["train", "seqnet-prw", "data", str(tmp_path / "out"), flag]).exception
    assert isinstance(error, ConfigError)
    assert "pass test_data too" in str(error)


@pytest.mark.parametrize(("flags", "rule"), [([], None), (["--confidence-weighted"], True), (["--no-confidence-weighted"], False)])
def test_the_command_passes_the_rule_of_the_measure(flags: list[str], rule: bool | None, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[TrainOptions] = []
    monkeypatch.setattr("personsearch.training.run.train", lambda recipe, data, out, options: calls.append(options))
    run = CliRunner().invoke(cli.app, ["train", "seqnet-prw", "data", "out", "--test-data", "prw:PRW", *flags])
    assert run.exit_code == 0, run.output
    assert [(options.confidence_weighted, options.test_data) for options in calls] == [(rule, ("prw", Path("PRW")))]

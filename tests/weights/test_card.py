"""Model cards by hand: of a model without a manifest entry, and of one with results."""

import json
from pathlib import Path

from personsearch.weights import manifest
from personsearch.weights.card import LIMITS, copy_with_card, model_card
from personsearch.weights.manifest import Measured

CONFIG = {"architecture": "seqnet", "name": "mine", "min_score": 0.5}


def test_the_card_of_an_unknown_model_states_what_its_config_says() -> None:
    card = model_card(CONFIG, None)
    assert card.startswith("---\nlibrary_name: personsearch\n")
    assert "# mine\n" in card
    assert "* Architecture: seqnet\n* Training data: not stated\n* People enter a gallery from score 0.5\n" in card
    assert card.endswith(LIMITS)
    assert "license" not in card
    assert "Published" not in card
    assert "* Training data: PRW" in model_card({**CONFIG, "trained_on": "PRW"}, None)
    assert "# seqnet\n" in model_card({"architecture": "seqnet"}, None)


def test_the_card_of_a_named_model_has_terms_and_both_tables() -> None:
    entry = manifest.models()["seqnet-prw"]
    result = Measured(dataset="PRW", setting="cosine", map=46.5, top1=83.25, command="evaluate x", commit="abc", machine="two cores")
    card = model_card(CONFIG, entry.model_copy(update={"metrics": entry.metrics.model_copy(update={"measured": (result,)})}))
    published, measured = card.split("## Published, percent")[1].split("## Measured with these files, percent")
    assert "| PRW | cosine | 46.5 | 83.25 | `evaluate x`, commit abc, two cores |" in measured
    assert published.count("| PRW |") == len(entry.metrics.published)
    assert f"* Weights: {entry.licences.weights}" in card
    assert "license: other" in card
    assert "None yet." not in card


def test_a_copy_keeps_a_card_that_exists(tmp_path: Path) -> None:
    source, folder = tmp_path / "source", tmp_path / "copy"
    source.mkdir()
    (source / "config.json").write_text(json.dumps(CONFIG))
    assert copy_with_card(source, folder) == folder
    assert sorted(path.name for path in folder.iterdir()) == ["README.md", "config.json"]
    assert not (source / "README.md").exists()
    (folder / "README.md").write_text("my own words")
    copy_with_card(folder, folder)
    copy_with_card(source, folder)
    assert (folder / "README.md").read_text() == "my own words"

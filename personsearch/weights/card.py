"""Model cards: the README.md beside a model's files."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from personsearch.weights import manifest
from personsearch.weights.folder import read_config
from personsearch.weights.manifest import Entry, Published

CARD_FILE = "README.md"
PURPOSE = """\
Finds a person in whole scene photos: detects everyone, embeds everyone, ranks by similarity.

```python
from personsearch import PersonSearcher

searcher = PersonSearcher.from_pretrained("this folder, or hf:org/name@revision")
result = searcher.search("me.jpg", "holiday_photos/")
```
"""
LIMITS = """\
## Use with care

A high similarity is not an identity: people dressed alike are confused, and the same person in other clothes is missed.
Searching for people processes biometric data in many countries: have their consent or a law that allows it. Error rates
differ between groups of people and are mostly unmeasured. Never act against a person on a hit alone.
"""


def copy_with_card(source: Path, folder: Path) -> Path:
    """Copy a model's folder, add a card if it has none, and return the copy. If both folders are the same, only the card is added."""
    if not (folder.exists() and folder.samefile(source)):
        shutil.copytree(source, folder, dirs_exist_ok=True)
    card = folder / CARD_FILE
    if not card.exists():
        config = read_config(folder)
        card.write_text(model_card(config, manifest.models().get(str(config.get("name")))), encoding="utf-8")
    return folder


def model_card(config: Mapping[str, Any], entry: Entry | None) -> str:
    """The card's text, Markdown with the Hub's metadata on top.

    Args:
        config: Config of the model.
        entry: Manifest entry of the model; None for a model without one, whose card states less.
    """
    name = config.get("name", config["architecture"])
    parts = [_metadata(entry), f"# {name}\n", PURPOSE, _facts(config, entry)]
    if entry is not None:
        parts += [_terms(entry), _numbers(entry)]
    return "\n".join([*parts, LIMITS])


def _metadata(entry: Entry | None) -> str:
    licence = "" if entry is None else "license: other\nlicense_name: see-licences-below\n"
    return f"---\nlibrary_name: personsearch\ntags:\n- person-search\n- person-re-identification\n{licence}---\n"


def _facts(config: Mapping[str, Any], entry: Entry | None) -> str:
    trained_on = entry.training_data if entry else config.get("trained_on") or "not stated"
    lines = [f"* Architecture: {config['architecture']}", f"* Training data: {trained_on}"]
    if "min_score" in config:
        lines.append(f"* People enter a gallery from score {config['min_score']}")
    if entry is not None:
        lines += [f"* Preprocessing: {entry.preprocessing}", f"* Paper: {entry.paper}"]
        if isinstance(entry.source, manifest.Convert):
            lines.append(f"* Converted from the checkpoint of {entry.source.whose}: {entry.source.file} ({entry.source.repository})")
        if entry.note:
            lines.append(f"* {entry.note}")
    return "\n".join(lines) + "\n"


def _terms(entry: Entry) -> str:
    terms = entry.licences
    return f"## Licences\n\n* Code of the authors: {terms.code}\n* Weights: {terms.weights}\n* Data: {terms.data}\n"


def _numbers(entry: Entry) -> str:
    """One table of the published and one of the measured numbers."""
    published = [_row(result, f"{result.table} of {result.paper}") for result in entry.metrics.published]
    measured = [_row(result, f"`{result.command}`, commit {result.commit}, {result.machine}") for result in entry.metrics.measured]
    return "\n".join(["## Published, percent\n", _table(published), "## Measured with these files, percent\n", _table(measured)])


def _row(result: "Published | manifest.Measured", origin: str) -> str:
    return f"| {result.dataset} | {result.setting} | {result.map:g} | {result.top1:g} | {origin} |"


def _table(rows: list[str]) -> str:
    if not rows:
        return "None yet.\n"
    return "\n".join(["| data set | ranking | mAP | top-1 | source |", "|---|---|---|---|---|", *rows]) + "\n"

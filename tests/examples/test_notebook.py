"""The notebook, cell by cell; what a notebook would show is made too."""

import ast
import json
from pathlib import Path
from typing import Any

import pytest

NOTEBOOK = Path(__file__).parents[2] / "examples/first_search.ipynb"


def run_cell(source: str, names: dict[str, Any]) -> Any:
    """The value of the cell's last line, None if that is a statement."""
    tree = ast.parse(source)
    last = tree.body[-1]
    exec(compile(ast.Module(tree.body[:-1] if isinstance(last, ast.Expr) else tree.body, []), "cell", "exec"), names)
    return eval(compile(ast.Expression(last.value), "cell", "eval"), names) if isinstance(last, ast.Expr) else None


@pytest.mark.slow
def test_the_notebook_runs_from_top_to_bottom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PERSONSEARCH_HOME", str(tmp_path / "home"))
    names: dict[str, Any] = {}
    shown = []
    for cell in json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] == "code":
            shown.append(run_cell("".join(cell["source"]), names))
    html = [value._repr_html_() for value in shown if hasattr(value, "_repr_html_")]
    assert len(html) >= 6
    assert sum("data:image/jpeg" in text for text in html) == 3  # detections, hits, spells
    truth = json.loads((names["demo"] / "people.json").read_text())
    assert Path(names["result"][0].image).name in truth
    spells = [spell for spell in names["spells"] if spell.is_match]
    assert len(spells) >= 2, "the person leaves and comes back"
    assert min(spell.start for spell in spells) < 2 < 8 < max(spell.end for spell in spells)
    assert "match" in capsys.readouterr().out
    assert len(list((tmp_path / "crops").iterdir())) == 5


def test_the_notebook_holds_no_outputs() -> None:
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    assert [cell["id"] for cell in cells if cell.get("outputs") or cell.get("execution_count")] == []

"""The pages tell the truth: links and paths exist, Python blocks run and print what is shown, tables follow the measurements."""

import ast
import re
from pathlib import Path
from typing import Any

import pytest

import personsearch
from docs import tables
from personsearch.weights import manifest
from tests.helpers.pages import ROOT, Block, blocks, pages, prepare, prose, run_block

CODE_PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "personsearch/data").glob("*/README.md"))]
WITH_PYTHON = [page for page in CODE_PAGES if any(block.language == "python" for block in blocks(page))]
NOT_RUN_AT_MOST = 4
TOLERANCE = 0.02  # of a printed number: other processors round otherwise
LINK = re.compile(r"\]\(([^)\s]+)\)")
PATH = re.compile(r"`((?:[\w.*-]+/)*[\w.*-]+\.(?:py|md|json|toml|yml|npz|cff))`")
FOLDER = re.compile(r"`((?:personsearch|tests|benchmarks|examples|docs)/(?:[\w.*-]+/)*)`")
NUMBER = re.compile(r"-?\d+\.\d+")


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", pages(), ids=name_of)
def test_relative_links_lead_to_files(page: Path) -> None:
    links = [link.split("#")[0] for link in LINK.findall(prose(page)) if not re.match(r"[a-z]+:|#", link)]
    assert [link for link in links if not (page.parent / link).exists()] == []


def exists(path: str, page: Path) -> bool:
    """Whether a path names a file or folder, from the top, from the page or from the package; a bare name may be anywhere."""
    if "/" not in path and path.endswith(".py"):
        if page.parent == ROOT / "tests/data":  # names files of the authors' repositories
            return True
        return any(any((ROOT / folder).rglob(path)) for folder in ("personsearch", "tests", "benchmarks", "examples", "docs"))
    return any(any(place.glob(path)) for place in (ROOT, page.parent, ROOT / "personsearch"))


@pytest.mark.parametrize("page", [page for page in pages() if page.name != "CHANGELOG.md"], ids=name_of)
def test_code_paths_exist(page: Path) -> None:
    paths = PATH.findall(prose(page)) + FOLDER.findall(prose(page))
    code = [
        path
        for path in paths
        if path.endswith((".py", "/")) or path.split("/")[0] in ("personsearch", "tests", "benchmarks", "examples", "docs")
    ]
    assert [path for path in code if not exists(path, page)] == []


def test_a_path_that_is_gone_is_seen() -> None:
    assert PATH.findall("`personsearch/gone.py`, `gone.py` and `benchmarks/README.md`") == [
        "personsearch/gone.py",
        "gone.py",
        "benchmarks/README.md",
    ]
    assert [exists(path, ROOT / "README.md") for path in ("personsearch/gone.py", "gone.py", "benchmarks/README.md")] == [
        False,
        False,
        True,
    ]


@pytest.mark.slow
@pytest.mark.parametrize("page", WITH_PYTHON, ids=name_of)
def test_python_blocks_run_and_print_what_is_shown(page: Path, tmp_path: Path) -> None:
    prepare(tmp_path)
    names: dict[str, Any] = {"__name__": "page"}
    found = blocks(page)
    for block, after in zip(found, [*found[1:], Block("", "", 0)], strict=True):
        if block.language != "python" or block.reason is not None:
            continue
        printed = run_block(block, tmp_path, names)
        if after.language == "text":
            assert NUMBER.sub("0.0", printed).split() == NUMBER.sub("0.0", after.code).split()
            shown, got = ([float(number) for number in NUMBER.findall(text)] for text in (after.code, printed))
            assert got == pytest.approx(shown, abs=TOLERANCE)


def test_few_python_blocks_are_not_run() -> None:
    reasons = [f"{name_of(page)}:{block.line} {block.reason}" for page in CODE_PAGES for block in blocks(page) if block.reason is not None]
    assert len(reasons) <= NOT_RUN_AT_MOST, reasons
    assert all(reason.split(" ", 1)[1] for reason in reasons)


def test_pages_import_public_names_only() -> None:
    for page in CODE_PAGES:
        for block in blocks(page):
            if block.language != "python":
                continue
            for node in ast.walk(ast.parse(block.code)):
                if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "personsearch":
                    assert node.module in ("personsearch", "personsearch.errors", "personsearch.ui"), (
                        f"{name_of(page)}:{block.line} imports {node.module}"
                    )
                    assert node.module != "personsearch" or {alias.name for alias in node.names} <= {*personsearch.__all__, "distributed"}


def test_every_public_name_has_its_place_in_the_reference() -> None:
    listed = set(re.findall(r"^::: personsearch\.(\w+)$", (ROOT / "docs/api.md").read_text(), re.MULTILINE))
    assert listed - {"errors"} == set(personsearch.__all__) - {"PersonSearchError", "__version__"}


def test_readme_fits_one_page() -> None:
    assert len(tables.README.read_text().splitlines()) <= 150


def test_readme_holds_the_table_of_the_measurements() -> None:
    text = tables.README.read_text()
    assert tables.filled(text, "models", tables.models_table()) == text, "run: python -m docs.tables"


def test_the_table_has_a_row_for_each_model_of_the_manifest() -> None:
    names = re.findall(r"^\| `([\w-]+)`", tables.models_table(), re.MULTILINE)
    assert names == list(manifest.models())


def test_published_numbers_are_marked_as_published() -> None:
    rows = [line for line in tables.models_table().splitlines() if "`convert`" in line]
    assert rows
    assert all("published: " in row for row in rows)
